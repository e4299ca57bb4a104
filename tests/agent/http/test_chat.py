"""Chat over JSON, server-sent events and a WebSocket, against a scripted endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import websockets

from agent.http.admission import TextAdmission
from agent.http.app import create_app
from agent.http.chat import Chat
from agent.http.text import chat_router
from config.llm import LlmSettings
from config.settings import Settings, TextSettings
from models.errors import ModelAway
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeEndpoint, FakeLlm, FakeModels, ScriptedLlm
from tests.waiting import until


@dataclass
class Running:
    client: httpx2.AsyncClient
    script: ScriptedLlm
    calls: FakeCalls
    llm: FakeLlm
    admission: TextAdmission

    def socket(self) -> websockets.connect:
        return websockets.connect(f"ws://127.0.0.1:{self.client.base_url.port}/api/v1/chat")

    async def ask(self, text: str, **more: str) -> httpx2.Response:
        return await self.client.post("/api/v1/chat", json={"text": text, **more})


@pytest.fixture
async def running(serve: Serve) -> AsyncIterator[Running]:
    script = ScriptedLlm()
    endpoint = await serve(script.app())
    calls = FakeCalls()
    text = TextSettings(group_tokens=2, max_requests=2)
    settings = Settings(llm=LlmSettings(first_token_timeout_s=0.5), text=text)
    asked = FakeEndpoint(url=f"{endpoint.base_url}/v1".replace("//v1", "/v1"))
    llm = FakeLlm(asked, settings.llm)
    admission = TextAdmission(calls, text.max_requests)
    models = FakeModels(llm=llm)
    chat = Chat(
        models, admission, [{"role": "system", "content": "Be brief."}], "en", settings.llm, settings.text
    )
    app = create_app(
        settings=settings,
        calls=calls,
        models=models,
        routers=[chat_router(chat, text.group_tokens)],
    )
    yield Running(await serve(app), script, calls, llm, admission)
    script.released.set()
    await asked.close()


async def receive(socket: websockets.ClientConnection) -> dict[str, Any]:
    return dict(json.loads(await asyncio.wait_for(socket.recv(), 5)))


async def test_json_answer(running: Running) -> None:
    reply = (await running.ask("What's the capital of France?")).json()
    assert reply["text"] == "Paris is the capital."
    assert reply["total_ms"] >= reply["ttft_ms"] > 0
    assert running.script.seen[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What's the capital of France?"},
    ]


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", ""])
async def test_json_that_isnt_sent_as_such_is_told(running: Running, kind: str) -> None:
    answer = await running.client.post(
        "/api/v1/chat", content=b'{"text": "Hello."}', headers={"Content-Type": kind}
    )
    assert answer.status_code == 422
    assert answer.json()["detail"] == "Send the body as JSON, with Content-Type: application/json. See /docs."


async def test_a_conversation_goes_on(running: Running) -> None:
    first = (await running.ask("One?")).json()
    await running.ask("Two?", conversation=first["conversation"])
    roles = [message["role"] for message in running.script.seen[1]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    await running.ask("Three?")
    assert len(running.script.seen[2]["messages"]) == 2


async def test_server_sent_events(running: Running) -> None:
    headers = {"Accept": "text/event-stream"}
    response = await running.client.post("/api/v1/chat", json={"text": "Hi"}, headers=headers)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [
        tuple(line.split(": ", 1)[1] for line in event.splitlines())
        for event in response.text.strip().split("\n\n")
    ]
    assert [name for name, _ in events] == ["token"] * 5 + ["done"]
    assert (
        "".join(json.loads(data)["text"] for name, data in events if name == "token")
        == "Paris is the capital."
    )
    assert json.loads(events[-1][1])["text"] == "Paris is the capital."


async def test_the_websocket_sends_the_first_token_alone_then_groups(running: Running) -> None:
    async with running.socket() as socket:
        await socket.send(json.dumps({"text": "Hi"}))
        groups = []
        while (message := await receive(socket))["type"] == "tokens":
            groups.append(message["text"])
        assert groups == ["Paris", " is the", " capital."]
        assert message["type"] == "done"
        await socket.send(json.dumps({"text": "And now?"}))
        assert (await receive(socket))["text"] == "Paris"
        assert len(running.script.seen[1]["messages"]) == 4


async def test_a_new_text_interrupts_the_answer(running: Running) -> None:
    running.script.hold_after = 1
    async with running.socket() as socket:
        await socket.send(json.dumps({"text": "Hi"}))
        assert (await receive(socket))["text"] == "Paris"
        running.script.hold_after = None
        await socket.send(json.dumps({"text": "Stop."}))
        assert (await receive(socket))["type"] == "cut_off"
        assert (await receive(socket))["text"] == "Paris"
    assert running.script.seen[1]["messages"][2] == {"role": "assistant", "content": "Paris"}


async def test_leaving_in_mid_answer_frees_the_place(running: Running) -> None:
    running.script.hold_after = 1
    async with running.socket() as socket:
        await socket.send(json.dumps({"text": "Hi"}))
        await receive(socket)
        assert running.admission.at_work == 1
    await until(lambda: running.admission.at_work == 0)


QUESTION = json.dumps({"text": "Hi"}).encode()
OVER_SSE = (
    b"POST /api/v1/chat HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(QUESTION)
) + QUESTION
UPGRADE = (
    b"GET /api/v1/chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MESSAGE = bytes([0x81, 0x80 | len(QUESTION)]) + bytes(4) + QUESTION  # masked with zeros


@pytest.mark.parametrize("sent", [(OVER_SSE,), (UPGRADE, MESSAGE)], ids=["sse", "websocket"])
async def test_who_doesnt_read_holds_no_place_and_is_dropped(
    running: Running, sent: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.http.connections.READER_S", 0.4)
    running.script.tokens = ["word " * 20_000] * 60
    loop = asyncio.get_running_loop()
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.setblocking(False)
        await loop.sock_connect(peer, ("127.0.0.1", running.client.base_url.port))
        for part in sent:
            if part is MESSAGE:
                await loop.sock_recv(peer, 1024)  # it is taken once the upgrade has been
            await loop.sock_sendall(peer, part)
        await until(lambda: running.script.seen != [])
        await until(lambda: running.admission.at_work == 0)
        await asyncio.sleep(0.8)  # without reading: of what waits, only the socket's buffers are left
        received = 0
        with contextlib.suppress(ConnectionError):
            while data := await asyncio.wait_for(loop.sock_recv(peer, 65_536), 5):
                received += len(data)
    assert received < 5_000_000


@pytest.mark.parametrize("bad", ["{", "[]", '{"text": ""}', '{"text": "x", "conversation": "../"}'])
async def test_bad_messages_get_a_sentence_and_the_socket_lives(running: Running, bad: str) -> None:
    async with running.socket() as socket:
        await socket.send(bad)
        error = await receive(socket)
        assert (error["type"], error["status"]) == ("error", 422)
        await socket.send(json.dumps({"text": "Hi"}))
        assert (await receive(socket))["type"] == "tokens"


async def test_binary_and_oversized_messages_close_with_the_right_code(running: Running) -> None:
    for message, code in ((b"\x00", 1003), ("x" * 70_000, 1009)):
        async with running.socket() as socket:
            await socket.send(message)
            with pytest.raises(websockets.ConnectionClosed):
                await asyncio.wait_for(socket.recv(), 5)
            assert socket.close_code == code


async def test_draining_and_too_many_requests_are_503(running: Running) -> None:
    running.calls.accepting = (False, "The server is draining.")
    refused = await running.ask("Hi")
    assert refused.status_code == 503
    assert refused.json()["detail"] == "The server is draining."

    running.calls.accepting = (True, "")
    running.script.hold_after = 0
    busy = [asyncio.create_task(running.ask("Hi")) for _ in range(2)]
    await until(lambda: running.admission.at_work == 2)
    refused = await running.ask("Hi")
    assert refused.status_code == 503
    assert "text.max_requests" in refused.json()["detail"]
    running.script.released.set()
    assert [reply.status_code for reply in await asyncio.gather(*busy)] == [200, 200]


async def test_one_answer_at_a_time_in_a_conversation(running: Running) -> None:
    running.script.hold_after = 0
    first = asyncio.create_task(running.ask("Hi", conversation="mine"))
    await asyncio.wait_for(running.script.holding.wait(), 5)
    assert (await running.ask("Hello?", conversation="mine")).status_code == 409
    running.script.released.set()
    assert (await first).status_code == 200


async def test_of_two_questions_at_once_one_is_answered(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting: list[str] = []
    both = asyncio.Event()

    async def count(text: str) -> int:
        counting.append(text)
        await both.wait()
        return len(text)

    running.llm.endpoint.room = 100
    monkeypatch.setattr(running.llm.endpoint, "count", count)
    asked = [asyncio.create_task(running.ask(text, conversation="mine")) for text in ("Hi", "Hello?")]
    await until(lambda: len(counting) == 2)
    both.set()
    assert sorted([reply.status_code for reply in await asyncio.gather(*asked)]) == [200, 409]
    assert len(running.script.seen) == 1


async def test_model_trouble_has_its_statuses(running: Running) -> None:
    running.script.status = 500
    assert (await running.ask("Hi")).status_code == 502
    running.script.status = 200
    running.script.hold_after = 0
    assert (await running.ask("Hi")).status_code == 504
    running.llm.chosen = None
    loading = await running.ask("Hi")
    assert (loading.status_code, loading.headers["Retry-After"]) == (503, "5")
    assert running.admission.at_work == 0


async def test_a_model_that_cannot_count_is_told_over_the_websocket_too(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: str) -> int:
        raise ModelAway("The language model is being started again.")

    running.llm.endpoint.room = 100
    monkeypatch.setattr(running.llm.endpoint, "count", away)
    async with running.socket() as socket:
        await socket.send(json.dumps({"text": "Hi"}))
        error = await receive(socket)
    assert (error["type"], error["status"]) == ("error", 503)


@pytest.mark.parametrize("text", ["word " * 80, "字" * 110])
async def test_a_text_that_is_too_long_for_the_model_says_how_long_it_may_be(
    running: Running, text: str
) -> None:
    running.llm.endpoint.room = 100
    answer = await running.ask(text)
    assert answer.status_code == 422
    assert re.fullmatch(r"text: it is 1\d\d tokens; tiny has room for 97 of them\.", answer.json()["detail"])
    assert (await running.ask("Hi")).status_code == 200
