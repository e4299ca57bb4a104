"""Recordings of real people, over a telephone line. They lie beside the project, where there are any."""

import re
import unicodedata
import wave
from pathlib import Path

import jiwer
import numpy as np
import numpy.typing as npt
import pytest
import soxr

from bench.caller.g711 import decode, encode
from models.whisper import Recognizer

RECORDINGS = Path(__file__).parents[3] / "shared" / "speech"
ENGLISH = {
    "whatstheweatherlike.wav": "What's the weather like?",
    "LanguageDetection_enUS.wav": "This is testing the language ID with English language. "
    "I hope I can get high confidence from language ID.",
    "birch-canoe.wav": "The birch canoe slid on the smooth planks.",
}
OTHERS = {
    "es-mx.wav": "¿Cuál es la distancia entre la Tierra y la Luna? "
    "¿Cuál es la montaña más alta de la Tierra?",
    "fr.wav": "Les deux autres sont situés au bord de la mer Jaune.",
}

pytestmark = [
    pytest.mark.models,
    pytest.mark.skipif(not RECORDINGS.is_dir(), reason="no recordings beside the project"),
]


def on_the_phone(name: str) -> npt.NDArray[np.int16]:
    """The recording through PCMU at 8 kHz, at 16 kHz again."""
    with wave.open(str(RECORDINGS / name)) as file:
        rate_hz, channels = file.getframerate(), file.getnchannels()
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, channels)[:, 0]
    narrow = np.clip(soxr.resample(pcm.astype(np.float32), rate_hz, 8000), -32768, 32767).astype(np.int16)
    return soxr.resample(decode(encode(narrow, "pcmu"), "pcmu"), 8000, 16_000)


def plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.lower())
    return " ".join(re.findall(r"[a-z0-9']+", "".join(c for c in letters if not unicodedata.combining(c))))


@pytest.mark.parametrize(("name", "words"), ENGLISH.items())
def test_english(english: Recognizer, name: str, words: str) -> None:
    heard = english.transcribe_now(on_the_phone(name), "en").text
    assert jiwer.wer(plain(words), plain(heard)) <= 0.2, heard


@pytest.mark.parametrize(("name", "words"), OTHERS.items())
def test_other_languages(recognizer: Recognizer, name: str, words: str) -> None:
    heard = recognizer.transcribe_now(on_the_phone(name), None).text
    assert jiwer.wer(plain(words), plain(heard)) <= 0.2, heard
