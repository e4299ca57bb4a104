"""A logistic regression on the states of Whisper's encoder, which are there anyway."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.resources import files
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

POSITION_SAMPLES = 320  # of the encoder: 20 ms


@dataclass(frozen=True)
class EncoderHead:
    """The weights for one Whisper, as many as what is made of its states has numbers."""

    weights: Floats
    bias: float

    @classmethod
    def fitted(cls, file: str, name: str) -> Self | None:
        """The weights in `models/data/FILE` for the Whisper `name`; None where none were fitted."""
        with np.load(str(files("models") / "data" / file)) as fitted:
            if name not in fitted:
                return None
            values = np.asarray(fitted[name], np.float32)
        return cls(values[1:], float(values[0]))

    def weigh(self, pooled: Floats) -> float:
        """The probability, of what was made of the states."""
        score = self.bias + float(pooled @ self.weights)
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))
