"""RTP (RFC 3550): the caller's stream, and the agent's put in time."""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass

MIN_BYTES = 12
# An agent's clock that is further off its packets' arrival stood still or jumped.
MAX_OFF_S = 0.5


class Stream:
    """Heads of the packets that go out, one for each 20 ms."""

    def __init__(self, ticks: int, ssrc: int | None = None) -> None:
        """`ticks`: of the RTP clock, in 20 ms."""
        self._ticks = ticks
        self._ssrc = secrets.randbits(32) if ssrc is None else ssrc
        self._timestamp = secrets.randbits(31)
        self._sequence = secrets.randbits(15)

    def next(self, payload_type: int, marker: bool = False, back: int = 0) -> bytes:
        """`back`: how many packets ago the event began that this packet belongs to."""
        timestamp = (self._timestamp - back * self._ticks) & 0xFFFFFFFF
        kind = payload_type | (0x80 if marker else 0)
        head = struct.pack("!BBHII", 0x80, kind, self._sequence, timestamp, self._ssrc)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._timestamp = (self._timestamp + self._ticks) & 0xFFFFFFFF
        return head


@dataclass(frozen=True, slots=True)
class RtpPacket:
    sequence_number: int
    timestamp: int
    ssrc: int
    payload_type: int
    payload: bytes


def parse(data: bytes) -> RtpPacket:
    """Raises ValueError."""
    if len(data) < MIN_BYTES or data[0] >> 6 != 2:
        raise ValueError("not an RTP packet")
    _, kind, sequence, timestamp, ssrc = struct.unpack("!BBHII", data[:MIN_BYTES])
    return RtpPacket(sequence, timestamp, ssrc, kind & 0x7F, data[MIN_BYTES + 4 * (data[0] & 15) :])


class PlayClock:
    """When the sound of a packet is due: by its RTP timestamp, from the stream's first arrival on."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._anchor: tuple[int, int, float] | None = None

    def played_at(self, ssrc: int, timestamp: int, arrived_at: float) -> float:
        if self._anchor is None or self._anchor[0] != ssrc:
            self._anchor = (ssrc, timestamp, arrived_at)
        ahead = (timestamp - self._anchor[1] + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        played_at = self._anchor[2] + ahead / self._rate_hz
        if abs(played_at - arrived_at) > MAX_OFF_S:
            self._anchor, played_at = (ssrc, timestamp, arrived_at), arrived_at
        return played_at
