"""Wrong API keys, and what they cost whoever sends them."""

from __future__ import annotations

import httpx2
import pytest

from agent.http.app import create_app
from agent.http.attempts import SOURCES, WrongKeys
from config.settings import HttpSettings, Settings
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeModels

KEY = "s3cret-s3cret-s3cret"


def waits(wrong: WrongKeys, source: str, times: int) -> list[int]:
    """What each of so many wrong keys has to wait for, all of them sent as soon as they may."""
    now, found = 1000.0, []
    for _ in range(times):
        found.append(wrong.wait_s(source, now))
        now += found[-1]
        wrong.add(source, now)
    return found


def test_a_few_are_free_then_each_waits_twice_as_long() -> None:
    assert waits(WrongKeys(), "192.0.2.1", 14) == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_sources_are_apart_and_an_ipv6_source_is_its_network() -> None:
    wrong = WrongKeys()
    waits(wrong, "2001:db8::1", 6)
    assert wrong.wait_s("2001:db8::2", 1002) > 0
    assert wrong.wait_s("2001:db8:0:1::1", 1002) == 0
    assert wrong.wait_s("192.0.2.1", 1002) == 0


def test_it_is_forgotten() -> None:
    wrong = WrongKeys()
    waits(wrong, "192.0.2.1", 6)
    assert wrong.wait_s("192.0.2.1", 2000) == 0
    wrong.add("192.0.2.1", 2000)
    assert wrong.wait_s("192.0.2.1", 2000) == 0


def test_no_more_is_remembered_than_fits() -> None:
    wrong = WrongKeys()
    for number in range(SOURCES + 10):
        wrong.add(f"10.0.{number // 256}.{number % 256}", number)
    assert len(wrong) == SOURCES


@pytest.fixture
async def keyed(serve: Serve) -> httpx2.AsyncClient:
    settings = Settings(http=HttpSettings.model_validate({"api_key": KEY}))
    return await serve(create_app(settings=settings, calls=FakeCalls(), models=FakeModels()))


async def test_who_guesses_has_to_wait_and_no_key_is_no_guess(keyed: httpx2.AsyncClient) -> None:
    for _ in range(10):
        assert (await keyed.get("/health")).status_code == 401
    assert (await keyed.get("/health", headers={"X-API-Key": KEY})).status_code == 200
    for _ in range(5):
        assert (await keyed.get("/health", headers={"X-API-Key": "wrong"})).status_code == 401
    waiting = await keyed.get("/health", headers={"X-API-Key": KEY})
    assert waiting.status_code == 429
    assert waiting.headers["retry-after"] == "1"
    assert "Too many wrong API keys" in waiting.json()["detail"]
    assert (await keyed.get("/livez")).status_code == 200
