"""Tools over HTTP, against a real server on loopback and its faults."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import ValidationError

from agent.tools.http import HttpTools
from agent.tools.tool import WRONG, CallFacts, Outcome
from agent.tools.toolbox import Toolbox
from config.errors import ConfigError
from config.tools import ToolSettings

CALL = CallFacts(id="test")
ELSEWHERE = "The server redirects to a host that isn't allowed."
Answers = Callable[[str, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TOKEN = "a-token-that-nobody-sees"


class FaultyServer:
    """Answers by the first part of the path: with bytes, or as a function does."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Answers] = {}
        self.asked: list[str] = []  # heads and bodies
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FaultyServer]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            told = re.search(r"(?i)content-length: *(\d+)", head)
            length = int(told[1]) if told else 0
            body = (await reader.readexactly(length)).decode()
            self.asked.append(head + body)
            answer = self.answers[head.split()[1].split("/")[1].partition("?")[0]]
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(head, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[FaultyServer]:
    async with FaultyServer().serving() as running:
        yield running


def response(
    body: str | bytes = "{}", *, status: str = "200 OK", kind: str = "application/json", **headers: str
) -> bytes:
    body = body.encode() if isinstance(body, str) else body
    said = {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"}
    said |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


async def ask(
    server: FaultyServer,
    path: str,
    given: dict[str, Any] | None = None,
    *,
    hosts: tuple[str, ...] = ("127.0.0.1",),
    host: str = "127.0.0.1",
    **settings: Any,
) -> Outcome:
    tool = {"description": "Look it up.", "url": f"http://{host}:{server.port}/{path}", **settings}
    box = Toolbox(http=HttpTools(ToolSettings.model_validate({"http": {"look_up": tool}, "hosts": hosts})))
    try:
        return await box.call("look_up", given or {}, call=CALL)
    finally:
        await box.close()


ROOM = {"room": {"description": "Which."}, "people": {"type": "integer", "minimum": "1", "required": "false"}}


async def test_arguments_are_in_the_url_or_its_query(server: FaultyServer) -> None:
    server.answers["rooms"] = response('{"free": true}')
    outcome = await ask(server, "rooms/{room}?all=1", {"room": "a/b ü", "people": 4}, arguments=ROOM)
    assert outcome.told == {"free": True}
    assert server.asked[0].startswith("GET /rooms/a%2Fb%20%C3%BC?all=1&people=4 HTTP/1.1")
    assert f"host: 127.0.0.1:{server.port}" in server.asked[0].lower()


async def test_what_is_posted_is_json_with_the_token(server: FaultyServer) -> None:
    server.answers["rooms"] = response("booked", kind="text/plain; charset=none")
    told: dict[str, Any] = {
        "method": "POST",
        "arguments": ROOM,
        "token": TOKEN,
        "headers": {"X-Kind": "phone"},
    }
    outcome = await ask(server, "rooms/{room}", {"room": "1", "people": 4}, **told)
    assert outcome.told == {"result": "booked"}
    head, _, body = server.asked[0].partition("\r\n\r\n")
    assert head.startswith("POST /rooms/1 HTTP/1.1")
    assert f"authorization: bearer {TOKEN}" in head.lower()
    assert "x-kind: phone" in head.lower()
    assert json.loads(body) == {"people": 4}
    await ask(server, "rooms/1", token=TOKEN, token_header="X-API-Key")
    assert f"x-api-key: {TOKEN}" in server.asked[1].lower()
    assert "authorization" not in server.asked[1].lower()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "room"),
        ({"room": 4}, "room: "),
        ({"room": "a", "people": 0}, "people: "),
        ({"room": "a", "more": 1}, "more"),
        ({"room": ".."}, "room: only dots"),
    ],
)
async def test_wrong_arguments_are_not_sent(server: FaultyServer, given: dict[str, Any], why: str) -> None:
    outcome = await ask(server, "rooms/{room}", given, arguments=ROOM)
    assert outcome.wrong_arguments
    assert why in outcome.error
    assert server.asked == []


