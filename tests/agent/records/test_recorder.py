"""What is kept of calls, in both databases."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import select, text, update
from sqlalchemy.dialects import sqlite

from agent.conversation import Action
from agent.records import database
from agent.records import recorder as module
from agent.records.database import PROCESS_DIED, Database, core
from agent.records.query import Query, cursor, place
from agent.records.recorder import Recorder
from agent.records.tables import Call, Turn
from config.errors import ConfigError
from config.settings import Settings
from tests.agent.records.conftest import Talk
from tests.postgres import Postgres
from tests.waiting import until
from transports.call import CallInfo, EndReason, MediaStats


async def written(recorder: Recorder) -> None:
    await until(lambda: recorder.health().queued == 0)


async def over(recorder: Recorder, talk: Talk) -> Call:
    """The record of a call that ends now."""
    recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats(100, 2, 1.5, 20.0))
    await written(recorder)
    call = await recorder.database.call(talk.info.id)
    assert call is not None
    return call


async def test_a_call_is_kept_whole(recorder: Recorder) -> None:
    talk = Talk(connected_at=1_800_000_000.0).recorded_by(recorder)
    talk.conversation.caller_said("What time is it?", end_of_turn={"wait_ms": 200, "reason": "sure"})
    talk.conversation.agent_said("It's four.", cut_off=True)
    called = talk.conversation.tool_called("take_message", {"message": "Call me."})
    await written(recorder)  # and once more, when it is over
    talk.conversation.tool_done(called, result={"status": "recorded"}, error=None, seconds=1.5)
    failed = talk.conversation.tool_called("book", {})
    talk.conversation.tool_done(failed, result=None, error="There is no table.", seconds=0.25)
    talk.conversation.failed("The model took too long.")
    call = await over(recorder, talk)
    assert (call.caller, call.called, call.remote, call.cause) == (
        "alice",
        "agent",
        "192.0.2.7",
        "caller_hangup",
    )
    assert call.connected == datetime.fromtimestamp(1_800_000_000, UTC)
    assert call.ended is not None
    assert call.ended.tzinfo is not None
    assert (call.packets_received, call.packets_lost, call.jitter_ms) == (100, 2, 1.5)
    assert call.models == {"stt": {"model": "base", "device": "cpu", "precision": None}}
    assert [(turn.speaker, turn.text, turn.cut_off) for turn in call.turns] == [
        ("caller", "What time is it?", False),
        ("agent", "It's four.", True),
    ]
    assert call.turns[0].end_of_turn == {"wait_ms": 200, "reason": "sure"}
    assert [(one.name, one.arguments, one.seconds, one.result, one.error) for one in call.tool_calls] == [
        ("take_message", {"message": "Call me."}, 1.5, {"status": "recorded"}, None),
        ("book", {}, 0.25, None, "There is no table."),
    ]
    assert [problem.text for problem in call.problems] == ["The model took too long."]


async def test_turns_are_there_before_the_call_is_over(recorder: Recorder) -> None:
    talk = Talk().recorded_by(recorder)
    talk.conversation.caller_said("Hello.")
    await written(recorder)
    async with recorder.database.session() as session:
        assert list(await session.scalars(select(Turn.text))) == ["Hello."]
    assert await recorder.database.call(talk.info.id) is None  # it is live


async def test_a_turn_that_is_taken_back_goes(recorder: Recorder) -> None:
    talk = Talk().recorded_by(recorder)
    talk.conversation.caller_said("I would like")
    talk.conversation.agent_said("Yes?", cut_off=True)
    await written(recorder)
    talk.conversation.take_back()
    talk.conversation.caller_said("I would like a table.")
    call = await over(recorder, talk)
    assert [turn.text for turn in call.turns] == ["I would like a table."]


async def test_what_a_dead_process_left_open_is_closed(settings: Settings) -> None:
    dead = Recorder(settings)
    await dead.start()
    talk = Talk().recorded_by(dead)
    talk.conversation.caller_said("Hello.")
    await written(dead)
    await dead.close()
    for _ in range(2):
        again = Recorder(settings)
        await again.start()
        call = await again.database.call(talk.info.id)
        assert call is not None
        assert call.cause == PROCESS_DIED
        assert call.ended == call.turns[0].at
        await again.close()


async def test_other_nodes_calls_stay_open(settings: Settings) -> None:
    elsewhere = settings.records.model_copy(update={"node": "other"})
    other = Recorder(settings.model_copy(update={"records": elsewhere}))
    await other.start()
    talk = Talk().recorded_by(other)
    await written(other)
    here = Recorder(settings)
    await here.start()
    assert await here.database.call(talk.info.id) is None
    await here.close()
    await other.close()


async def test_what_cant_be_stored_as_it_is_costs_nothing_else(recorder: Recorder) -> None:
    talk = Talk().recorded_by(recorder)
    talk.conversation.caller_said("NUL \0 and half a pair \ud83d.")
    talk.conversation.tool_called("note", {"text": ["\0", {"deep": "\ud83d"}]})
    call = await over(recorder, talk)
    assert [turn.text for turn in call.turns] == ["NUL  and half a pair ?."]
    assert call.tool_calls[0].arguments == {"text": ["", {"deep": "?"}]}


async def test_what_cant_be_written_is_told_without_its_words(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    talk = Talk().recorded_by(recorder)
    talk.conversation.caller_said("My PIN is 1234.", end_of_turn={"wait_ms": object()})  # type: ignore[dict-item]
    recorder.ended(talk, EndReason.IDLE, MediaStats())
    await written(recorder)
    assert "given up" in caplog.text
    assert recorder.health().note == "1 calls' records were given up."
    assert "1234" not in caplog.text


async def test_words_are_redacted(settings: Settings) -> None:
    chosen = settings.records.model_copy(update={"redact_digits": True, "redact": ("(?i)secret \\w+",)})
    recorder = Recorder(settings.model_copy(update={"records": chosen}))
    await recorder.start()
    asked = {"task": "book2", "step": "who", "waits_for": "name"}
    talk = Talk(flow={**asked, "slots": {"phone": "212", "name": "secret Ann"}}).recorded_by(recorder)
    talk.conversation.caller_said("My card is 4111 1111, secret word.")
    paid = talk.conversation.tool_called("pay", {"card": "4111"})
    talk.conversation.tool_done(paid, result={"paid": "with 4111"}, error="not 4111", seconds=1.0)
    call = await over(recorder, talk)
    assert call.turns[0].text == "My card is #### ####, [redacted]."
    assert call.tool_calls[0].arguments == {"card": "####"}
    assert call.tool_calls[0].result == {"paid": "with ####"}
    assert call.tool_calls[0].error == "not ####"
    assert call.flow == {**asked, "slots": {"phone": "###", "name": "[redacted]"}}
    await recorder.close()


async def test_numbers_are_redacted_but_for_those_of_actions(settings: Settings) -> None:
    chosen = settings.records.model_copy(update={"redact": (r"\d{4,}",)})
    recorder = Recorder(settings.model_copy(update={"records": chosen}))
    await recorder.start()
    talk = Talk(flow={"slots": {"phone": 5550100, "seats": 2}}).recorded_by(recorder)
    paid = talk.conversation.tool_called("pay", {"card": 4111, "now": True})
    talk.conversation.tool_done(paid, result=[{"amount": 1234.5, "seats": 2}], error=None, seconds=1.0)
    talk.conversation.acted(Action("hold", {"seconds": 3600}, "operator"))
    call = await over(recorder, talk)
    assert call.tool_calls[0].arguments == {"card": "[redacted]", "now": True}
    assert call.tool_calls[0].result == [{"amount": "[redacted].5", "seats": 2}]
    assert call.flow == {"slots": {"phone": "[redacted]", "seats": 2}}
    assert call.actions[0].arguments == {"seconds": 3600}
    await recorder.close()


async def test_pages_and_filters(recorder: Recorder) -> None:
    for number in range(7):
        caller = "alice" if number % 2 else "bob"
        talk = Talk(CallInfo("sip", caller, "agent", since=1_800_000_000.0 + number)).recorded_by(recorder)
        recorder.ended(talk, EndReason.IDLE, MediaStats())
    await written(recorder)
    query, seen = Query(limit=3), []
    while page := await recorder.database.page(query):
        seen += [call.began.timestamp() for call in page]
        query = Query(limit=3, after=place(cursor(page[-1])))
    assert seen == [1_800_000_000.0 + number for number in reversed(range(7))]
    since = datetime.fromtimestamp(1_800_000_004, UTC)
    late = await recorder.database.page(Query(caller="alice", since=since))
    assert [call.began.timestamp() for call in late] == [1_800_000_005.0]
    assert await recorder.database.page(Query(cause="drain")) == []


async def test_a_later_page_begins_where_the_one_before_ended(tmp_path: Path) -> None:
    """And isn't counted off from the newest call."""
    recorder = Recorder(Settings(state_dir=tmp_path))
    await recorder.start()
    page = Query(after=(datetime.now(UTC), "9f2c51d07a3e")).narrow(
        select(Call).where(Call.ended.is_not(None))
    )
    query = page.compile(dialect=sqlite.dialect())  # its values are unknown to the planner
    assert query.positiontup
    async with recorder.database.session() as session:
        connection = await session.connection()
        unknown = (None,) * len(query.positiontup)
        plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", unknown)
    assert [step.detail for step in plan] == ["SEARCH calls USING INDEX calls_by_time (began<?)"]
    await recorder.close()


