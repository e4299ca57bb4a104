"""What a voice's sound must be like, whichever voice it is."""

from __future__ import annotations

import numpy as np

from models.speech import Speech


def level_db(speech: Speech) -> float:
    """The level of what can be heard of it, in dBFS."""
    power = np.square(np.frombuffer(speech.pcm, np.int16) / 32768)
    return float(10 * np.log10(power[power > power.max() / 1000].mean()))


def assert_begins_at_once_and_is_even(speech: Speech) -> None:
    sound = np.abs(np.frombuffer(speech.pcm, np.int16).astype(np.int32))
    loud = np.flatnonzero(sound > 200)
    assert loud[0] <= 160
    assert len(sound) - loud[-1] <= 4800
    assert -23 < level_db(speech) < -17
    assert sound[0] == sound[-1] == 0
