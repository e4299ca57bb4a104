"""Tools of MCP servers, which are processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import httpx2
import pytest
from mcp.types import ListToolsResult
from pydantic import ValidationError

from agent.tools.bounded import BoundedTransport
from agent.tools.mcp import FAILED, GONE, McpServer
from agent.tools.relay import refusal
from agent.tools.tool import CallFacts, Outcome, Tool
from agent.tools.toolbox import CUT, Toolbox, toolbox
from config.errors import ConfigError
from config.persona import Persona, load_persona
from config.tools import McpServerSettings, ToolSettings
from tests.peers import free_port
from tests.waiting import until

CALL = CallFacts(id="test")
SERVER = Path(__file__).with_name("mcp_server.py")
DEADLINE_S = 30.0


def stdio(folder: Path, **more: Any) -> dict[str, Any]:
    return {"command": [sys.executable, str(SERVER), "stdio", str(folder)], **more}


@asynccontextmanager
async def having(folder: Path, **servers: Any) -> AsyncIterator[Toolbox]:
    """A toolbox whose MCP servers have been tried, and those that are commands found."""
    box = toolbox(ToolSettings.model_validate({"folder": folder / "tools", "mcp": servers}))
    await box.start()
    try:
        if any(one.get("command", [""])[0] == sys.executable for one in servers.values()):
            await until(lambda: list(box.mcp.tools))  # a busy machine may take longer than a start waits
        yield box
    finally:
        await box.close()


@asynccontextmanager
async def over_http(folder: Path, port: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SERVER), "http", str(folder), str(port)
    )
    try:
        await until(lambda: answers(port))
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def answers(port: int) -> bool:
    with socket.socket() as wire:
        return wire.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(params=["stdio", "http"])
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Toolbox]:
    if request.param == "stdio":
        async with having(tmp_path, shop=stdio(tmp_path, timeout_s=20)) as box:
            yield box
    else:
        port = free_port()
        async with (
            over_http(tmp_path, port),
            having(tmp_path, shop={"url": f"http://127.0.0.1:{port}/mcp", "timeout_s": 20}) as box,
        ):
            yield box


def persona(*tools: str, **more: Any) -> Persona:
    return load_persona("en").model_copy(update={"tools": tools, **more})


async def test_what_they_return_and_refuse(shop: Toolbox) -> None:
    told = {
        ("shop_greet", "Ada"): {"result": "Hello Ada."},
        ("shop_where_is", "Ada"): {"result": "Hello Ada."},
        ("shop_count", None): {"count": 2},
        ("shop_miscount", None): {"error": FAILED},
        ("shop_refuse", None): {"error": "The shop is closed."},
        ("shop_picture", None): {"error": "The server's answer isn't text."},
        ("shop_huge", None): {"result": "x" * 2000 + CUT},
        ("shop_greet", None): {"error": 'The arguments are wrong: all: "name" is a required property'},
        ("shop_broken", None): {"error": "There is no tool shop_broken."},
    }
    for (tool, name), expected in told.items():
        outcome = await shop.call(tool, {"name": name} if name else {}, call=CALL)
        assert outcome.told == expected, tool
    (part,) = shop.health([])
    assert part.state == "degraded"  # by a tool whose schema is none
    assert part.last_error
    reasons = part.last_error.split("; its tool ")
    assert reasons[0].startswith("its tool broken can't be used: its schema is none: ")
    assert reasons[1:] == [
        "talkative can't be used: its declaration has more than 20000 characters",
        "laughing can't be used: its schema has more than 10000 parts",
    ]


def peak_bytes(*, anew: bool = False) -> int:
    """The most memory that this process has had, since that was counted anew."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="only its kernel tells the most that there was")
async def test_an_endless_answer_is_not_read(shop: Toolbox) -> None:
    greeted = asyncio.create_task(shop.call("shop_greet", {"name": "Ada"}, call=CALL))
    before = peak_bytes(anew=True)
    outcome = await shop.call("shop_endless", {}, call=CALL)
    assert peak_bytes() - before < 20_000_000  # of the 100 MB that it sends
    assert outcome.error.startswith(FAILED)
    assert "1000000 byte" in outcome.error
    assert (await greeted).result == "Hello Ada."
    assert (await shop.call("shop_greet", {"name": "Eve"}, call=CALL)).result == "Hello Eve."


