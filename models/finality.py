"""How finished a voice sounds, told by the states of Whisper's encoder, which are there anyway.

A logistic regression on their means over three windows about the end of speech: the melody of a sentence's
end, the lengthening of its last syllables and the fading of the voice stand in them. Its weights for each
Whisper are what `bench/endpointing/heads.py` fitted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Samples = npt.NDArray[np.int16]

POSITION_SAMPLES = 320  # of the encoder: 20 ms
# In positions, from the end of speech.
WINDOWS = ((-15, -6), (-6, 0), (0, 9))
_LOUD = 0.06  # of the loudest 20 ms, but for two or three
_ABOVE_NOISE = 2.5  # times the quietest


@dataclass(frozen=True)
class Finality:
    """The weights for one Whisper: `weights` has as many numbers as three states of its encoder."""

    weights: Floats
    bias: float

    @staticmethod
    def load(name: str) -> Finality | None:
        """The weights for the Whisper `name`; None where none were fitted."""
        with np.load(str(files("models") / "data" / "finality.npz")) as fitted:
            if name not in fitted:
                return None
            values = np.asarray(fitted[name], np.float32)
        return Finality(values[1:], float(values[0]))

    def probability(self, states: Floats, samples: Samples) -> float:
        """That a voice which sounds so has finished; `states` (positions, width) are those of `samples`."""
        score = self.bias + float(pooled(states, speech_end(samples)) @ self.weights)
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))


def speech_end(samples: Samples) -> int:
    """The number of the encoder's position behind the last sound that is as loud as a voice."""
    whole = samples[: len(samples) // POSITION_SAMPLES * POSITION_SAMPLES]
    levels = np.sqrt(np.mean(whole.reshape(-1, POSITION_SAMPLES).astype(np.float32) ** 2, axis=1))
    if not len(levels):
        return 1
    faintest, loudest = np.quantile(levels, (0.1, 0.95))
    voiced = np.flatnonzero(levels > max(_LOUD * loudest, min(_ABOVE_NOISE * faintest, loudest / 2)))
    return int(voiced[-1]) + 1 if len(voiced) else len(levels)


def pooled(states: Floats, end: int) -> Floats:
    """The means over `WINDOWS`; of one that lies before the first position, that position."""
    means = []
    for begin, until in WINDOWS:
        low = max(0, min(end + begin, len(states) - 1))
        means.append(states[low : max(low + 1, end + until)].mean(axis=0))
    return np.concatenate(means)