@pytest.mark.parametrize("text", ["", "x", "bm9wZQ==", "W10=", "WyJhIiwgImIiXQ=="])
def test_what_is_no_cursor(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        place(text)


async def test_a_caller_is_forgotten(recorder: Recorder) -> None:
    kept = Talk(CallInfo("sip", "bob", "agent")).recorded_by(recorder)
    gone = Talk().recorded_by(recorder)
    gone.conversation.caller_said("Hello.")
    await over(recorder, gone)
    await over(recorder, kept)
    assert await recorder.database.forget("alice") == 1
    assert await recorder.database.call(gone.info.id) is None
    assert await recorder.database.call(kept.info.id) is not None
    async with recorder.database.session() as session:
        assert list(await session.scalars(select(Turn))) == []


async def test_whom_we_called_is_forgotten(recorder: Recorder) -> None:
    ours = CallInfo("sip", "", "alice", direction="outbound")
    made = Talk(ours).recorded_by(recorder)
    to_us = Talk(CallInfo("sip", "bob", "alice")).recorded_by(recorder)
    await over(recorder, made)
    await over(recorder, to_us)
    assert await recorder.database.forget("alice") == 1
    assert await recorder.database.call(to_us.info.id) is not None


async def test_words_go_before_records_do(recorder: Recorder) -> None:
    flow = {"task": "book", "step": "who", "waits_for": "name", "slots": {"people": 4}}
    talk = Talk(flow=flow).recorded_by(recorder)
    talk.conversation.caller_said("Hello.")
    await over(recorder, talk)
    async with recorder.database.session() as session:
        await session.execute(update(Call).values(summary="A greeting."))

    async def sweep(days: int) -> None:
        later = datetime.now(UTC) + timedelta(days=days)
        await recorder.database.sweep(later, keep_days=90, keep_words_days=30)

    await sweep(29)
    call = await recorder.database.call(talk.info.id)
    assert call is not None
    assert (len(call.turns), call.summary, call.flow) == (1, "A greeting.", flow)
    await sweep(31)
    call = await recorder.database.call(talk.info.id)
    assert call is not None
    assert (call.turns, call.summary, call.flow) == ([], None, None)
    await sweep(91)
    assert await recorder.database.call(talk.info.id) is None


async def test_a_sweep_writes_nothing_where_nothing_is_left_to_go(tmp_path: Path) -> None:
    recorder = Recorder(Settings(state_dir=tmp_path))
    await recorder.start()
    talk = Talk().recorded_by(recorder)
    talk.conversation.caller_said("Hello.")
    await over(recorder, talk)
    changes = []
    for _ in range(3):
        async with recorder.database.session() as session:
            changes.append(await session.scalar(text("SELECT total_changes()")))
        later = datetime.now(UTC) + timedelta(days=31)
        assert await recorder.database.sweep(later, keep_days=90, keep_words_days=30) == (0, False)
    assert changes[0] < changes[1] == changes[2]
    await recorder.close()


async def test_many_old_calls_go_one_portion_after_the_other(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "SWEPT_AT_ONCE", 2)
    recorder = Recorder(settings)
    await recorder.start()
    for _ in range(9):
        talk = Talk().recorded_by(recorder)
        talk.conversation.caller_said("Hello.")
        recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats())
    await written(recorder)
    async with recorder.database.session() as session:
        calls = list(await session.scalars(select(Call)))
        for call, days in zip(calls, [31] * 5 + [91] * 4, strict=True):
            call.ended = datetime.now(UTC) - timedelta(days=days)
    await recorder.close()
    again = Recorder(settings)
    await again.start()

    async def swept() -> bool:
        async with again.database.session() as session:
            return not list(await session.scalars(select(Turn)))

    async with asyncio.timeout(30):
        while not await swept():  # noqa: ASYNC110 - in a database
            await asyncio.sleep(0.01)
    assert len(await again.database.page(Query())) == 5
    await again.close()