@pytest.mark.parametrize("packed", [False, True])
async def test_an_answer_over_http_that_is_no_stream_is_bounded(packed: bool) -> None:
    async def answer(reads: asyncio.StreamReader, writes: asyncio.StreamWriter) -> None:
        await reads.readuntil(b"\r\n\r\n")
        kind = b"Content-Type: application/json\r\n" + (b"Content-Encoding: gzip\r\n" if packed else b"")
        body = gzip.compress(b"1" * 100_000_000) if packed else b"1" * 64 * 1024 * 1024
        with contextlib.suppress(ConnectionError):
            writes.write(b"HTTP/1.1 200 OK\r\n" + kind + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await writes.drain()
        writes.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with httpx2.AsyncClient(transport=BoundedTransport(10_000)) as http:
            asked = {"jsonrpc": "2.0", "id": "a", "method": "tools/list"}
            answered = await http.post(f"http://127.0.0.1:{port}/", json=asked)
            assert answered.json() == refusal("a", 10_000)


async def test_a_server_that_dies_in_mid_call_is_started_again(tmp_path: Path) -> None:
    async with having(tmp_path, shop=stdio(tmp_path, tools=["die", "greet"])) as box:
        first = (tmp_path / "pid").read_text()
        assert (await box.call("shop_die", {}, call=CALL)).error.startswith(FAILED)

        async def greeted() -> Outcome:
            return await box.call("shop_greet", {"name": "Ada"}, call=CALL)

        async with asyncio.timeout(DEADLINE_S):
            while (outcome := await greeted()).error:
                assert outcome.error.startswith((FAILED, GONE))
                await asyncio.sleep(0.05)
        assert outcome.result == "Hello Ada."
        assert (tmp_path / "pid").read_text() != first
        assert [part.state for part in box.health([])] == ["ready"]
        last = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)


async def test_a_server_that_is_not_there_yet_is_tried_again(tmp_path: Path) -> None:
    port = free_port()
    async with having(tmp_path, shop={"url": f"http://127.0.0.1:{port}/mcp", "tools": ["greet"]}) as box:
        box.require([persona("shop_greet")])  # it may have it
        assert [part.state for part in box.health([])] == ["degraded"]
        assert "shop_greet" not in box
        async with over_http(tmp_path, port):
            await until(lambda: "shop_greet" in box)
            assert (await box.call("shop_greet", {"name": "Ada"}, call=CALL)).result == "Hello Ada."
            (part,) = box.health([persona("shop_greet", "shop_gret")])
            assert part.last_error == "a persona has the tool shop_gret, which it doesn't have"


async def test_a_call_that_takes_too_long_is_given_up_and_others_go_on(tmp_path: Path) -> None:
    async with having(tmp_path, shop=stdio(tmp_path, timeout_s=0.5, tools=["slow*", "greet"])) as box:
        slow = asyncio.create_task(box.call("shop_slow", {}, call=CALL))
        await until(lambda: (tmp_path / "called").exists())
        assert (await box.call("shop_greet", {"name": "Ada"}, call=CALL)).result == "Hello Ada."
        assert (await slow).error == "It took longer than 0.5 s, and was given up."


async def test_a_call_over_http_has_its_own_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.tools.mcp.CONNECT_S", 1.0)
    port = free_port()
    server = {"url": f"http://127.0.0.1:{port}/mcp", "timeout_s": 20, "tools": ["slow"]}
    async with over_http(tmp_path, port), having(tmp_path, shop=server) as box:
        await until(lambda: "shop_slow" in box)
        assert (await box.call("shop_slow", {}, call=CALL)).result == "Done."


async def test_it_ends_though_its_server_is_lost_at_that_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def lost_at_the_end(_: McpServer) -> AsyncIterator[Any]:
        client = AsyncMock()
        client.list_tools.return_value = ListToolsResult(tools=[])
        try:
            yield client
        except asyncio.CancelledError:  # in the place of which anyio raises what a task of its own did
            raise ConnectionError from None

    monkeypatch.setattr(McpServer, "_session", lost_at_the_end)
    server = McpServer("shop", McpServerSettings(url="http://127.0.0.1:1/mcp"))
    await server.start()
    async with asyncio.timeout(DEADLINE_S):
        await server.close()


