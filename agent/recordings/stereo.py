"""Two sides of a call on one clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from agent.recordings.tap import AGENT, CALLER, Samples, Sound, samples_in
from transports.playout import SAMPLE_RATE_HZ

# A side's sounds follow each other as its own count has them, and that is held against the clock: sound that
# comes sooner than any before says where all of it belongs, and a second of it that is late, too.
EARLY, LATE = samples_in(0.005), samples_in(0.010)
_WATCHED = 50
# Later by so much, it isn't late: its count stood still.
_STOOD_STILL = samples_in(0.5)
# Sound of the caller's that comes twice as fast as it was spoken was held up on its way, all of it.
_HURRIES = 0.5


class Stereo:
    """16 kHz, the caller left, the agent right; silence where there was nothing. No clock, no I/O.

    `read` gives each sample once: what comes later for a place that was read is lost.
    """

    def __init__(self, start: float) -> None:
        """`start`: when the first sample is, on the clock of the sounds."""
        self._start = start
        self._places = _Place(), _Place()
        self._window: Samples = np.zeros((0, 2), np.int16)
        self._read = 0  # samples so far

    @property
    def at(self) -> float:
        """When the next sample to be read is."""
        return self._start + self._read / SAMPLE_RATE_HZ

    def put(self, sounds: Iterable[Sound]) -> None:
        for sound in _joined(sounds):
            place = self._places[sound.side]
            if sound.at is None:
                first = place.known(sound.place)
            else:
                wanted = samples_in(sound.at - self._start)
                if sound.side == CALLER:
                    wanted -= len(sound.samples)
                first = place.of(sound.place, wanted)
            self._write(sound, first - self._read)

    def read(self, until: float) -> Samples:
        """Up to the time `until`; shape (samples, 2)."""
        count = max(0, samples_in(until - self._start) - self._read)
        self._grow(count)
        out, self._window = self._window[:count], self._window[count:]
        self._read += count
        return out

    def _write(self, sound: Sound, first: int) -> None:
        samples = sound.samples[max(0, -first) :]
        first = max(0, first)
        self._grow(first + len(samples))
        self._window[first : first + len(samples), sound.side] = samples

    def _grow(self, samples: int) -> None:
        if (missing := samples - len(self._window)) > 0:
            self._window = np.concatenate((self._window, np.zeros((missing, 2), np.int16)))


class _Place:
    """Where on the clock, in samples, one side's count is."""

    def __init__(self) -> None:
        self._offset: int | None = None
        self._seen: deque[int] = deque(maxlen=_WATCHED)

    def known(self, count: int) -> int:
        return count + (self._offset or 0)

    def of(self, count: int, clock: int) -> int:
        """That of a sound which is at `count`, and by the clock at `clock` or a little before."""
        seen = clock - count
        self._seen.append(seen)
        if (
            self._offset is None
            or seen < self._offset - EARLY
            or seen > self._offset + _STOOD_STILL
            or (len(self._seen) == _WATCHED and min(self._seen) > self._offset + LATE)
        ):
            self._offset = min(self._seen) if len(self._seen) == _WATCHED else seen
            self._seen.clear()
        return self.known(count)


def _joined(sounds: Iterable[Sound]) -> list[Sound]:
    """Of the caller's, those that came in one bunch are one."""
    joined: list[Sound] = []
    caller: int | None = None  # where the last of the caller's stands
    for sound in sounds:
        if sound.side == AGENT:
            joined.append(sound)
            continue
        before = joined[caller] if caller is not None else None
        if before and _follows(before, sound):
            assert caller is not None
            joined[caller] = Sound(
                CALLER, before.place, np.concatenate((before.samples, sound.samples)), sound.at
            )
        else:
            caller = len(joined)
            joined.append(sound)
    return joined


def _follows(before: Sound, sound: Sound) -> bool:
    if before.at is None or sound.at is None or sound.place != before.place + len(before.samples):
        return False
    hurries = samples_in(sound.at - before.at) < _HURRIES * len(sound.samples)
    return hurries and bool(before.samples.any())  # silence that stood for it came in time
