"""How loud an utterance is in the course of time: s16 mono samples at 16 kHz."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.mel import SAMPLE_RATE_HZ

Samples = npt.NDArray[np.int16]

_FRAME = SAMPLE_RATE_HZ // 50


def levels(samples: Samples) -> npt.NDArray[np.float32]:
    """The RMS of each 20 ms."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME).astype(np.float32)
    return np.asarray(np.sqrt(np.mean(frames**2, axis=1)), np.float32)


def audible_s(samples: Samples) -> float:
    """For how long anything is heard."""
    loud = levels(samples)
    return float(np.sum(loud > 0.05 * loud.max(initial=0.0))) * _FRAME / SAMPLE_RATE_HZ


def halves(samples: Samples) -> tuple[Samples, Samples]:
    """Two parts, cut at the quietest 200 ms of the middle third."""
    loud = np.convolve(levels(samples), np.ones(10), "same")
    third = len(loud) // 3
    cut = (third + int(np.argmin(loud[third : 2 * third]))) * _FRAME
    return samples[:cut], samples[cut:]