async def test_it_ends_though_its_server_never_answers_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.tools.bounded.END_S", 0.2)
    results = {
        "initialize": {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "shop", "version": "1"},
        },
        "tools/list": {"tools": []},
    }
    asked_to_end = asyncio.Event()

    async def answer(reads: asyncio.StreamReader, writes: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reads.readuntil(b"\r\n\r\n")).decode().lower()
            if head.startswith("delete"):
                asked_to_end.set()
                await reads.read()
            told = re.search(r"content-length: (\d+)", head)
            request = json.loads(await reads.readexactly(int(told[1])) if told else "{}")
            body, status = b"", "202 Accepted" if told else "405 Method Not Allowed"
            if "id" in request:
                known = results.get(request["method"])
                said = {"result": known} if known else {"error": {"code": -32601, "message": "unknown"}}
                body, status = json.dumps({"jsonrpc": "2.0", "id": request["id"], **said}).encode(), "200 OK"
            writes.write(
                f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nMcp-Session-Id: a\r\n"
                f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            await writes.drain()
        writes.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        server = McpServer("shop", McpServerSettings(url=f"http://127.0.0.1:{port}/mcp"))
        await server.start()
        assert server.health([], []).state == "ready"
        async with asyncio.timeout(DEADLINE_S):
            await server.close()
    assert asked_to_end.is_set()


async def test_an_interruption_cancels_only_what_reads(tmp_path: Path) -> None:
    async with having(tmp_path, shop=stdio(tmp_path, timeout_s=20)) as box:
        on: dict[str, Tool] = {tool.name: tool for tool in box.tools}
        assert on["shop_slow_reading"].on_interruption == "cancel"
        assert on["shop_slow"].on_interruption == "finish"
        reading = asyncio.create_task(box.call("shop_slow_reading", {}, call=CALL))
        await until(lambda: (tmp_path / "called").exists())
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert (
            await box.call("shop_slow", {}, call=CALL)
        ).result == "Done."  # takes as long, and began later
        assert not (tmp_path / "slow_reading").exists()


async def test_only_what_is_named_is_had_and_secrets_reach_it(tmp_path: Path) -> None:
    server = stdio(tmp_path, tools=["g*", "secret"], env={"SHOP_KEY": "s3cret"})
    async with having(tmp_path, shop=server) as box:
        assert box.names == ["shop_greet", "shop_secret"]
        assert (await box.call("shop_secret", {}, call=CALL)).result == "s3cret"


async def test_a_question_before_a_tool_that_is_not_there_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = stdio(tmp_path, tools=["greet"], confirm={"gret": "Shall I?", "greet": "Shall I greet {name}?"})
    async with having(tmp_path, shop=server) as box:
        told = "confirm names gret, which it doesn't have"
        assert [part.last_error for part in box.health([])] == [told]
        assert f"the MCP server shop: {told}" in caplog.messages


async def test_a_name_that_others_have_stays_theirs(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "own.py").write_text(
        'async def shop_greet(name: str) -> str:\n    """Greet."""\n    return "Mine."\n'
    )
    async with having(tmp_path, shop=stdio(tmp_path, tools=["greet"])) as box:
        assert (await box.call("shop_greet", {"name": "Ada"}, call=CALL)).result == "Mine."
        assert [part.last_error for part in box.health([])] == ["another tool has the name of its shop_greet"]


async def test_one_that_asks_needs_words_of_consent(tmp_path: Path) -> None:
    server = stdio(tmp_path, tools=["greet"], confirm={"greet": "Shall I greet {name}?"})
    settings = ToolSettings.model_validate({"folder": tmp_path / "tools", "mcp": {"shop": server}})
    box = toolbox(settings)  # not started: what its tools are isn't known
    box.require([persona("shop_greet")])
    with pytest.raises(ConfigError, match="no words of consent are known in 'sw'"):
        box.require([persona("shop_greet", language="sw")])
    async with having(tmp_path, shop=server) as box:
        (tool,) = box.tools
        assert tool.asks({"name": "Ada"})[0] == "Shall I greet Ada?"
        with pytest.raises(ConfigError, match="no words of consent are known in 'sw'"):
            box.require([persona("shop_greet", language="sw")])


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        ({}, "either command or url"),
        ({"command": ["a"], "url": "http://localhost/"}, "either command or url"),
        ({"url": "http://localhost/", "env": {"A": "b"}}, "env stands with command only"),
        ({"command": ["a"], "token": "b"}, "token stands with url only"),
    ],
)
def test_settings_that_are_wrong(server: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ToolSettings.model_validate({"mcp": {"shop": server}})


async def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with having(tmp_path, shop={"command": ["no-such-command"]}) as box:
        (part,) = box.health([])
        assert part.last_error == "ConnectionError: no-such-command can't be run; it isn't there"
