"""What stands between offhook and the command of an MCP server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from agent.tools import relay
from agent.tools.relay import Messages, refusal
from tests.process import gone
from tests.waiting import until

LONG = "x" * 1000
MOST = 600


def passed(*chunks: bytes) -> list[object]:
    messages = Messages(MOST)
    lines = b"".join(line for chunk in chunks for line in messages.take(chunk))
    return [json.loads(line) for line in lines.splitlines()]


def test_lines_pass_however_they_come() -> None:
    assert passed(b'{"a"', b": 1}\n{}\n[", b"1]\n") == [{"a": 1}, {}, [1]]


@pytest.mark.parametrize(
    "answer",
    [
        {"jsonrpc": "2.0", "id": 7, "result": {"text": LONG, "id": 3}},
        {"id": 7, "result": {"text": LONG}, "jsonrpc": "2.0"},
        {"result": {"id": 3, "text": LONG, "last": {"id": 4}}, "jsonrpc": "2.0", "id": 7},
        {"result": {"text": LONG}, "id": 7, "jsonrpc": "2.0"},
    ],
)
def test_a_long_answer_becomes_an_error_and_others_pass(answer: dict[str, object]) -> None:
    line = json.dumps(answer).encode()
    assert passed(b"1\n" + line[:100], line[100:], b"\n2\n") == [1, refusal(7, MOST), 2]


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "id": 7, "method": "sampling/createMessage", "params": {"text": LONG}},
        {"jsonrpc": "2.0", "method": "notifications/message", "params": {"text": LONG, "id": 7}},
        {"jsonrpc": "2.0", "result": {"text": LONG, "ids": [{"id": 7}]}},
    ],
)
def test_another_long_message_does_not_pass(message: dict[str, object]) -> None:
    assert passed(json.dumps(message).encode() + b"\n2\n") == [2]


COMMAND = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if sys.argv[1:]:
    other = subprocess.Popen([sys.executable, __file__])
    print(os.getpid(), other.pid, flush=True)
time.sleep(600)
"""
PARENT = """
import asyncio, os, sys
async def main():
    await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", sys.argv[1], str(os.getpid()), "1000", sys.executable, sys.argv[2], "1",
        stdin=asyncio.subprocess.PIPE, start_new_session=True,
    )
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only its kernel tells of a parent's death")
async def test_the_command_and_its_children_die_with_a_killed_parent(tmp_path: Path) -> None:
    command = tmp_path / "command.py"
    command.write_text(COMMAND)
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, relay.__file__, str(command)), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout
    pids = [int(pid) for pid in (await parent.stdout.readline()).split()]
    try:
        assert len(pids) == 2
        assert not any(map(gone, pids))
        parent.kill()
        await parent.wait()
        await until(lambda: all(map(gone, pids)))
    finally:
        for pid in pids:
            if not gone(pid):
                os.kill(pid, signal.SIGKILL)
