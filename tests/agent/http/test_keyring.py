"""Whose a key is, while it is in the database, is taken away, or the database is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
import websockets
from sqlalchemy import text
from typer.testing import CliRunner

from agent.cli import app as offhook
from agent.events import Events, Relayed
from agent.http import guard
from agent.http import keyring as module
from agent.http.access import OPERATOR
from agent.http.app import create_app
from agent.http.attempts import SOURCES, Rates
from agent.http.keyring import Keyring, KeysAway, SpentKey, WrongKey
from agent.records.keys import Keys
from agent.records.query import Query
from agent.records.recorder import Recorder
from agent.records.tables import Call
from config.settings import Settings
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeModels
from tests.agent.records.conftest import Talk
from tests.waiting import until
from transports.call import EndReason, MediaStats

CONFIGURED = "s3cret-s3cret-s3cret"


@pytest.fixture
def keys(recorder: Recorder) -> Keys:
    return Keys(recorder.database)


@pytest.fixture
def keyring(keys: Keys) -> Keyring:
    return Keyring(lambda: CONFIGURED, keys)


async def test_a_key_has_its_scopes_and_what_they_imply(keyring: Keyring, keys: Keys) -> None:
    key, _ = await keys.create("desk", ["operate"])
    holder = await keyring.holder(key)
    assert holder.name == "desk"
    assert holder.scopes == {"read", "operate"}
    assert await keyring.holder(CONFIGURED) is OPERATOR


@pytest.mark.parametrize("wrong", ["", "nothing", "offhook_", "offhook_" + 43 * "x", CONFIGURED + "x"])
async def test_what_nobody_has(keyring: Keyring, wrong: str) -> None:
    with pytest.raises(WrongKey):
        await keyring.holder(wrong)


async def test_a_revoked_key_is_good_for_seconds_more(
    keyring: Keyring, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = await keys.create("desk", ["operate"])
    await keyring.holder(key)
    await keys.revoke("desk")
    assert (await keyring.holder(key)).name == "desk"  # as it was read a moment ago
    monkeypatch.setattr(module, "FRESH_S", 0.0)
    with pytest.raises(SpentKey, match="desk was revoked"):
        await keyring.holder(key)


async def test_an_expired_key_is_noticed_although_it_was_read_before(keyring: Keyring, keys: Keys) -> None:
    key, kept = await keys.create("desk", ["operate"], datetime.now(UTC) + timedelta(hours=1))
    assert (await keyring.holder(key)).name == "desk"
    keyring._read[kept.digest][0].expires = datetime.now(UTC)
    with pytest.raises(SpentKey, match="desk expired on"):
        await keyring.holder(key)


async def test_its_use_is_noted(keyring: Keyring, keys: Keys) -> None:
    key, _ = await keys.create("desk", ["operate"])
    await keyring.holder(key)
    [kept] = await keys.all()
    assert kept.last_used is not None
    assert datetime.now(UTC) - kept.last_used < timedelta(minutes=1)


async def test_no_more_is_remembered_than_fits(
    keyring: Keyring, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    for number in range(5):
        key, _ = await keys.create(f"key-{number}", ["read"])
        await keyring.holder(key)
    assert len(keyring._read) <= 2


async def test_without_the_database_only_the_configured_key_works(recorder: Recorder, serve: Serve) -> None:
    key, _ = await Keys(recorder.database).create("desk", ["read"])
    settings = Settings.model_validate({"http": {"api_key": CONFIGURED}})
    client = await serve(
        create_app(settings=settings, calls=FakeCalls(), models=FakeModels(), past=recorder.database)
    )
    async with recorder.database.session() as session:
        await session.execute(text("ALTER TABLE api_keys RENAME TO lost"))
    away = await client.get("/health", headers={"X-API-Key": key})
    assert away.status_code == 503
    assert away.headers["Retry-After"] == "5"
    assert "Only http.api_key works now" in away.json()["detail"]
    assert (await client.get("/health", headers={"X-API-Key": CONFIGURED})).status_code == 200
    assert (await client.get("/health", headers={"X-API-Key": "guessed"})).status_code == 401
    async with recorder.database.session() as session:
        await session.execute(text("ALTER TABLE lost RENAME TO api_keys"))
    assert (await client.get("/health", headers={"X-API-Key": key})).status_code == 200


async def test_a_database_that_was_never_opened_is_away(tmp_path: Path) -> None:
    with pytest.raises(KeysAway):
        await Keyring(lambda: CONFIGURED, Keys(Recorder(Settings(state_dir=tmp_path)).database)).holder(
            "offhook_x"
        )


async def test_a_spent_key_says_so_and_is_no_guess(keys: Keys, recorder: Recorder, serve: Serve) -> None:
    key, _ = await keys.create("desk", ["read"], datetime.now(UTC))
    settings = Settings.model_validate({"http": {"api_key": CONFIGURED}})
    client = await serve(
        create_app(settings=settings, calls=FakeCalls(), models=FakeModels(), past=recorder.database)
    )
    for _ in range(8):
        answer = await client.get("/health", headers={"X-API-Key": key})
        assert answer.status_code == 401
        assert "The key desk expired on" in answer.json()["detail"]


def test_who_asks_too_often_waits() -> None:
    rates = Rates(60)
    assert [rates.wait_s("a", 100.0) for _ in range(7)] == [0, 0, 0, 0, 0, 1, 1]
    assert rates.wait_s("b", 100.0) == 0
    assert rates.wait_s("a", 101.0) == 0
    assert rates.wait_s("a", 101.0) == 1


def test_those_who_asked_the_longest_ago_are_forgotten() -> None:
    rates = Rates(60)
    for number in range(SOURCES + 10):
        rates.wait_s(str(number), 100.0)
    assert len(rates) == SOURCES


async def test_requests_of_an_address_and_of_a_key_are_counted(
    keys: Keys, recorder: Recorder, serve: Serve
) -> None:
    settings = Settings.model_validate(
        {"http": {"api_key": CONFIGURED, "requests_per_minute": 60, "trusted_proxies": ["127.0.0.1"]}}
    )
    app = create_app(settings=settings, calls=FakeCalls(), models=FakeModels(), past=recorder.database)
    client = await serve(app)

    async def ask(address: int, key: str = CONFIGURED) -> httpx2.Response:
        headers = {"X-API-Key": key, "X-Forwarded-For": f"192.0.2.{address}"}
        return await client.get("/health", headers=headers)

    spread = [await ask(number) for number in range(20)]
    assert spread[0].status_code == 200
    assert spread[-1].status_code == 429
    assert spread[-1].headers["Retry-After"] == "1"
    assert "of this key (http.requests_per_minute)" in spread[-1].json()["detail"]
    another, _ = await keys.create("desk", ["read"])
    assert (await ask(100, another)).status_code == 200
    many = [await ask(101, "wrong") for _ in range(20)]
    assert any("of this address" in answer.json()["detail"] for answer in many)


async def test_the_command_makes_and_ends_keys_of_a_server_that_runs(
    recorder: Recorder, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OFFHOOK_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("OFFHOOK_HTTP__API_KEY", CONFIGURED)
    monkeypatch.setattr(module, "FRESH_S", 0.0)
    settings = Settings.model_validate({"http": {"api_key": CONFIGURED}})
    client = await serve(
        create_app(settings=settings, calls=FakeCalls(), models=FakeModels(), past=recorder.database)
    )

    async def keys_command(*arguments: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, offhook, ["keys", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    key = await keys_command("create", "desk", "--scope", "read")
    assert (await client.get("/health", headers={"X-API-Key": key})).status_code == 200
    assert (await client.post("/api/v1/drain", headers={"X-API-Key": key})).status_code == 403
    await keys_command("revoke", "desk")
    answer = await client.get("/health", headers={"X-API-Key": key})
    assert answer.status_code == 401
    assert answer.json()["detail"] == "The key desk was revoked."


@pytest.fixture
async def streaming(
    recorder: Recorder, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> tuple[httpx2.AsyncClient, Events]:
    """A server that looks at keys all the time, and what happens in its calls."""
    monkeypatch.setattr(module, "FRESH_S", 0.0)
    monkeypatch.setattr(guard, "LOOK_AGAIN_S", 0.0)
    events, settings = Events(), Settings.model_validate({"http": {"api_key": CONFIGURED}})
    app = create_app(
        settings=settings, calls=FakeCalls(), models=FakeModels(), past=recorder.database, events=events
    )
    return await serve(app), events


async def test_a_stream_ends_once_its_key_is_revoked(
    streaming: tuple[httpx2.AsyncClient, Events], keys: Keys
) -> None:
    client, events = streaming
    key, _ = await keys.create("desk", ["read"])
    async with client.stream("GET", "/api/v1/events", headers={"X-API-Key": key}) as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == ": here from now on"
        events.relay(Relayed("started", "a", "{}"))
        assert [await anext(lines) for _ in range(3)] == ["", "event: started", "data: {}"]
        await keys.revoke("desk")
        events.relay(Relayed("started", "b", "secret"))
        assert [line async for line in lines] == [""]
    await until(lambda: not events._readers)


async def test_an_export_is_whole_though_its_key_is_revoked(
    streaming: tuple[httpx2.AsyncClient, Events],
    recorder: Recorder,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, _ = streaming
    for _ in range(12):
        talk = Talk().recorded_by(recorder)
        recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats())
    await until(lambda: recorder.health().queued == 0)
    key, _ = await keys.create("desk", ["read"])
    page = recorder.database.page

    async def revoked(query: Query, *, whole: bool = False) -> list[Call]:
        if query.after:
            await keys.revoke("desk")
        return await page(query, whole=whole)

    monkeypatch.setattr(recorder.database, "page", revoked)
    answer = await client.get("/api/v1/sessions/export", headers={"X-API-Key": key})
    assert len(answer.text.splitlines()) == 12
    assert (await client.get("/health", headers={"X-API-Key": key})).status_code == 401


async def test_a_websocket_ends_once_its_key_is_revoked(
    streaming: tuple[httpx2.AsyncClient, Events], keys: Keys
) -> None:
    client, events = streaming
    key, _ = await keys.create("desk", ["read"])
    url = str(client.base_url).replace("http", "ws", 1).rstrip("/") + "/api/v1/events"
    async with websockets.connect(url, additional_headers={"X-API-Key": key}) as socket:
        await until(lambda: bool(events._readers))
        events.relay(Relayed("started", "a", "{}"))
        assert await socket.recv() == "{}"
        await keys.revoke("desk")
        events.relay(Relayed("started", "b", "secret"))
        with pytest.raises(websockets.ConnectionClosedError, match="can't be used any more"):
            await socket.recv()
    await until(lambda: not events._readers)
