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
        self._kept = np.zeros(_KEPT, np.int16)
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
            silence = np.zeros(min(max(0, place - self._end), _KEPT), np.int16)
            self._kept = np.concatenate((self._kept, silence, samples))[-_KEPT:]
            place = max(place, self._end)
            self._end = place + len(samples)
        if self.on_put:
            self.on_put(place, samples)

    def take_back(self, samples: int) -> None:
        """The last `samples` were dropped before anyone heard them."""
        with self._lock:
            if samples:
                self._kept[-samples:] = 0
        if samples and self.on_taken_back:
            self.on_taken_back(self._end - samples)

    def read(self, place: int, samples: int) -> Samples:
        """What was given from `place` on; silence where nothing was, or nothing is known any more."""
        out = np.zeros(samples, np.int16)
        with self._lock:
            oldest = self._end - _KEPT
            first, last = max(place, oldest), min(place + samples, self._end)
            if first < last:
                out[first - place : last - place] = self._kept[first - oldest : last - oldest]
        return out
