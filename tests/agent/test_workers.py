"""The processes beside the one that listens, while all end. How they live: tests/e2e/test_processes.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2
import pytest

from agent import workers as module
from agent.events import Events, Relayed
from agent.workers import MISSED_LOOKS, Workers
from config.settings import Settings
from tests.waiting import until


class Others(Workers):
    """One, which is never started, while this server ends."""

    def __init__(self) -> None:
        unused: Any = None
        self.told, self.lost = Events(), list[str]()
        settings = Settings.model_validate({"sip": {"processes": 2}})
        super().__init__(settings, unused, unused, self.told, self._note)
        self._closing = True

    async def _note(self, ids: Sequence[str]) -> None:
        self.lost += ids


@pytest.fixture
async def others() -> AsyncIterator[Others]:
    made = Others()
    yield made
    await made.close(0)


async def test_one_that_ends_without_http_is_left_to_end(
    others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.001)
    (one,) = others._workers.values()
    looks = 0

    def refuse(_: httpx2.Request) -> httpx2.Response:
        nonlocal looks
        looks += 1
        raise httpx2.ConnectError("It stopped that first.")

    await one.http.aclose()
    one.http = httpx2.AsyncClient(transport=httpx2.MockTransport(refuse), base_url="http://localhost")
    ending = asyncio.get_running_loop().create_future()
    over = asyncio.create_task(asyncio.wait_for(ending, 30))
    watching = asyncio.create_task(others._watch(one, over))
    await until(lambda: looks > MISSED_LOOKS + 1 or watching.done())
    assert not watching.done()
    ending.set_result(0)
    await watching


async def test_calls_of_one_that_dies_meanwhile_are_told_of(others: Others) -> None:
    reader = others.told.follow()
    await others._lose(["9f2c51d07a3e"])
    event = await asyncio.wait_for(reader.next(), 15)
    assert isinstance(event, Relayed)
    assert (event.kind, event.id) == ("ended", "9f2c51d07a3e")
    assert others.lost == ["9f2c51d07a3e"]
