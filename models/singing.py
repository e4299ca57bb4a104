"""Whether a voice sings, told by the states of Whisper's encoder, which are there anyway.

A logistic regression on their mean and their spread over an utterance: held vowels, the steps of a melody
and a band stand in them. Its weights for each Whisper are what `bench/endpointing/singing.py` fitted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from models.finality import POSITION_SAMPLES

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Singing:
    """The weights for one Whisper: `weights` has as many numbers as two states of its encoder."""

    weights: Floats
    bias: float

    @staticmethod
    def load(name: str) -> Singing | None:
        """The weights for the Whisper `name`; None where none were fitted."""
        with np.load(str(files("models") / "data" / "singing.npz")) as fitted:
            if name not in fitted:
                return None
            values = np.asarray(fitted[name], np.float32)
        return Singing(values[1:], float(values[0]))

    def probability(self, states: Floats, samples: int) -> float:
        """That who is heard in so many samples sings; `states` (positions, width) are those of them."""
        score = self.bias + float(pooled(states, samples) @ self.weights)
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))


def pooled(states: Floats, samples: int) -> Floats:
    """The mean and the standard deviation of each number of the states."""
    own = states[: max(1, min(len(states), samples // POSITION_SAMPLES))].astype(np.float32)
    return np.concatenate((own.mean(axis=0), own.std(axis=0)))
