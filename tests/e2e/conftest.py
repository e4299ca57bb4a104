"""What the tests with real models share: a voice to ask with, and an ear to listen with."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.piper import Voice
from models.whisper import Recognizer
from tests.e2e.served import QUESTIONS
from tests.transports import netns
from tests.weights import require_weights


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("e2e")


@pytest.fixture(scope="module")
def cable() -> Iterator[netns.Cable]:
    """The tests, and what they start, are at its server's end; browsers at the other."""
    with netns.cable() as made, netns.inside(made.server):
        yield made


@pytest.fixture(scope="session")
def recognizer() -> Iterator[Recognizer]:
    """An ear of our own: the multilingual model, which the server doesn't use for English."""
    loaded = Recognizer.load(require_weights("base").whisper("base"), name="base")
    yield loaded
    asyncio.run(loaded.close())


@pytest.fixture(scope="session")
def questions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A WAV at 16 kHz for each of QUESTIONS."""
    folder = tmp_path_factory.mktemp("questions")
    voice = Voice("en_US-joe-medium", require_weights("en_US-joe-medium").voice("en_US-joe-medium"))
    voice._piper.config.noise_scale = voice._piper.config.noise_w_scale = 0.0  # the same each time
    paths = []
    for number, text in enumerate(QUESTIONS):
        paths.append(folder / f"{number}.wav")
        with wave.open(str(paths[-1]), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(16_000)
            out.writeframes(voice.synthesize(text).pcm)
    return paths
