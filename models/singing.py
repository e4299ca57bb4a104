"""Whether a voice sings, told by the states of Whisper's encoder, which are there anyway.

A logistic regression on their mean and their spread over an utterance: held vowels, the steps of a melody
and a band stand in them. Its weights for each Whisper are what `bench/endpointing/singing.py` fitted.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from models.encoder_head import POSITION_SAMPLES, EncoderHead, Floats


class Singing(EncoderHead):
    """The weights for one Whisper: as many as two states of its encoder have numbers."""

    @classmethod
    def load(cls, name: str) -> Self | None:
        """The weights for the Whisper `name`; None where none were fitted."""
        return cls.fitted("singing.npz", name)

    def probability(self, states: Floats, samples: int) -> float:
        """That who is heard in so many samples sings; `states` (positions, width) are those of them."""
        return self.weigh(pooled(states, samples))


def pooled(states: Floats, samples: int) -> Floats:
    """The mean and the standard deviation of each number of the states."""
    own = states[: max(1, min(len(states), samples // POSITION_SAMPLES))].astype(np.float32)
    return np.concatenate((own.mean(axis=0), own.std(axis=0)))