async def test_what_nobody_closes_goes_as_well(recorder: Recorder) -> None:
    """Of a node that never came back."""
    talk = Talk().recorded_by(recorder)
    talk.conversation.caller_said("Hello.")
    await written(recorder)
    for days, left in ((30, (1, 1)), (32, (1, 0)), (92, (0, 0))):
        later = datetime.now(UTC) + timedelta(days=days)
        await recorder.database.sweep(later, keep_days=90, keep_words_days=30)
        async with recorder.database.session() as session:
            found = [len(list(await session.scalars(select(table)))) for table in (Call, Turn)]
        assert tuple(found) == left


async def test_a_container_that_is_made_anew_goes_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is one node's, whatever its host is called now."""
    if settings.records.url:
        pytest.skip("PostgreSQL may have several nodes, whose names tell them apart")
    monkeypatch.setattr(socket, "gethostname", lambda: "1f2e3d")
    dead = Recorder(settings)
    await dead.start()
    talk = Talk().recorded_by(dead)
    await written(dead)
    await dead.close()
    monkeypatch.setattr(socket, "gethostname", lambda: "3d2e1f")
    again = Recorder(settings)
    await again.start()
    call = await again.database.call(talk.info.id)
    assert call is not None
    assert call.cause == PROCESS_DIED
    await again.close()


