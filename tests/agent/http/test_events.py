"""What happens in calls, followed over HTTP."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
import websockets
from starlette.types import Message, Scope

from agent import events as module
from agent import workers
from agent.conversation import LatencyTrace
from agent.events import Events, TooManyReaders
from agent.http import events as http
from agent.http.app import create_app
from agent.peer import CLUSTER_KEY
from config.settings import Settings
from tests.agent.cluster.conftest import KEY, settings_of
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeModels
from tests.agent.records.conftest import Talk
from tests.waiting import until
from transports.call import EndReason, MediaStats

_ASKED: Scope = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/api/v1/events",
    "raw_path": b"/api/v1/events",
    "query_string": b"",
    "root_path": "",
    "headers": [(b"host", b"localhost")],
    "client": ("127.0.0.1", 1),
    "server": ("127.0.0.1", 8080),
}


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
async def client(serve: Serve, events: Events) -> httpx2.AsyncClient:
    app = create_app(settings=Settings(), calls=FakeCalls(), models=FakeModels(), events=events)
    return await serve(app)


def begun(events: Events) -> Talk:
    talk = Talk()
    events.began(talk)
    talk.conversation.on_changed = lambda: events.changed(talk)
    return talk


def ended(events: Events, talk: Talk) -> None:
    events.ended(talk, EndReason.CALLER_HANGUP, MediaStats())


async def followed(client: httpx2.AsyncClient, events: Events, query: str = "") -> AsyncGenerator[Any, None]:
    """Each event, as it comes. Begins with None, once it follows."""
    async with client.stream("GET", f"/api/v1/events{query}") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        await until(lambda: bool(events._readers))
        yield None
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


async def test_a_call_is_followed_to_its_end(client: httpx2.AsyncClient, events: Events) -> None:
    async with aclosing(followed(client, events)) as following:
        await anext(following)
        talk = begun(events)
        talk.conversation.caller_said("I would like")
        trace = LatencyTrace(10.0)
        trace.mark("first_packet", 10.4)
        events.answered(talk, trace)
        talk.false_starts = 1
        talk.conversation.take_back()
        talk.conversation.caller_said("I would like a table.")
        called = talk.conversation.tool_called("take_message", {"message": "a table"})
        talk.conversation.tool_done(called, result={"status": "recorded"}, error=None, seconds=2.0)
        talk.conversation.failed("The model took too long.")
        ended(events, talk)
        seen = [await anext(following) for _ in range(9)]
    assert {event["session"] for event in seen} == {talk.info.id}
    kinds = ["started", "turn", "answered", "false_start", "turn"]
    kinds += ["tool_call", "tool_done", "problem", "ended"]
    assert [event["type"] for event in seen] == kinds
    assert (seen[0]["from"], seen[0]["to"], seen[0]["direction"]) == ("alice", "agent", "inbound")
    assert seen[1]["turn"]["text"] == "I would like"
    assert seen[2]["voice_to_voice_ms"] == pytest.approx(400)
    assert seen[4]["turn"]["text"] == "I would like a table."
    assert seen[5]["tool_call"]["name"] == "take_message"
    assert "seconds" not in seen[5]["tool_call"]
    assert (seen[6]["tool_call"]["seconds"], seen[6]["tool_call"]["result"]) == (2.0, {"status": "recorded"})
    assert seen[7]["problem"]["text"] == "The model took too long."
    assert seen[8]["cause"] == "caller_hangup"
    await until(lambda: not events._readers)


async def test_one_call_is_followed_until_it_has_ended(client: httpx2.AsyncClient, events: Events) -> None:
    talk = begun(events)
    async with aclosing(followed(client, events, f"?session={talk.info.id}")) as following:
        await anext(following)
        ended(events, begun(events))
        talk.conversation.caller_said("Hello.")
        ended(events, talk)
        assert [event["type"] async for event in following] == ["turn", "ended"]


async def test_a_call_that_is_over_has_no_more(client: httpx2.AsyncClient, events: Events) -> None:
    talk = begun(events)
    ended(events, talk)
    answer = await client.get(f"/api/v1/events?session={talk.info.id}", timeout=5)
    assert "event" not in answer.text
    url = f"ws://{client.base_url.netloc.decode()}/api/v1/events?session={talk.info.id}"
    async with websockets.connect(url) as socket:
        with pytest.raises(websockets.ConnectionClosedOK):
            await asyncio.wait_for(socket.recv(), 15)
    assert not events._readers


@pytest.mark.parametrize("sent", [0, 1, 2])
async def test_who_leaves_while_something_is_sent_follows_no_more(events: Events, sent: int) -> None:
    app = create_app(settings=Settings(), calls=FakeCalls(), models=FakeModels(), events=events)
    messages: list[Message] = []
    stuck, left = asyncio.Event(), asyncio.Event()

    async def send(message: Message) -> None:
        messages.append(message)
        if len(messages) > sent:
            stuck.set()
            await asyncio.Event().wait()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    answering = asyncio.create_task(app(_ASKED, receive, send))
    await until(lambda: bool(events._readers))
    ended(events, begun(events))
    await asyncio.wait_for(stuck.wait(), 15)
    gc.disable()  # which ends what was never ended
    try:
        left.set()
        await answering
        assert not events._readers
    finally:
        gc.enable()


async def test_a_websocket_has_the_same(client: httpx2.AsyncClient, events: Events) -> None:
    url = f"ws://{client.base_url.netloc.decode()}/api/v1/events"
    async with websockets.connect(url) as socket:
        await until(lambda: bool(events._readers))
        ended(events, begun(events))
        assert [json.loads(await socket.recv())["type"] for _ in range(2)] == ["started", "ended"]
    await until(lambda: not events._readers)


async def test_who_reads_too_slowly_is_told(
    client: httpx2.AsyncClient, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 4)
    async with aclosing(followed(client, events)) as following:
        await anext(following)
        for _ in range(10):  # within one turn of the loop, in which nobody can read
            ended(events, begun(events))
        assert "too slowly" in (await anext(following))["detail"]
    assert not events._readers


async def test_who_follows_is_told_where_another_process_wasnt_heard(
    client: httpx2.AsyncClient, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "LOOK_EVERY_S", 0.01)
    dispatcher: Any = SimpleNamespace(owner=lambda id: 1 if id == "on" else None)
    cut, asked = asyncio.Event(), 0

    async def told() -> AsyncGenerator[bytes, None]:
        for id in ("on", "over"):
            yield f'data: {{"type": "started", "session": "{id}"}}\n\n'.encode()
        await cut.wait()

    async def quiet() -> AsyncGenerator[bytes, None]:
        await asyncio.Event().wait()
        yield b""

    def answer(_: httpx2.Request) -> httpx2.Response:
        nonlocal asked
        asked += 1
        return httpx2.Response(200, content=told() if asked == 1 else quiet())

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer), base_url="http://localhost")
    unused: Any = None
    others = workers.Workers(Settings(), unused, dispatcher, events, unused)
    async with http, aclosing(followed(client, events)) as following:
        await anext(following)
        passing_on = asyncio.create_task(others._follow(workers._Worker(1, http)))
        assert [(await anext(following))["session"] for _ in range(2)] == ["on", "over"]
        cut.set()
        async with asyncio.timeout(15):
            assert "a process was away" in (await anext(following))["detail"]
        assert await events.follow("over").next() is None
        events.follow("on")
        assert len(events._readers) == 1
        passing_on.cancel()
        await asyncio.gather(passing_on, return_exceptions=True)
    await others.close(0)


async def test_readers_are_bounded(
    client: httpx2.AsyncClient, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_READERS", 1)
    async with aclosing(followed(client, events)) as following:
        await anext(following)
        assert (await client.get("/api/v1/events")).status_code == 503
        with pytest.raises(websockets.ConnectionClosed) as closed:
            async with websockets.connect(f"ws://{client.base_url.netloc.decode()}/api/v1/events") as socket:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013


async def test_who_follows_all_nodes_takes_a_place_at_one(
    serve: Serve, events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_READERS", 1)
    settings = settings_of("one", "postgresql://host/db", tmp_path)
    nodes: Any = SimpleNamespace(share=lambda rates: None)
    app = create_app(settings=settings, calls=FakeCalls(), models=FakeModels(), events=events, nodes=nodes)
    client = await serve(app)
    async with (
        client.stream("GET", "/api/v1/events", headers={CLUSTER_KEY: KEY}) as one,
        client.stream("GET", "/api/v1/events", headers={CLUSTER_KEY: KEY}) as other,
    ):
        assert (one.status_code, other.status_code) == (200, 200)
        events.follow()
        with pytest.raises(TooManyReaders):
            events.follow()


async def test_a_quiet_stream_stays_alive(
    client: httpx2.AsyncClient, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "ALIVE_EVERY_S", 0.05)
    async with client.stream("GET", "/api/v1/events") as answer:
        lines = answer.aiter_lines()
        async with asyncio.timeout(15):
            while ": alive" not in await anext(lines):
                pass


async def test_everybody_comes_to_an_end_with_the_server(client: httpx2.AsyncClient, events: Events) -> None:
    async with aclosing(followed(client, events)) as following:
        await anext(following)
        events.close()
        assert [event async for event in following] == []
