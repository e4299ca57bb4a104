import numpy as np
import pytest

from models.encoder_head import POSITION_SAMPLES
from models.finality import WINDOWS, Finality, pooled, speech_end
from models.piper import Voice
from models.whisper import Recognizer


def sound(*levels: float) -> np.ndarray:
    """A second of noise at each level, in steps of full scale."""
    rng = np.random.default_rng(1)
    return np.concatenate([rng.normal(0, level, 16_000) for level in levels]).astype(np.int16)


@pytest.mark.parametrize("noise", [0, 5, 300])
def test_speech_ends_with_the_last_loud_sound(noise: float) -> None:
    assert abs(speech_end(sound(noise, 6000, noise)) - 100) <= 1


def test_who_still_speaks_has_not_ended() -> None:
    assert speech_end(sound(5, 6000)) == 100


def test_nothing_at_all_has_an_end() -> None:
    assert speech_end(np.zeros(0, np.int16)) == 1
    assert speech_end(np.zeros(16_000, np.int16)) == 50


@pytest.mark.parametrize("end", [0, 3, 48, 60])
def test_windows_that_lie_outside_are_taken_from_the_edge(end: int) -> None:
    states = np.arange(50, dtype=np.float32)[:, None]
    means = pooled(states, end)
    assert means.shape == (len(WINDOWS),)
    assert ((means >= 0) & (means <= 49)).all()


def test_no_weights_were_fitted_for_a_stranger() -> None:
    assert Finality.load("large-v3") is None


@pytest.mark.models
def test_a_sentence_that_is_cut_sounds_unfinished(recognizer: Recognizer, steady_voice: Voice) -> None:
    whole = steady_voice.synthesize("I would like to change my booking for the second week of July.")
    samples = np.frombuffer(whole.pcm, np.int16)
    booking = next(word for word in whole.words if word.text == "booking")
    finished = recognizer.transcribe_now(samples, "en").finished
    cut = recognizer.transcribe_now(samples[: booking.end], "en").finished
    assert finished is not None
    assert cut is not None
    assert finished > 0.6 > 0.3 > cut


@pytest.mark.models
def test_it_is_the_same_however_much_silence_follows(recognizer: Recognizer, steady_voice: Voice) -> None:
    samples = np.frombuffer(steady_voice.synthesize("Where can I park near the office?").pcm, np.int16)
    end = speech_end(samples) * POSITION_SAMPLES
    heard = [
        recognizer.transcribe_now(np.concatenate((samples[:end], np.zeros(silence, np.int16))), "en").finished
        for silence in (640, 3200, 8000)
    ]
    assert max(heard) - min(heard) < 0.15  # type: ignore[type-var, operator]
