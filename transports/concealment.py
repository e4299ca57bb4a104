"""What is played for lost packets."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from transports.playout import SAMPLE_RATE_HZ

_HISTORY = SAMPLE_RATE_HZ * 48 // 1000
_SHORTEST_PITCH, _LONGEST_PITCH = SAMPLE_RATE_HZ // 400, SAMPLE_RATE_HZ // 60
_FULL = SAMPLE_RATE_HZ * 10 // 1000  # repeated at full strength, then faded
_FADED = SAMPLE_RATE_HZ * 60 // 1000  # silence from here on
_OVERLAP = SAMPLE_RATE_HZ * 4 // 1000

Samples = NDArray[np.int16]


class Concealer:
    """Goes on with the last pitch period where packets are missing, and fades it.

    Source: ITU-T G.711 Appendix I, simplified: one period is repeated, and nothing is held back for an
    overlap before the gap.
    """

    def __init__(self) -> None:
        self._recent: deque[Samples] = deque([np.zeros(_HISTORY, np.int16)])
        self._kept = _HISTORY
        self._tail: NDArray[np.float32] | None = None  # how the concealment would go on

    def played(self, samples: Samples) -> Samples:
        """What came, with its begin blended into the concealment before it, if there was one."""
        tail, self._tail = self._tail, None
        if tail is not None and len(samples):
            n = min(len(tail), len(samples))
            ramp = np.linspace(0.0, 1.0, n, dtype=np.float32)
            samples = samples.copy()
            samples[:n] = samples[:n] * ramp + tail[:n] * (1 - ramp)
        self._remember(samples)
        return samples

    def conceal(self, lost: int) -> Samples:
        """`lost` samples in the place of those that didn't come."""
        history = np.concatenate(self._recent)[-_HISTORY:]
        cycle = history[-_period(history) :].astype(np.float32)
        cycles = np.tile(cycle, -(-(lost + _OVERLAP) // len(cycle)))[: lost + _OVERLAP]
        fade = np.clip((_FADED - np.arange(lost + _OVERLAP)) / (_FADED - _FULL), 0.0, 1.0)
        made = cycles * fade.astype(np.float32)
        samples = made[:lost].astype(np.int16)
        self._tail = made[lost:]
        self._remember(samples)
        return samples

    def _remember(self, samples: Samples) -> None:
        self._recent.append(samples)
        self._kept += len(samples)
        while self._kept - len(self._recent[0]) >= _HISTORY:
            self._kept -= len(self._recent.popleft())


def _period(history: Samples) -> int:
    """Where the history is most like its end, in samples back from there."""
    window = history[-_LONGEST_PITCH:].astype(np.float32)
    past = history[:-_SHORTEST_PITCH].astype(np.float32)
    likeness = np.correlate(past, window, "valid")
    energy = np.convolve(past * past, np.ones(len(window), np.float32), "valid")
    best = int(np.argmax(likeness / np.sqrt(energy + 1.0)))
    return len(history) - best - len(window)
