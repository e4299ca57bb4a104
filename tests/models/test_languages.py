"""Which language is spoken: Whisper base's view, and what the policy makes of it on a telephone line."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
import soxr

from agent.language import LanguagePolicy
from bench.caller.g711 import decode, encode
from models.speech import SAMPLE_RATE_HZ, Voice
from models.transcript import LanguageChoice, Languages
from models.whisper import Recognizer
from tests.models.test_recordings import RECORDINGS, on_the_phone

SPOKEN = {
    "en": ("whatstheweatherlike", "birch-canoe", "brooklyn", "are-you-there"),
    "fr": ("fr", "sentence-fr"),
    "es": ("es-mx", "sentence-es"),
    "it": ("sentence-it",),
    "pt": ("sentence-pt",),
}
ENGLISH = ("Hello?", "Yes.", "Good morning.", "I would like to book a table for four.")

pytestmark = pytest.mark.models
needs_recordings = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="no recordings beside the project")


def among(*candidates: str) -> LanguageChoice:
    policy = LanguagePolicy(candidates)
    return lambda heard: policy.weigh(heard.probabilities, heard.audible_s)


def test_the_choice_is_asked_and_followed(recognizer: Recognizer, question: npt.NDArray[np.int16]) -> None:
    asked: list[Languages] = []

    def choose(heard: Languages) -> str:
        asked.append(heard)
        return "de"

    heard = recognizer.transcribe_now(question, choose)
    assert heard.language == "de"
    assert heard.languages is asked[0]
    assert len(asked) == 1
    assert sum(asked[0].probabilities.values()) == pytest.approx(1.0, abs=0.01)
    assert asked[0].probabilities["en"] > 0.9
    assert 1.0 < asked[0].audible_s < len(question) / 16_000


def test_a_language_that_is_given_isnt_looked_for(
    recognizer: Recognizer, english: Recognizer, question: npt.NDArray[np.int16]
) -> None:
    assert recognizer.transcribe_now(question, "en").languages is None
    heard = english.transcribe_now(question, among("fr", "en"))  # it hears nothing else
    assert (heard.language, heard.languages) == ("en", None)


def test_it_takes_no_second_encoding(
    recognizer: Recognizer, question: npt.NDArray[np.int16], monkeypatch: pytest.MonkeyPatch
) -> None:
    encodings: list[int] = []
    encode_once = Recognizer._encode

    def counted(self: Recognizer, samples: npt.NDArray[np.int16], frames: int) -> object:
        encodings.append(frames)
        return encode_once(self, samples, frames)

    monkeypatch.setattr(Recognizer, "_encode", counted)
    recognizer.transcribe_now(question, among("en", "fr"))
    assert len(encodings) == 1


def test_long_speech_is_heard_in_one_language(
    recognizer: Recognizer, question: npt.NDArray[np.int16]
) -> None:
    asked: list[Languages] = []

    def choose(heard: Languages) -> str:
        asked.append(heard)
        return "en"

    heard = recognizer.transcribe_now(np.tile(question, 1 + 16 * 16_000 // len(question)), choose)
    assert heard.language == "en"
    assert heard.languages is asked[0]
    assert len(asked) == 1


@needs_recordings
@pytest.mark.parametrize(("greets", "other"), [*itertools.permutations(SPOKEN, 2)])
def test_people(recognizer: Recognizer, greets: str, other: str) -> None:
    for language in (greets, other):
        for name in SPOKEN[language]:
            heard = recognizer.transcribe_now(on_the_phone(f"{name}.wav"), among(greets, other))
            assert heard.language == language, name


@needs_recordings
def test_french_is_written_in_french(recognizer: Recognizer) -> None:
    assert "au bord de la mer" in recognizer.transcribe_now(on_the_phone("fr.wav"), among("en", "fr")).text


@pytest.mark.parametrize("other", ["fr", "es", "it", "pt", "de"])
def test_english_is_kept_however_short(recognizer: Recognizer, steady_voice: Voice, other: str) -> None:
    for text in ENGLISH:
        pcm = np.frombuffer(steady_voice.synthesize(text).pcm, np.int16)
        narrow = np.clip(soxr.resample(pcm.astype(np.float32), SAMPLE_RATE_HZ, 8000), -32768, 32767)
        line = soxr.resample(decode(encode(narrow.astype(np.int16), "pcmu"), "pcmu"), 8000, 16_000)
        assert recognizer.transcribe_now(line, among("en", other)).language == "en", text
