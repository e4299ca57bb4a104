"""Calls that are over, as the API shows them."""

from __future__ import annotations

import base64
import csv
import json
from pathlib import Path

import httpx2
import pytest

from agent.http.app import create_app
from agent.records.recorder import Recorder
from config.settings import Settings
from models.pool import ComponentHealth
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeModels
from tests.agent.records.conftest import Talk
from tests.waiting import until
from transports.call import CallInfo, EndReason, MediaStats


@pytest.fixture
def calls() -> FakeCalls:
    return FakeCalls()


@pytest.fixture
async def client(serve: Serve, calls: FakeCalls, recorder: Recorder) -> httpx2.AsyncClient:
    app = create_app(settings=Settings(), calls=calls, models=FakeModels(), past=recorder.database)
    return await serve(app)


async def past(recorder: Recorder, caller: str = "alice", said: str = "Hello.", since: float = 1e9) -> str:
    """A call that is over; returns its id."""
    talk = Talk(CallInfo("sip", caller, "agent", since=since)).recorded_by(recorder)
    talk.conversation.caller_said(said)
    talk.conversation.tool_called("take_message", {"message": "Call me."})
    recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats(100, 0))
    await until(lambda: recorder.health().queued == 0)
    return talk.info.id


async def ids(client: httpx2.AsyncClient, **query: str | int) -> list[str]:
    answer = await client.get("/api/v1/sessions", params=query)
    assert answer.status_code == 200, answer.text
    return [session["id"] for session in answer.json()["sessions"]]


async def test_live_is_what_is_shown_unasked(
    client: httpx2.AsyncClient, calls: FakeCalls, recorder: Recorder
) -> None:
    live, ended = calls.add("bob").info.id, await past(recorder)
    assert await ids(client) == [live]
    assert await ids(client, state="ended") == [ended]
    assert await ids(client, state="all") == [live, ended]
    assert await ids(client, state="all", **{"from": "alice"}) == [ended]
    assert await ids(client, state="all", cause="caller_hangup") == [ended]
    assert await ids(client, state="all", since="2030-01-01T00:00:00Z") == []


async def test_pages_follow_each_other(client: httpx2.AsyncClient, recorder: Recorder) -> None:
    made = [await past(recorder, since=1e9 + number) for number in range(5)]
    first = (await client.get("/api/v1/sessions?state=ended&limit=3")).json()
    rest = (await client.get(f"/api/v1/sessions?state=ended&limit=3&cursor={first['next']}")).json()
    assert [each["id"] for each in first["sessions"] + rest["sessions"]] == made[::-1]
    assert rest["next"] is None
    assert (await client.get("/api/v1/sessions?state=ended&limit=5")).json()["next"] is None


async def test_one_past_call(client: httpx2.AsyncClient, recorder: Recorder) -> None:
    answer = (await client.get(f"/api/v1/sessions/{await past(recorder)}")).json()
    assert answer["state"] == "ended"
    assert answer["cause"] == "caller_hangup"
    assert answer["quality"]["packets_received"] == 100
    assert [turn["text"] for turn in answer["transcript"]] == ["Hello."]
    assert [tool["name"] for tool in answer["tool_calls"]] == ["take_message"]