async def _hang(_: str, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await reader.read()


async def _drip(_: str, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def _endless(_: str, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x" * 10_000)
        await writer.drain()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (_hang, "It took longer than 0.5 s, and was given up."),
        (_drip, "It took longer than 0.5 s, and was given up."),
        (b"", "The server doesn't answer: RemoteProtocolError."),
        (response("x" * 50)[:-10], "The server doesn't answer: RemoteProtocolError."),
        (b"nonsense\r\n\r\n", "The server doesn't answer: RemoteProtocolError."),
        (response("oh no", status="500 Error", kind="text/plain"), "The server answers HTTP 500: oh no"),
        (response(b"\0", status="404 None", kind="image/png"), "The server answers HTTP 404."),
        (response(b"\0", kind="image/png"), "The server answers with image/png, which isn't text."),
        (response("{"), "The server's answer isn't JSON."),
        (response("x" * 2000, kind="text/plain"), "The server's answer is longer than 1000 bytes."),
        (_endless, "The server's answer is longer than 1000 bytes."),
        (response(b"", Content_Encoding="gzip"), "The server's answer is packed, which wasn't asked for."),
        (response(status="302 Found", Location="/a"), "The server redirects again and again."),
        (
            response(status="302 Found", Location="http://192.0.2.1/"),
            "The server redirects to a host that isn't allowed.",
        ),
        (
            response(status="302 Found", Location="http://localhost/"),
            "The server redirects to a host that isn't allowed.",
        ),
        (
            response(status="302 Found", Location="file:///etc/passwd"),
            "The server redirects to what isn't HTTPS.",
        ),
    ],
)
async def test_a_fault_is_told_in_a_sentence(server: FaultyServer, answer: bytes | Answers, why: str) -> None:
    server.answers["a"] = answer
    outcome = await ask(server, "a", timeout_s=0.5, max_bytes=1000, token=TOKEN)
    assert (outcome.error, outcome.result) == (why, None)
    assert TOKEN not in repr(outcome)


async def test_who_does_not_listen_is_told(server: FaultyServer) -> None:
    unused = FaultyServer()
    async with unused.serving():
        pass
    assert (await ask(unused, "a")).error == "The server doesn't answer: ConnectError."


async def test_a_redirect_is_followed_but_not_with_the_token_elsewhere(server: FaultyServer) -> None:
    async with FaultyServer().serving() as other:
        server.answers["a"] = response(status="302 Found", Location="/b")
        server.answers["b"] = response(status="302 Found", Location=f"http://localhost:{other.port}/c")
        other.answers["c"] = response('"here"')
        outcome = await ask(server, "a", token=TOKEN, hosts=("127.0.0.1", "localhost", "::1"))
        assert outcome.result == "here"
        assert TOKEN in server.asked[1]
        assert TOKEN not in other.asked[0]
        assert f"host: localhost:{other.port}" in other.asked[0].lower()


async def test_another_port_of_the_host_is_elsewhere(server: FaultyServer) -> None:
    async with FaultyServer().serving() as other:
        server.answers["a"] = response(status="302 Found", Location=f"http://127.0.0.1:{other.port}/c")
        other.answers["c"] = response('"here"')
        assert (await ask(server, "a", token=TOKEN)).result == "here"
        assert TOKEN not in other.asked[0]


async def test_what_was_posted_is_not_sent_elsewhere(server: FaultyServer) -> None:
    server.answers["a"] = response(status="307 Temporary Redirect", Location="/b")
    assert (await ask(server, "a", method="POST")).error == "The server answers with a redirect."
    assert len(server.asked) == 1


async def test_a_name_with_a_private_address_needs_that_listed(server: FaultyServer) -> None:
    server.answers["a"] = response('"here"')
    refused = await ask(server, "a", host="localhost", hosts=("localhost",))
    assert refused.error == "The server has a private address, which isn't allowed."
    assert server.asked == []
    assert (await ask(server, "a", host="localhost", hosts=("localhost", "127.0.0.0/8"))).result == "here"


@pytest.mark.parametrize(
    ("tool", "hosts", "why"),
    [
        ({}, (), "whose host api.example.com tools.hosts must list"),
        ({"url": "https://{host}/a"}, ("api.example.com",), "no braces in its host"),
        ({"url": "https://api.example.com/{room}"}, ("api.example.com",), "not {room}"),
        ({"confirm": "Shall I book {room}?"}, ("api.example.com",), "not {room}"),
        ({"url": "https://api.example.com/{"}, ("api.example.com",), "whole pairs of braces"),
        ({"confirm": "Shall I book {room:d}?"}, ("api.example.com",), "only names in its braces"),
        ({}, ("http://api.example.com",), "a host's name, an IP address or a network"),
        ({}, ("b\u00fc_cher.example",), "a host's name, an IP address or a network"),
    ],
)
def test_what_cannot_be_right_is_refused(tool: dict[str, str], hosts: tuple[str, ...], why: str) -> None:
    given = {"description": "Look it up.", "url": "https://api.example.com/a", **tool}
    with pytest.raises(ValidationError) as wrong:
        ToolSettings.model_validate({"http": {"look_up": given}, "hosts": hosts})
    assert why in str(wrong.value)


async def test_a_name_that_begins_with_a_digit_is_one(server: FaultyServer) -> None:
    server.answers["a"] = response('"here"')
    outcome = await ask(server, "a", hosts=("3cx.example.com", "127.0.0.0/8"))
    assert outcome.told == {"result": "here"}


@pytest.mark.parametrize("host", ["xn--bcher-kva.example", "Bücher.example"])
@pytest.mark.parametrize("listed", ["xn--bcher-kva.example", "bücher.example"])
async def test_a_name_with_other_letters_is_one_name(
    server: FaultyServer, host: str, listed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []

    async def look_up(name: str, port: int, **_: Any) -> list[Any]:
        looked_up.append(name)
        return [(0, 0, 0, "", ("127.0.0.1", port))]

    server.answers["a"] = response('"here"')
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    outcome = await ask(server, "a", host=host, hosts=(listed, "127.0.0.0/8"))
    assert outcome.told == {"result": "here"}
    assert looked_up[0] == "xn--bcher-kva.example"
    assert f"host: xn--bcher-kva.example:{server.port}" in server.asked[0].lower()


async def test_a_redirect_to_no_address_is_told(server: FaultyServer) -> None:
    server.answers["a"] = response(status="302 Found", Location="http://[::1")
    outcome = await ask(server, "a")
    assert outcome.error == "The server redirects to what is no address."


async def test_one_of_a_few_numbers(server: FaultyServer) -> None:
    server.answers["rooms"] = response('"free"')
    arguments = {"floor": {"type": "integer", "enum": ["1", "2"]}}
    assert (await ask(server, "rooms/{floor}", {"floor": 2}, arguments=arguments)).told == {"result": "free"}
    assert (await ask(server, "rooms/{floor}", {"floor": 3}, arguments=arguments)).wrong_arguments
    with pytest.raises(ValidationError, match=r"an enum has only values of its type, integer"):
        ToolSettings.model_validate(
            {
                "http": {
                    "a": {
                        "description": "a",
                        "url": "http://a.example",
                        "arguments": {"floor": {"type": "integer", "enum": ["ground"]}},
                    }
                },
                "hosts": ["a.example"],
            }
        )


async def test_what_is_told_of_a_wrong_argument_does_not_have_it(server: FaultyServer) -> None:
    outcome = await ask(server, "a", {"pin": "one two"}, arguments={"pin": {"pattern": r"^\d+$"}})
    assert outcome.wrong_arguments
    assert outcome.error.startswith(f"{WRONG}pin: ")
    assert "one two" not in outcome.error


def test_a_pattern_that_is_none_is_refused() -> None:
    told = {
        "description": "Do it.",
        "url": "https://api.example.com/{a}",
        "arguments": {"a": {"pattern": "("}},
    }
    settings = ToolSettings.model_validate({"http": {"look_up": told}, "hosts": ["api.example.com"]})
    with pytest.raises(ConfigError, match=r"look_up in tools\.http: its schema is none"):
        Toolbox(http=HttpTools(settings))


def test_a_get_is_cancelled_and_others_finish() -> None:
    told = {"description": "Do it.", "url": "https://api.example.com/a"}
    given = {
        "look_up": told,
        "book": {**told, "method": "POST"},
        "undo": {**told, "method": "POST", "on_interruption": "cancel"},
    }
    settings = ToolSettings.model_validate({"http": given, "hosts": ["api.example.com"]})
    assert [one.on_interruption for one in HttpTools(settings).tools()] == ["cancel", "finish", "cancel"]
