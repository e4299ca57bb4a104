from pathlib import Path

import numpy as np
import pytest
import soxr

from agent.turn.transcriber import SINGS
from bench.caller import g711
from models.piper import Voice
from models.singing import Singing, pooled
from models.whisper import Recognizer

# What `bench/endpointing/sung.py` made of "Where can I park near the office in the morning?"
SUNG = Path(__file__).with_name("sung.ulaw")


def test_only_what_was_heard_is_pooled() -> None:
    states = np.concatenate((np.full((50, 3), 2.0), np.full((50, 3), 9.0))).astype(np.float32)
    assert pooled(states, 16_000).tolist() == [2.0, 2.0, 2.0, 0.0, 0.0, 0.0]
    assert np.isfinite(pooled(states, 0)).all()


def test_no_weights_were_fitted_for_a_stranger() -> None:
    assert Singing.load("large-v3") is None


@pytest.mark.models
def test_a_song_is_told_from_the_same_words_spoken(recognizer: Recognizer, steady_voice: Voice) -> None:
    song = soxr.resample(g711.decode(SUNG.read_bytes(), "pcmu"), 8000, 16_000)
    sung = recognizer.transcribe_now(song, "en")
    speech = steady_voice.synthesize("Where can I park near the office in the morning?")
    spoken = recognizer.transcribe_now(np.frombuffer(speech.pcm, np.int16), "en")
    assert "office" in sung.text.lower()
    assert sung.sings is not None
    assert spoken.sings is not None
    assert sung.sings > SINGS > 0.5 > spoken.sings
