"""A database that is away for longer than memory should bear, or than the process lives."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from agent.records import aside
from agent.records import recorder as module
from agent.records.recorder import Recorder
from config.settings import Settings
from tests.agent.records.conftest import Talk
from tests.postgres import Postgres
from tests.waiting import until
from transports.call import EndReason, MediaStats

pytestmark = pytest.mark.peers


@pytest.fixture
async def settings(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Settings]:
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    yield Settings.model_validate(
        {
            "state_dir": tmp_path,
            "records": {"url": server.url, "redact_digits": True},
            "webhook": {"url": "http://127.0.0.1:1", "calls": True, "secret": "one that is long enough"},
        }
    )
    with contextlib.suppress(subprocess.CalledProcessError):  # it runs
        await asyncio.to_thread(server.start)


def files(settings: Settings) -> list[Path]:
    return sorted((settings.state_dir / "records").glob("*.json"))


async def kill(recorder: Recorder) -> None:
    """As a process that dies: nothing is written any more."""
    assert recorder._writing
    recorder._writing.cancel()
    await asyncio.gather(recorder._writing, return_exceptions=True)
    await recorder.database.close()


async def test_nothing_is_lost_though_the_process_dies_meanwhile(
    settings: Settings, server: Postgres
) -> None:
    recorder = Recorder(settings)
    await recorder.start()
    before = Talk().recorded_by(recorder)
    before.conversation.caller_said("Before.")
    await until(lambda: recorder.health().queued == 0)
    await asyncio.to_thread(server.stop)
    begun = Talk().recorded_by(recorder)
    begun.conversation.caller_said("It is 4711.")
    called = begun.conversation.tool_called("take_message", {"message": "Call 0800."})
    begun.conversation.tool_done(called, result={"status": 1}, error=None, seconds=1.5)
    before.conversation.caller_said("Behind.")
    for talk in (before, begun):
        recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats(100))
    await until(lambda: len(files(settings)) == 2)
    assert recorder.health().queued == 2
    assert not any("4711" in file.read_text() for file in files(settings))
    assert {file.stat().st_mode & 0o777 for file in files(settings)} == {0o600}
    await kill(recorder)
    again = Recorder(settings)
    await again.start()
    assert again.health().queued == 2
    await asyncio.to_thread(server.start)
    await until(lambda: again.health().queued == 0)
    for talk, said in ((before, ["Before.", "Behind."]), (begun, ["It is ####."])):
        call = await again.database.call(talk.info.id)
        assert call
        assert (call.cause, call.packets_received) == ("caller_hangup", 100)
        assert [turn.text for turn in call.turns] == said
    assert call
    assert [(one.name, one.result) for one in call.tool_calls] == [("take_message", {"status": "#"})]
    assert files(settings) == []
    with psycopg.connect(server.url) as connection:
        due = connection.execute("SELECT call_id FROM deliveries").fetchall()
    assert {id for (id,) in due} == {before.info.id, begun.info.id}
    await again.close()


async def test_what_waits_when_the_server_stops_is_written_by_the_next(
    settings: Settings, server: Postgres
) -> None:
    recorder = Recorder(settings)
    await recorder.start()
    await asyncio.to_thread(server.stop)
    talk = Talk().recorded_by(recorder)
    recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats())
    await recorder.close()
    (settings.state_dir / "records" / "broken.json").write_text("{")
    await asyncio.to_thread(server.start)
    again = Recorder(settings)
    await again.start()
    await until(lambda: again.health().queued == 0)
    assert await again.database.call(talk.info.id)
    await again.close()


@pytest.mark.parametrize(
    ("fails", "works"),
    [
        (
            "ALTER ROLE offhook SET default_transaction_read_only = on",
            "ALTER ROLE offhook RESET ALL",
        ),
        ("ALTER TABLE calls RENAME TO moved", "ALTER TABLE moved RENAME TO calls"),
    ],
)
async def test_what_the_server_refuses_for_now_is_written_later(
    settings: Settings, server: Postgres, fails: LiteralString, works: LiteralString
) -> None:
    """It is a standby, its disk is full, or somebody works at the tables."""
    recorder = Recorder(settings)
    await recorder.start()
    engine = recorder.database._engine
    assert engine
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(fails)
        try:
            await engine.dispose()
            talk = Talk().recorded_by(recorder)
            recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats())
            await until(lambda: len(files(settings)) == 1)
            assert recorder.health().state == "degraded"
        finally:
            connection.execute(works)
    await engine.dispose()
    await until(lambda: recorder.health().queued == 0)
    assert await recorder.database.call(talk.info.id)
    await recorder.close()


async def test_files_are_no_more_than_fit(
    settings: Settings, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "MOST", 2)
    recorder = Recorder(settings)
    await recorder.start()
    await asyncio.to_thread(server.stop)
    talks = [Talk().recorded_by(recorder) for _ in range(3)]
    for talk in talks:
        recorder.ended(talk, EndReason.IDLE, MediaStats())
    await until(lambda: len(files(settings)) == 2 and recorder.health().queued == 2)
    assert "1 calls' records were given up" in str(recorder.health().last_error)
    await asyncio.to_thread(server.start)
    await until(lambda: recorder.health().queued == 0)
    assert await recorder.database.call(talks[0].info.id) is None
    assert await recorder.database.call(talks[2].info.id)
    await recorder.close()
