"""What becomes of records while their file can't be written."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from agent.records import database
from agent.records import recorder as module
from agent.records.recorder import Recorder
from config.settings import Settings
from tests.agent.records.conftest import Talk
from tests.disk import Disk, small_disk
from tests.waiting import until
from transports.call import EndReason, MediaStats


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.1)
    monkeypatch.setattr(database, "_BUSY_MS", 50)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as mounted:
        yield mounted


async def degraded(recorder: Recorder, why: str) -> None:
    await until(lambda: recorder.health().state == "degraded")
    assert why in str(recorder.health().last_error)
    assert "calls go on" in str(recorder.health().last_error)


async def whole(recorder: Recorder, talk: Talk) -> list[str]:
    """All that was said in a call, once it could be written."""
    await until(lambda: recorder.health().state == "ready" and recorder.health().queued == 0)
    call = await recorder.database.call(talk.info.id)
    assert call is not None
    return [turn.text for turn in call.turns]


@pytest.mark.netns
async def test_a_full_disk_costs_no_record(disk: Disk) -> None:
    recorder = Recorder(Settings(state_dir=disk.path))
    await recorder.start()
    talk = Talk().recorded_by(recorder)
    talk.conversation.caller_said("Before.")
    await until(lambda: recorder.health().queued == 0)
    disk.fill()
    talk.conversation.caller_said("Meanwhile. " * 1000)  # more than the file has room for
    await degraded(recorder, "disk is full")
    talk.conversation.caller_said("Later.")
    recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats())
    disk.free()
    assert await whole(recorder, talk) == ["Before.", "Meanwhile. " * 1000, "Later."]
    await recorder.close()


@pytest.mark.netns
async def test_a_folder_that_is_read_only_is_written_when_it_isnt_any_more(disk: Disk) -> None:
    disk.read_only(True)
    recorder = Recorder(Settings(state_dir=disk.path / "state"))
    await recorder.start()
    talk = Talk().recorded_by(recorder)
    talk.conversation.caller_said("Hello.")
    recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats())
    await degraded(recorder, "Read-only file system")
    disk.read_only(False)
    assert await whole(recorder, talk) == ["Hello."]
    await recorder.close()


async def test_a_locked_database_is_written_when_it_is_free(tmp_path: Path) -> None:
    recorder = Recorder(Settings(state_dir=tmp_path))
    await recorder.start()
    with closing(sqlite3.connect(tmp_path / "calls.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        talk = Talk().recorded_by(recorder)
        talk.conversation.caller_said("Hello.")
        recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats())
        await degraded(recorder, "database is locked")
        other.execute("ROLLBACK")
    assert await whole(recorder, talk) == ["Hello."]
    await recorder.close()


async def test_calls_of_a_process_that_died_are_closed_when_the_database_is_free(tmp_path: Path) -> None:
    recorder = Recorder(Settings(state_dir=tmp_path))
    await recorder.start()
    talk = Talk().recorded_by(recorder)
    await until(lambda: recorder.health().queued == 0)
    with closing(sqlite3.connect(tmp_path / "calls.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        recorder.close_lost([talk.info.id])
        await degraded(recorder, "database is locked")
        other.execute("ROLLBACK")
    await until(lambda: recorder.health().state == "ready")
    call = await recorder.database.call(talk.info.id)
    assert call
    assert call.cause == database.PROCESS_DIED
    await recorder.close()


async def test_a_turn_goes_that_a_commit_in_doubt_had_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(Settings(state_dir=tmp_path))
    await recorder.start()
    talk = Talk().recorded_by(recorder)
    await until(lambda: recorder.health().queued == 0)
    session = recorder.database.session

    @asynccontextmanager
    async def cut_off() -> AsyncIterator[AsyncSession]:
        async with session() as opened:
            yield opened
        monkeypatch.setattr(recorder.database, "session", session)
        talk.conversation.take_back()  # before it is tried again
        raise OSError("The connection is gone.")  # behind the commit

    monkeypatch.setattr(recorder.database, "session", cut_off)
    talk.conversation.caller_said("I would like")
    await until(lambda: recorder.health().state == "degraded")
    recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats())
    assert await whole(recorder, talk) == []
    await recorder.close()


async def test_a_damaged_file_costs_no_record_of_a_call_that_ends(tmp_path: Path) -> None:
    recorder = Recorder(Settings(state_dir=tmp_path))
    await recorder.start()
    with closing(sqlite3.connect(tmp_path / "calls.db")) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page_bytes,) = other.execute("PRAGMA page_size").fetchone()
    whole = (tmp_path / "calls.db").read_bytes()
    (tmp_path / "calls.db").write_bytes(whole[:page_bytes] + bytes(len(whole) - page_bytes))
    talk = Talk().recorded_by(recorder)
    recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats())
    await degraded(recorder, "malformed")
    await recorder.close()
    assert (tmp_path / "records" / f"{talk.info.id}.json").exists()
    for name in ("calls.db", "calls.db-wal", "calls.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    again = Recorder(Settings(state_dir=tmp_path))
    await again.start()
    await until(lambda: again.health().queued == 0)
    assert await again.database.call(talk.info.id)
    await again.close()
