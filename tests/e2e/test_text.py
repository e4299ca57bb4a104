"""`offhook chat` and `offhook eval` as people run them, with the bundled models."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from config.persona import load_persona
from tests.e2e.served import OFFHOOK, QUESTIONS
from tests.models.fake_openai import FakeOpenAI, Say
from tests.ollama_server import served

pytestmark = pytest.mark.models
PERSONA = load_persona("en")
# What is asked of the bundled model here is to answer at all.
LENIENT = "max_words: 200\nmax_sentences: 20\nspeakable: false\nown_language: false\n"


class Screen:
    """A terminal's other end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._changed = asyncio.Event()
        self._seen = 0
        self.text = ""
        asyncio.get_running_loop().add_reader(fd, self._read)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    async def shows(self, text: str) -> None:
        """Wait for `text`, behind what was waited for before."""
        while (at := self.text.find(text, self._seen)) < 0:
            self._changed.clear()
            await self._changed.wait()
        self._seen = at + len(text)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> None:
        try:
            self.text += os.read(self._fd, 4096).decode(errors="replace")
        except OSError:  # the program has gone
            asyncio.get_running_loop().remove_reader(self._fd)
        self._changed.set()


async def offhook(*arguments: str, typed: str | None = None) -> tuple[int | None, str, str]:
    """Its exit status, and what it prints to stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *OFFHOOK,
        *arguments,
        "--set",
        "llm.temperature=0",
        "--set",
        "llm.max_tokens=24",
        env={**os.environ, "COLUMNS": "200"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, errors = await asyncio.wait_for(process.communicate((typed or "").encode()), 180)
    return process.returncode, printed.decode(), errors.decode()


async def test_a_chat_from_the_command_line_and_from_a_pipe_is_the_same() -> None:
    status, told, errors = await offhook("chat", *QUESTIONS, "goodbye")
    assert status == 0, errors
    lines = told.splitlines()
    assert lines[0] == PERSONA.greeting
    assert lines[-1] == PERSONA.goodbye
    assert len(lines) >= 2 + len(QUESTIONS)
    assert all(lines)
    status, piped, _ = await offhook("chat", typed="\n".join([*QUESTIONS, "", "goodbye", "Hello?"]))
    assert status == 0
    again = piped.splitlines()
    assert (again[0], again[-1]) == (PERSONA.greeting, PERSONA.goodbye)
    assert len(again) >= 2 + len(QUESTIONS)
    assert "Hello?" not in piped


async def test_a_model_that_can_t_be_reached_is_a_sentence() -> None:
    status, _, errors = await offhook(
        "chat", "Hello.", "--set", "llm.url=http://127.0.0.1:9/v1", "--set", "llm.fallback=never"
    )
    assert status == 1
    assert "offhook: http://127.0.0.1:9/v1 doesn't answer: ConnectError." in errors
    assert "Traceback" not in errors


async def test_ctrl_c_interrupts_an_answer_and_not_the_chat() -> None:
    fake = FakeOpenAI(Say(("Once ", "upon "), hang=True), Say(("Fine.",)))
    async with served(fake.app) as url:
        typed, terminal = os.openpty()
        process = await asyncio.create_subprocess_exec(
            *OFFHOOK,
            "chat",
            env={**os.environ, "COLUMNS": "200", "OFFHOOK_LLM__URL": f"{url}/v1", "TERM": "dumb"},
            stdin=terminal,
            stdout=terminal,
            stderr=asyncio.subprocess.DEVNULL,
        )
        os.close(terminal)
        screen = Screen(typed)
        try:
            async with asyncio.timeout(90):
                await screen.shows("> ")
                screen.type("A story, please.\n")
                await screen.shows("upon")
                process.send_signal(signal.SIGINT)
                await screen.shows("first token")
                screen.type("And now?\n")
                await screen.shows("Fine.")
                screen.type("/quit\n")
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            screen.close()
    assert "upon —" in screen.text
    assert [m["content"] for m in fake.requests[-1]["messages"]][-2:] == ["Once upon", "And now?"]


async def test_an_evaluation_in_text(tmp_path: Path) -> None:
    (tmp_path / "set.yaml").write_text(
        f"""{LENIENT}pass: 0.5
scenarios:
  - name: anything
    turns: [{{caller: "{QUESTIONS[0]}", says: '\\w+'}}]
  - name: nobody says this
    turns: [{{caller: "{QUESTIONS[1]}", says: xyzzy}}]
"""
    )
    files = "--json", str(tmp_path / "run.json"), "--junit", str(tmp_path / "run.xml")
    status, printed, errors = await offhook("eval", str(tmp_path), *files)
    assert status == 0, errors
    assert "1 of 2" in printed
    assert "says none of: xyzzy" in printed
    assert json.loads((tmp_path / "run.json").read_text())["sets"][0]["score"] == 0.5
    assert [s.get("failures") for s in ElementTree.parse(tmp_path / "run.xml").iter("testsuite")] == ["1"]
    status, _, _ = await offhook("eval", str(tmp_path), "--only", "set/nobody*")
    assert status == 1


async def test_an_evaluation_over_sip(tmp_path: Path) -> None:
    (tmp_path / "set.yaml").write_text(
        f"""{LENIENT}
scenarios:
  - name: a question and a goodbye
    turns:
      - {{caller: "{QUESTIONS[0]}", says: '\\w+'}}
      - {{caller: Goodbye., tool: [end_call, none]}}
"""
    )
    status, printed, errors = await offhook(
        "eval", str(tmp_path), "--over", "sip", "--json", str(tmp_path / "run.json")
    )
    assert status == 0, printed + errors
    (first, _) = json.loads((tmp_path / "run.json").read_text())["sets"][0]["turns"]
    assert first["heard"]
    assert first["voice_to_voice_ms"] > 0


async def test_a_wrong_scenario_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "set.yaml").write_text("scenarios: [{name: one, turns: [{caler: Hi.}]}]")
    status, _, errors = await offhook("eval", str(tmp_path))
    assert status == 2
    assert "turn 1 of the scenario 'one'" in errors
    assert "Traceback" not in errors
