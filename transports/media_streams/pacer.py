"""Cuts a playout into the packets that a carrier wants, and knows which of them it can't have played yet.

No I/O, no clock: the time is an argument.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from transports.playout import SAMPLE_RATE_HZ, Playout
from transports.resampler import Resampler

# What the carrier holds beyond the packet that it plays: covers one late packet.
LEAD_PACKETS = 2
# Silence after speech that is still sent, so that the line doesn't go dead between two sentences.
TAIL_MS = 400.0


class Pacer:
    """Pulls one packet at a time. In silence nothing is sent, so two clocks that differ never matter."""

    def __init__(self, playout: Playout, rate_hz: int, packet_ms: int) -> None:
        self._playout = playout
        self._samples = SAMPLE_RATE_HZ * packet_ms // 1000
        self._packet_bytes = rate_hz * packet_ms // 1000 * 2
        self._packet_ms = packet_ms
        self._resampler = Resampler(SAMPLE_RATE_HZ, rate_hz)
        self._silent_ms = TAIL_MS
        self._flowing = False
        self._flow_began = 0.0
        self._flow_ms = 0.0
        self._sent: deque[int] = deque(maxlen=64)  # speech samples in each of the last packets

    def ahead_ms(self, now: float) -> float:
        """Sound that the carrier has and can't have played."""
        return max(0.0, self._flow_ms - (now - self._flow_began) * 1000) if self._flowing else 0.0

    def packets(self, now: float) -> list[bytes]:
        """What to send at this tick: s16le PCM at the wire's rate, most often one packet or none."""
        before = self._playout.position
        pcm = np.frombuffer(self._playout.pull(self._samples), np.int16)
        spoken = max(0, self._playout.position - before)
        out: list[bytes] = []
        if pcm.any():
            self._silent_ms = 0.0
            starved = self._flow_ms > 0 and self.ahead_ms(now) == 0
            if not self._flowing or starved:
                out += self._begin(now, LEAD_PACKETS)
        else:
            self._silent_ms += self._packet_ms
            if self._silent_ms > TAIL_MS:
                self._flowing = False
        packet = self._resampler.process(pcm).tobytes()
        if self._flowing:
            self._count(spoken)
            out.append(packet)
        return out

    def cut(self, now: float) -> None:
        """The carrier is told to drop what it holds: give that speech back to the playout."""
        dropped = min(len(self._sent), int(self.ahead_ms(now) // self._packet_ms))
        back = sum(self._sent.pop() for _ in range(dropped))
        self._playout.unpull(back)
        self._sent.clear()
        self._begin(now, 0)

    def _begin(self, now: float, lead: int) -> list[bytes]:
        self._flowing = True
        self._flow_began = now
        self._flow_ms = 0.0
        for _ in range(lead):
            self._count(0)
        return [bytes(self._packet_bytes)] * lead

    def _count(self, spoken: int) -> None:
        self._flow_ms += self._packet_ms
        self._sent.append(spoken)
