"""The bundled models, loaded once for all tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio

from models.llm.child import LlamaChild
from models.llm.resident import BY_NAME
from models.piper import Voice
from models.voices import Voices
from models.whisper import Recognizer
from tests.models.llama import ready
from tests.weights import require_weights

VOICE = "en_US-joe-medium"
QWEN: Final = "qwen2.5-coder-1.5b"


@pytest.fixture(scope="session")
def recognizer() -> Iterator[Recognizer]:
    """What hears every language."""
    yield from _loaded("base")


@pytest.fixture(scope="session")
def english() -> Iterator[Recognizer]:
    """What hears English where nothing else is configured."""
    yield from _loaded("tiny.en")


def _loaded(name: str) -> Iterator[Recognizer]:
    recognizer = Recognizer.load(require_weights(name).whisper(name), name=name)
    yield recognizer
    asyncio.run(recognizer.close())


@pytest.fixture(scope="session")
def voice_file() -> Path:
    return require_weights(VOICE).voice(VOICE)


@pytest.fixture(scope="session")
def voice(voice_file: Path) -> Voice:
    return Voice(VOICE, voice_file)


@pytest.fixture(scope="session")
def steady_voice(voice_file: Path) -> Voice:
    """A voice that says the same text in the same way each time."""
    voice = Voice(VOICE, voice_file)
    voice._piper.config.noise_scale = voice._piper.config.noise_w_scale = 0.0
    voice._gain = 1.15  # measured on a sentence with noise, it is another in each run
    return voice


@pytest.fixture(scope="session")
def voices(voice: Voice) -> Iterator[Voices]:
    loaded = Voices({VOICE: voice})
    yield loaded
    asyncio.run(loaded.close())


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def qwen() -> AsyncIterator[LlamaChild]:
    """The large language model, with a slot besides the one that chooses tools."""
    weights = require_weights(QWEN).language_model(QWEN)
    assert weights is not None
    child = LlamaChild(weights, adapter=BY_NAME[QWEN].adapter_file, threads=2, slots=2, slot_ctx=2048)
    async with ready(child) as child:
        yield child


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is chosen doesn't depend on what else the machine is at."""
    monkeypatch.setattr("models.llm.acting.CHOICE_S", 200.0)
    monkeypatch.setattr("models.llm.acting.FILL_S", 200.0)


@pytest.fixture(scope="session")
def question() -> npt.NDArray[np.int16]:
    """ "What time do you open tomorrow?" """
    return np.frombuffer((files("models") / "data" / "question.pcm").read_bytes(), np.int16)
