"""How finished a voice sounds, told by the states of Whisper's encoder, which are there anyway.

A logistic regression on their means over three windows about the end of speech: the melody of a sentence's
end, the lengthening of its last syllables and the fading of the voice stand in them. Its weights for each
Whisper are what `bench/endpointing/heads.py` fitted.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

from models.encoder_head import POSITION_SAMPLES, EncoderHead, Floats

Samples = npt.NDArray[np.int16]

# In positions, from the end of speech.
WINDOWS = ((-15, -6), (-6, 0), (0, 9))
_LOUD = 0.06  # of the loudest 20 ms, but for two or three
_ABOVE_NOISE = 2.5  # times the quietest


class Finality(EncoderHead):
    """The weights for one Whisper: as many as three states of its encoder have numbers."""

    @classmethod
    def load(cls, name: str) -> Self | None:
        """The weights for the Whisper `name`; None where none were fitted."""
        return cls.fitted("finality.npz", name)

    def probability(self, states: Floats, samples: Samples) -> float:
        """That a voice which sounds so has finished; `states` (positions, width) are those of `samples`."""
        return self.weigh(pooled(states, speech_end(samples)))


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