@pytest.mark.peers
async def test_a_database_that_is_away_costs_no_record(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.2)
    recorder = Recorder(Settings.model_validate({"state_dir": tmp_path, "records": {"url": server.url}}))
    await recorder.start()
    talk = Talk().recorded_by(recorder)
    talk.conversation.caller_said("Before.")
    await written(recorder)
    await asyncio.to_thread(server.stop)
    talk.conversation.caller_said("Meanwhile.")
    await until(lambda: recorder.health().state == "degraded")
    assert "1 calls wait to be written" in str(recorder.health().last_error)
    recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats())
    await asyncio.to_thread(server.start)
    await written(recorder)
    await until(lambda: recorder.health().state == "ready")
    call = await recorder.database.call(talk.info.id)
    assert call is not None
    assert [turn.text for turn in call.turns] == ["Before.", "Meanwhile."]
    await recorder.close()


async def test_a_folder_that_cant_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    (tmp_path / "state").write_text("a file")
    recorder = Recorder(Settings(state_dir=tmp_path / "state"))
    await recorder.start()
    talk = Talk().recorded_by(recorder)
    recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats())
    assert recorder.health().state == "degraded"
    (tmp_path / "state").unlink()
    await until(lambda: recorder.health().state == "ready" and recorder.health().queued == 0)
    assert await recorder.database.call(talk.info.id) is not None
    await recorder.close()


async def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    (tmp_path / "state").write_text("a file")
    recorder = Recorder(Settings(state_dir=tmp_path / "state"))
    await recorder.start()
    for _ in range(5):
        recorder.ended(Talk().recorded_by(recorder), EndReason.IDLE, MediaStats())
    assert recorder.health().queued == 3
    assert "2 calls' records were given up" in str(recorder.health().last_error)
    await recorder.close()


async def test_the_migrations_make_these_tables(recorder: Recorder) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import Connection

    from agent.records.tables import Base

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))

    assert recorder.database._engine is not None
    async with recorder.database._engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_what_an_earlier_offhook_wrote_is_brought_up_to_date(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = command.upgrade
    with monkeypatch.context() as earlier:
        earlier.setattr(command, "upgrade", lambda config, _: upgrade(config, "0001"))
        first = Database(settings)
        await first.connect()
    recorder, talk = Recorder(settings), Talk()
    columns = recorder._columns(talk) | {"ended": datetime.now(UTC), "models": {}}
    later = ("flow", "recording_")
    old = {name: value for name, value in columns.items() if not name.startswith(later)}
    async with first.session() as session:
        await session.execute(core(Call).insert().values(old))
    await first.close()
    await recorder.start()
    found = await recorder.database.call(talk.info.id)
    assert found
    assert (found.caller, found.recording_path, found.actions) == ("alice", None, [])
    await over(recorder, Talk().recorded_by(recorder))  # and goes on
    await recorder.close()


async def test_bringing_it_up_to_date_can_be_done_again_where_it_broke_off(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks_off(*_: object, **__: object) -> None:
        raise OSError("The disk is full.")

    upgrade = command.upgrade
    first = Database(settings)
    with monkeypatch.context() as earlier:
        earlier.setattr(command, "upgrade", lambda config, _: upgrade(config, "0007"))
        await first.connect()
    with monkeypatch.context() as broken:
        broken.setattr("alembic.op.create_table", breaks_off)
        with pytest.raises(OSError, match="disk is full"):
            await first.connect()
    await first.connect()
    await first.close()


def test_a_database_without_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.records.database.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="pip install"):
        Recorder(Settings.model_validate({"records": {"url": "postgresql://offhook@localhost/calls"}}))


@pytest.mark.parametrize("url", ["mysql://localhost/calls", "calls.db", ""])
def test_what_is_no_database(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite:/// or postgresql://"):
        Settings.model_validate({"records": {"url": url}})
