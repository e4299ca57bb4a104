"""What the wire was given, at its place in the wire's time: what an echo is an echo of."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_KEPT = 16_000  # 1 s

Samples = NDArray[np.int16]


class Sent:
    """The last second of one call, 16 kHz mono, silence included. From any thread.

    Places are samples since the wire began. Between two sounds the wire may have been silent by itself:
    the second is then put where the caller gets it, and not right behind the first.

    `on_put` and `on_taken_back`, if they are set, are told of each change by whoever makes it: the place of
    the first sample and the samples, or the place behind which all is silent now.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._room = np.zeros(
            2 * _KEPT, np.int16
        )  # filled from the left; what is kept is moved there when full
        self._first = 0  # the place of its first sample
        self._end = 0
        self.on_put: Callable[[int, Samples], None] | None = None
        self.on_taken_back: Callable[[int], None] | None = None

    @property
    def end(self) -> int:
        """The place behind the last sample."""
        return self._end

    def append(self, samples: Samples) -> None:
        """Right behind what was given before."""
        self.put(self._end, samples)

    def put(self, place: int, samples: Samples) -> None:
        """At `place`, with silence before it; behind what was given before, if that is later."""
        with self._lock:
            begin = max(place, self._end)
            end = begin + len(samples)
            if end - self._first > len(self._room):
                first = end - _KEPT
                kept = self._room[first - self._first : self._end - self._first].copy()
                self._room[: len(kept)] = kept
                self._first = first
            self._room[max(0, self._end - self._first) : max(0, begin - self._first)] = 0
            latest = samples[-_KEPT:]
            self._end = end
            self._room[end - self._first - len(latest) : end - self._first] = latest
        if self.on_put:
            self.on_put(begin, samples)

    def take_back(self, samples: int) -> None:
        """The last `samples` were dropped before anyone heard them."""
        with self._lock:
            end = self._end - self._first
            self._room[max(0, end - samples) : end] = 0
        if samples and self.on_taken_back:
            self.on_taken_back(self._end - samples)

    def read(self, place: int, samples: int) -> Samples:
        """What was given from `place` on; silence where nothing was, or nothing is known any more."""
        out = np.zeros(samples, np.int16)
        with self._lock:
            first, last = max(place, self._end - _KEPT, self._first), min(place + samples, self._end)
            if first < last:
                out[first - place : last - place] = self._room[first - self._first : last - self._first]
        return out
