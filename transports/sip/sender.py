"""From a call's playout to the SIP stack, close to the moment of sending.

Two buffers stand between them. The first is ours, `AHEAD_MS` long, filled on the event loop, and can be
taken back: it lets the loop be late. The second is the stack's ring, which a native thread empties every
20 ms and from which nothing can be taken back without a click (its flush also discards whatever is
written before its next tick). So a thread moves audio from the first to the second just in time, and
an interruption is heard after a packet, `SPARE_MS` and the fade at most: within two packets.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from baresip.audio import AudioInfo, AudioStats, CallAudio
from baresip.errors import AudioNotActive, AudioRestarted
from numpy.typing import NDArray

from transports.playout import FADE_MS, SAMPLE_RATE_HZ, Playout
from transports.resampler import Resampler

SLICE_MS = 10
AHEAD_MS = 60
SPARE_MS = 10  # in the stack's ring beyond a packet: with the fade, just under two packets of 20 ms
_SHORTEST_PACKET_MS = 20  # shorter ones don't make the feeder any faster
FEED_INTERVAL_S = 0.005
_FADE_SAMPLES = SAMPLE_RATE_HZ * FADE_MS // 1000
_SLICE_SAMPLES = SAMPLE_RATE_HZ * SLICE_MS // 1000
_BYTES_PER_SAMPLE = 2


@dataclass(slots=True)
class _Slice:
    samples: NDArray[np.int16]
    speech: int  # how many of them, from the first, are speech; the rest is silence


class Sender:
    """One call's audio out. `top_up` and `cut` run on the event loop, `feed` on the feeder's thread."""

    def __init__(self, audio: CallAudio, playout: Playout, wake: Callable[[], None]) -> None:
        self._audio = audio
        self._playout = playout
        self._wake = wake
        self._lock = threading.Lock()
        self._ahead: deque[_Slice] = deque()
        self._fading = False  # the playout's fade is still to be pulled
        self._faded = False  # and needn't be heard
        self._rate_hz = 0
        self._channels = 1
        self._resampler = Resampler(SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)
        self._tail = False  # the resampler still holds the end of what was said
        self._clock = _StackClock()
        self._full = False  # the stack's ring was, when last seen

    def unsent(self) -> int:
        """Samples of speech that a cut would take back."""
        with self._lock:
            return sum(piece.speech for piece in self._ahead)

    def top_up(self) -> None:
        """Pull what the wire will need until the next tick and a while longer."""
        grew = False
        while len(self._ahead) * SLICE_MS < AHEAD_MS and (self._playout.speaking or self._fading):
            before = self._playout.position
            samples = np.frombuffer(self._playout.pull(_SLICE_SAMPLES), np.int16)
            piece = _Slice(samples, self._playout.position - before)
            faded, self._fading, self._faded = self._fading and self._faded, False, False
            if not faded:
                with self._lock:
                    self._ahead.append(piece)
                grew = True
        if grew:
            self._wake()

    def cut(self) -> None:
        """Give back to the playout what was pulled and not yet handed over, and fade at once.

        The playout then makes the same fade of the same samples. It counts as pulled, but comes too late
        if the loop is busy, so ours is the one that is heard.
        """
        with self._lock:
            unsent = list(self._ahead)
            self._ahead.clear()
            if unsent:
                self._ahead.append(_Slice(_fade(unsent[0].samples), 0))
        self._fading, self._faded = True, bool(unsent)
        self._playout.unpull(sum(piece.speech for piece in unsent))
        if unsent:
            self._wake()

    def feed(self) -> float | None:
        """Hand over what the stack needs now. Returns for how long it then needs nothing, in seconds.

        None until there is more to say. Each native call lets go of the GIL, and under a busy loop waits for
        it again: none for a call that has nothing to say, and none between a packet and shortly before the
        next.
        """
        if not self._ahead and not self._tail:
            return None
        rest_s = 0.0
        try:
            info = self._audio.info()
            room = self._room(info)
            slices = self._take(room)
            if slices:
                samples = np.concatenate(slices)
                self._audio.write(self._convert(samples))
                self._record(samples, info)
                if self._full and len(slices) == room == info.tx_ptime_ms // SLICE_MS:  # one was just sent
                    rest_s = info.tx_ptime_ms / 1000 - FEED_INTERVAL_S
            self._full = len(slices) == room
        except AudioRestarted:
            self._full = False
        except AudioNotActive:
            with self._lock:
                self._ahead.clear()
            return None
        return rest_s if self._ahead or self._tail else None

    def _record(self, samples: NDArray[np.int16], info: AudioInfo) -> None:
        """`samples` were written when the ring was as `info` says."""
        packet_ms = info.tx_ptime_ms
        packet_bytes = info.tx_sample_rate * info.tx_channels * _BYTES_PER_SAMPLE * packet_ms // 1000
        if info.tx_buffered < packet_bytes:  # the stack may have sent silence
            packet = SAMPLE_RATE_HZ * packet_ms // 1000
            self._clock.follow(self._audio.stats(), dry=info.tx_buffered == 0, packet=packet)
        sent = self._playout.sent
        sent.put(self._clock.take(len(samples), earliest=sent.end), samples)

    def _room(self, info: AudioInfo) -> int:
        """How many slices the stack's ring may take."""
        if not info.tx_ready:
            raise AudioNotActive("no audio goes out on this call")
        if (info.tx_sample_rate, info.tx_channels) != (self._rate_hz, self._channels):
            self._rate_hz, self._channels = info.tx_sample_rate, info.tx_channels
            self._resampler = Resampler(SAMPLE_RATE_HZ, self._rate_hz)
        ring_ms = max(_SHORTEST_PACKET_MS, info.tx_ptime_ms) + SPARE_MS
        slice_bytes = self._rate_hz * self._channels * _BYTES_PER_SAMPLE * SLICE_MS // 1000
        return max(0, ring_ms // SLICE_MS - -(-info.tx_buffered // slice_bytes))

    def _take(self, count: int) -> list[NDArray[np.int16]]:
        with self._lock:
            taken = [self._ahead.popleft().samples for _ in range(min(count, len(self._ahead)))]
        if taken:
            self._tail = True
        if self._tail and len(taken) < count and not self._playout.speaking:
            self._tail = False
            taken.append(np.zeros(_SLICE_SAMPLES, np.int16))
        return taken

    def _convert(self, samples: NDArray[np.int16]) -> bytes:
        converted = self._resampler.process(samples)
        return (np.repeat(converted, self._channels) if self._channels > 1 else converted).tobytes()


class _StackClock:
    """Where in the wire's time, in samples at 16 kHz, the stack sends what is written.

    Every 20 ms it sends a packet: of what was written, or of silence. It counts the latter, and those that
    it had to fill up.
    """

    def __init__(self) -> None:
        self._began = 0  # its counts start anew with each negotiation of the call
        self._sounding = 0  # length of the packets with sound that are over
        self._silent = 0  # length of those without
        self._written = 0  # since the last of them
        self._filled_up = 0

    def follow(self, stats: AudioStats, *, dry: bool, packet: int) -> None:
        """`stats` right after a write; `dry` if the ring was empty before it."""
        if dry or stats.tx_starved_frames != self._filled_up:
            self._sounding += -(-self._written // packet) * packet
            self._written = 0
        self._silent, self._filled_up = stats.tx_silence_frames * packet, stats.tx_starved_frames

    def take(self, samples: int, *, earliest: int) -> int:
        """The place of the next `samples`."""
        place = self._began + self._silent + self._sounding + self._written
        self._written += samples
        self._began += max(0, earliest - place)
        return max(place, earliest)


def _fade(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    ramp = np.zeros(len(samples), np.float32)
    n = min(_FADE_SAMPLES, len(samples))
    ramp[:n] = np.linspace(1.0, 0.0, n, dtype=np.float32)
    return (samples * ramp).astype(np.int16)


class Feeder:
    """The thread that feeds every call which has something to say; asleep when none has."""

    def __init__(self) -> None:
        self._senders: dict[Sender, Callable[[Exception], None]] = {}
        self._due: dict[Sender, float] = {}  # of those that have something to say
        self._work = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="sip-feeder", daemon=True)

    @property
    def started(self) -> bool:
        return self._thread.ident is not None

    def start(self) -> None:
        self._thread.start()

    def add(self, sender: Sender, on_error: Callable[[Exception], None]) -> None:
        """`on_error` is called on the feeder's thread, each time that feeding this one fails."""
        self._senders = {**self._senders, sender: on_error}

    def remove(self, sender: Sender) -> None:
        self._senders = {other: on_error for other, on_error in self._senders.items() if other is not sender}

    def wake(self) -> None:
        self._work.set()

    def close(self) -> None:
        self._stopping = True
        self._work.set()
        self._thread.join(1)

    def _run(self) -> None:
        while True:
            self._work.wait()
            if self._stopping:
                return
            self._work.clear()
            due, now = {}, time.monotonic()
            for sender, on_error in self._senders.items():
                if (at := self._due.get(sender, now)) > now:
                    due[sender] = at
                    continue
                try:
                    if (rest_s := sender.feed()) is not None:
                        due[sender] = now + rest_s
                except Exception as error:  # one call may die, the others not
                    on_error(error)
            self._due = due
            if due:
                self._work.set()
                time.sleep(FEED_INTERVAL_S)