async def test_an_unknown_call(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/api/v1/sessions/nobody")
    assert answer.status_code == 404
    assert "state=all" in answer.json()["detail"]


@pytest.mark.parametrize(
    "query", ["cursor=none", "limit=0", "limit=501", "state=gone", "since=now", "since=1e9"]
)
async def test_what_cant_be_asked(client: httpx2.AsyncClient, query: str) -> None:
    assert (await client.get(f"/api/v1/sessions?state=ended&{query}")).status_code == 422


async def test_export(client: httpx2.AsyncClient, recorder: Recorder) -> None:
    made = [
        await past(recorder, caller="=cmd()", said='"Hi",\nshe said', since=1e9),
        await past(recorder, since=2e9),
    ]
    lines = (await client.get("/api/v1/sessions/export")).text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == made[::-1]
    assert json.loads(lines[1])["transcript"][0]["text"] == '"Hi",\nshe said'
    table = (await client.get("/api/v1/sessions/export?format=csv&from=%3Dcmd()")).text
    rows = list(csv.DictReader(table.splitlines()))
    assert [row["id"] for row in rows] == made[:1]
    assert rows[0]["from"] == "'=cmd()"  # no spreadsheet's formula
    nobody = (await client.get("/api/v1/sessions/export?format=csv&from=nobody")).text
    assert nobody.splitlines() == table.splitlines()[:1]


async def test_forgetting_a_caller(client: httpx2.AsyncClient, recorder: Recorder) -> None:
    await past(recorder)
    kept = await past(recorder, caller="+49 30/123")
    answer = await client.delete("/api/v1/sessions?from=alice")
    assert answer.json() == {"calls": 1, "messages": 0, "recordings": 0}
    assert await ids(client, state="ended") == [kept]
    assert (await client.delete("/api/v1/sessions")).status_code == 422  # not everybody
    assert (await client.delete("/api/v1/sessions?from=nobody")).json() == {
        "calls": 0,
        "messages": 0,
        "recordings": 0,
    }
    assert (await client.delete("/api/v1/sessions", params={"from": "+49 30/123"})).json() == {
        "calls": 1,
        "messages": 0,
        "recordings": 0,
    }


async def test_nobody_is_forgotten_while_calls_wait_to_be_written(
    serve: Serve, recorder: Recorder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise OSError("The database is away.")

    monkeypatch.setattr("agent.http.sessions.WRITTEN_WAIT_S", 0.05)
    monkeypatch.setattr("agent.records.recorder.RETRY_S", 0.05)
    app = create_app(
        settings=settings,
        calls=FakeCalls(),
        models=FakeModels(),
        past=recorder.database,
        owed=recorder.owes,
    )
    client = await serve(app)
    with monkeypatch.context() as away:
        away.setattr(recorder.database, "session", gone)
        talk = Talk().recorded_by(recorder)
        recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats())
        await until(lambda: recorder.health().state == "degraded")
        refused = await client.delete("/api/v1/sessions?from=alice")
        assert (refused.status_code, "wait to be written" in refused.json()["detail"]) == (503, True)
    await until(lambda: not recorder.owes())
    assert (await client.delete("/api/v1/sessions?from=alice")).json()["calls"] == 1


async def test_without_records(serve: Serve, calls: FakeCalls) -> None:
    client = await serve(create_app(settings=Settings(), calls=calls, models=FakeModels()))
    assert await ids(client) == []
    for method, path in (
        ("GET", "/api/v1/sessions?state=all"),
        ("GET", "/api/v1/sessions/export"),
    ):
        answer = await client.request(method, path)
        assert answer.status_code == 503
        assert "records.enabled" in answer.json()["detail"]
    assert (await client.get("/api/v1/sessions/nobody")).status_code == 404


async def test_a_folder_that_cant_be_written(serve: Serve, calls: FakeCalls, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    recorder = Recorder(Settings(state_dir=tmp_path / "state"))
    await recorder.start()
    client = await serve(
        create_app(settings=Settings(), calls=calls, models=FakeModels(), past=recorder.database)
    )
    for method, path in (
        ("GET", "/api/v1/sessions?state=all"),
        ("GET", "/api/v1/sessions/nobody"),
        ("GET", "/api/v1/sessions/export"),
        ("DELETE", "/api/v1/sessions?from=alice"),
    ):
        assert (await client.request(method, path)).status_code == 503
    await recorder.close()


@pytest.mark.parametrize(
    "when", ["0001-01-01T00:00:00", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00+14:00"]
)
async def test_times_beyond_all_zones(client: httpx2.AsyncClient, calls: FakeCalls, when: str) -> None:
    calls.add()
    for state in ("live", "all"):
        for key in ("since", "until"):
            answer = await client.get("/api/v1/sessions", params={"state": state, key: when})
            assert answer.status_code == 422
    token = base64.urlsafe_b64encode(json.dumps([when, "x"]).encode()).decode()
    answer = await client.get("/api/v1/sessions", params={"state": "all", "cursor": token})
    assert answer.status_code == 422


async def test_a_database_that_is_away(serve: Serve, calls: FakeCalls, tmp_path: Path) -> None:
    settings = Settings.model_validate({"records": {"url": "postgresql://offhook:s3cret@127.0.0.1:1/none"}})
    recorder = Recorder(settings)
    await recorder.start()
    client = await serve(
        create_app(
            settings=settings, calls=calls, models=FakeModels(), listeners=[Health(recorder)],
            past=recorder.database,
        )
    )  # fmt: skip
    live = calls.add().info.id
    assert await ids(client) == [live]
    answer = await client.get("/api/v1/sessions?state=all")
    assert answer.status_code == 503
    health = (await client.get("/health")).text
    assert '"degraded"' in health
    assert "s3cret" not in health + answer.text
    assert (await client.get("/readyz")).status_code == 200
    await recorder.close()


class Health:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def health(self) -> list[ComponentHealth]:
        return [self._recorder.health()]
