"""What hangs or fails is found without a caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent import canary as module
from agent.canary import Canary
from agent.conversation import LatencyTrace
from config.persona import load_persona
from models.errors import ModelFailed
from models.lanes import Lane
from models.pool import ModelPool
from tests.agent.records.conftest import Talk
from transports.call import EndReason, MediaStats


class Models:
    """A voice and an ear that work, fail, or hang."""

    def __init__(self) -> None:
        self.voice = self.ear = "works"
        self.trials = 0
        self.voices = self.recognizer = self

    async def stream(self, text: str, **_: Any) -> AsyncIterator[Any]:
        self.trials += 1
        await self._do(self.voice)
        yield SimpleNamespace(pcm=bytes(3200))

    async def transcribe(self, pcm: bytes, **_: Any) -> Any:
        assert pcm == bytes(3200)
        await self._do(self.ear)
        return SimpleNamespace(text="" if self.ear == "deaf" else "One, two, three.")

    async def _do(self, how: str) -> None:
        if how == "hangs":
            await asyncio.Event().wait()
        if how == "fails":
            raise ModelFailed("It broke.")


@pytest.fixture
def models() -> Models:
    return Models()


@pytest.fixture
async def canary(models: Models, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Canary]:
    monkeypatch.setattr(module, "EVERY_S", 0.02)
    monkeypatch.setattr(module, "DEADLINE_S", 0.2)
    singing = Canary(cast(ModelPool, models), load_persona("en"))
    await singing.start()
    yield singing
    await singing.close()


async def until(canary: Canary, state: str) -> None:
    async with asyncio.timeout(15):
        while canary.health().state != state:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("part", "how", "says"),
    [
        ("voice", "hangs", "Text-to-speech didn't"),
        ("voice", "fails", "Text-to-speech failed in a trial: It broke."),
        ("ear", "hangs", "Speech-to-text didn't"),
        ("ear", "fails", "Speech-to-text failed"),
        ("ear", "deaf", "heard nothing"),
    ],
)
async def test_a_model_that_stops_and_comes_back(
    models: Models, canary: Canary, part: str, how: str, says: str
) -> None:
    assert canary.health().state == "ready"
    setattr(models, part, how)
    await until(canary, "down")
    assert says in str(canary.health().last_error)
    setattr(models, part, "works")
    await until(canary, "ready")


async def test_models_that_work_for_calls_all_the_time_do_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    class Working(Models):
        """Its pieces are done on a lane that has a call's work between them."""

        async def stream(self, text: str, **named: Any) -> AsyncIterator[Any]:
            for _piece in range(3):
                await lane.run("canary", lambda: None, priority=named["priority"])
            yield SimpleNamespace(pcm=bytes(3200))

    monkeypatch.setattr(module, "DEADLINE_S", 1.0)
    lane = Lane("voice")

    async def call() -> None:
        while True:
            await lane.run("call", lambda: None)
            await asyncio.sleep(0.05)

    calling = asyncio.create_task(call())
    canary = Canary(cast(ModelPool, Working()), load_persona("en"))
    try:
        await canary.start()
        assert canary.health().state == "ready"
    finally:
        await canary.close()
        calling.cancel()
        await lane.close()


async def test_calls_that_are_answered_prove_the_same(
    models: Models, canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.voice = "fails"
    await until(canary, "down")
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 1000.0))  # it is all one moment
    canary.answered(Talk(), LatencyTrace(0.0))
    assert canary.health().state == "ready"
    before = models.trials
    await asyncio.sleep(0.1)  # several times as long as from one trial to the next
    assert models.trials == before
    canary.ended(Talk(), EndReason.MODEL_FAILURE, MediaStats())
    await until(canary, "down")
