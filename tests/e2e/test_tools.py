"""Tools of an MCP server in whole calls over SIP, with scripted models."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.tools.mcp import FAILED
from agent.tools.runner import GIVEN_UP
from tests.crowd import question
from tests.e2e.served import START_S, Served, until
from tests.process import gone
from tests.sip_caller import Caller
from tests.transports.sip_calls import phone

SERVER = Path(__file__).parents[1] / "agent" / "tools" / "mcp_server.py"
NAMES = ("greet", "slow_reading", "die")
GREET, LOOK_UP, NEVER_MIND, KILL = ASKED = ("Greet Ada.", "Look it up.", "Never mind.", "Kill it.")
GREETED, FORGOTTEN, SORRY = "She is greeted.", "Very well then.", "That went wrong, sorry."
SCRIPT = {
    GREET: '!shop_greet{"name":"Ada"}',
    LOOK_UP: "!shop_slow_reading",
    NEVER_MIND: FORGOTTEN,
    KILL: "!shop_die",
    json.dumps({"result": "Hello Ada."}): GREETED,
    json.dumps({"error": f"{FAILED} Connection closed"}): SORRY,
}


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Served]:
    persona = tmp_path / "persona.yaml"
    tools = ", ".join(f"shop_{name}" for name in NAMES)
    persona.write_text(
        "name: Ann\nlanguage: en\nvoice: en_US-joe-medium\ngreeting: Hello.\nprompt: Be brief.\n"
        f"tools: [{tools}]\n"
        'goodbye: Goodbye.\nidle_prompts: ["Are you there?"]\napology: I am sorry.\n'
    )
    config = tmp_path / "offhook.yaml"
    command = [sys.executable, str(SERVER), "stdio", str(tmp_path)]
    mcp = {"shop": {"command": command, "env": {"SLOW_S": "60"}, "timeout_s": 60, "tools": NAMES}}
    config.write_text(json.dumps({"persona": str(persona), "tools": {"mcp": mcp}}))
    environment = {
        "OFFHOOK_CONFIG": str(config),
        "OFFHOOK_CALL__IDLE_PROMPT_S": "600",
        "SCRIPT": json.dumps(SCRIPT),
    }
    server = Served(tmp_path, environment, [sys.executable, "-m", "tests.scripted_server"])
    try:
        assert await asyncio.to_thread(until, server.ready, START_S), server.log.read_text()
        yield server
    finally:
        server.kill()


@dataclass
class Call:
    server: Served
    caller: Caller
    id: str = ""

    def says(self, text: str) -> None:
        self.caller.speech.extend(question(ASKED.index(text)))

    async def hears(self, text: str) -> None:
        await self.becomes("transcript", lambda turns: bool(turns) and turns[-1]["text"] == text)

    async def becomes(self, what: str, true: Callable[[list[Any]], bool]) -> list[Any]:
        """What the API tells of the call, live or ended, once that is true."""
        told: list[Any] = []

        def look() -> bool:
            nonlocal told
            told = self.server.get(f"/api/v1/sessions/{self.id}")[what]
            return true(told)

        assert await asyncio.to_thread(until, look, 60), (what, told, self.server.log.read_text())
        return told


@contextlib.asynccontextmanager
async def calling(server: Served) -> AsyncIterator[Call]:
    """A caller who has been greeted."""
    async with phone(("127.0.0.1", server.sip)) as caller:
        assert (await caller.call()).status == 200
        call = Call(server, caller)
        assert await asyncio.to_thread(until, lambda: bool(server.sessions()), 60)
        (session,) = server.sessions()
        call.id = session["id"]
        await call.hears("Hello.")
        yield call
        await caller.bye()
        assert await asyncio.to_thread(until, lambda: not server.sessions(), 60)


async def has(file: Path, lines: int) -> None:
    assert await asyncio.to_thread(until, lambda: file.exists() and file.read_text().count("\n") == lines, 60)


async def becomes_ready(server: Served, after: int) -> int:
    """The process of the server of tools, once it isn't that which was there before."""

    def ready() -> bool:
        parts = server.get("/health")["components"]
        there = [part["state"] for part in parts if part["name"] == "mcp shop"] == ["ready"]
        return there and pid_of(server) != after

    assert await asyncio.to_thread(until, ready, 60), server.log.read_text()
    return pid_of(server)


def pid_of(server: Served) -> int:
    return int((server.log.parent / "pid").read_text())


async def test_calls_with_tools_of_an_mcp_server(shop: Served, tmp_path: Path) -> None:
    def over(tools: list[Any]) -> bool:
        return all(tool["seconds"] is not None for tool in tools)

    first = await becomes_ready(shop, 0)
    async with calling(shop) as call:
        call.says(GREET)
        await call.hears(GREETED)
    (tool,) = await call.becomes("tool_calls", over)
    assert (tool["name"], tool["arguments"], tool["error"]) == ("shop_greet", {"name": "Ada"}, None)
    assert tool["result"] == "Hello Ada."

    async with calling(shop) as call:
        call.says(LOOK_UP)
        await has(tmp_path / "called", 2)
        call.says(NEVER_MIND)
        await call.hears(FORGOTTEN)
    (tool,) = await call.becomes("tool_calls", over)
    assert (tool["name"], tool["result"], tool["error"]) == ("shop_slow_reading", None, GIVEN_UP)

    async with calling(shop) as call:
        call.says(KILL)  # the server of the tool, from within
        await call.hears(SORRY)
        second = await becomes_ready(shop, first)
        call.says(LOOK_UP)
        await has(tmp_path / "called", 4)
        os.kill(second, signal.SIGKILL)  # and from outside, in mid-call
        await call.hears(SORRY)
    tools = await call.becomes("tool_calls", over)
    assert [(tool["name"], tool["error"]) for tool in tools] == [
        (name, f"{FAILED} Connection closed") for name in ("shop_die", "shop_slow_reading")
    ]

    third = await becomes_ready(shop, second)
    assert not gone(third)
    shop.kill()
    assert await asyncio.to_thread(until, lambda: gone(third), 60)
