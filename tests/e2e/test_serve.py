"""`offhook serve` as it is run, called by real peers, with the bundled models."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import jiwer
import pytest

from bench.caller.recording import read_agent
from bench.caller.script import Hangup, Play, Script, Step, Wait
from tests.e2e.served import OFFHOOK, QUESTIONS, START_S, Served, plain, served, until
from tests.peers import free_port, require_peer
from tests.sip_caller import Caller
from transports.playout import SAMPLE_RATE_HZ

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("serve")) as running:
        yield running


def call(server: Served, steps: list[Step], folder: Path) -> dict[str, Any]:
    """A call by the caller process: its result, with the WAV beside it."""
    begin: list[Step] = [
        Wait(until="speaking", for_ms=20, timeout_s=5),
        Wait(until="silent", for_ms=600, timeout_s=15),
    ]
    script = Script(
        target=f"127.0.0.1:{server.sip}", steps=(*begin, *steps, Hangup()), wav=folder / "call.wav"
    )
    (folder / "script.json").write_text(script.model_dump_json())
    command = [sys.executable, "-m", "bench.caller", str(folder / "script.json"), str(folder / "result.json")]
    subprocess.run(command, timeout=120, check=False)
    return dict(json.loads((folder / "result.json").read_text()))


async def watched(
    server: Served, steps: list[Step], folder: Path
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The call's result, and its transcript as it was last seen."""
    turns: list[dict[str, Any]] = []
    calling = asyncio.create_task(asyncio.to_thread(call, server, steps, folder))
    while not calling.done():
        for session in await asyncio.to_thread(server.sessions):
            seen = await asyncio.to_thread(server.get, f"/api/v1/sessions/{session['id']}")
            turns = seen.get("transcript", turns)
        await asyncio.sleep(0.1)
    return await calling, turns


def ask(question: Path, *, silent_ms: int = 1200) -> list[Step]:
    return [
        Play(wav=question),
        Wait(until="reply", timeout_s=15),
        Wait(until="silent", for_ms=silent_ms, timeout_s=40),
    ]


def test_questions_are_understood_and_answered_aloud(
    server: Served, questions: list[Path], tmp_path: Path
) -> None:
    steps = [step for question in questions for step in ask(question)]
    result, transcript = asyncio.run(watched(server, steps, tmp_path))
    assert result["outcome"] == "answered"
    assert result["findings"] == []  # no re-INVITE that nobody asked for
    understood = [plain(turn["text"]) for turn in transcript if turn["speaker"] == "caller"]
    assert jiwer.wer([plain(text) for text in QUESTIONS], understood) <= 0.2
    answers = [turn for turn in transcript if turn["speaker"] == "agent"]
    assert len(answers) == 1 + len(QUESTIONS)
    assert all(turn["ledger"] for turn in answers[1:])
    heard = server.transcribe(read_agent(tmp_path / "call.wav", SAMPLE_RATE_HZ))
    said = plain(" ".join(turn["text"] for turn in answers))
    assert jiwer.wer(said, plain(heard)) <= 0.4  # a recognizer's slips, and numerals


@pytest.mark.peers
def test_sipp_is_answered(server: Served, tmp_path: Path) -> None:
    sipp = require_peer("sipp")
    command = [
        sipp, "-sn", "uac", f"127.0.0.1:{server.sip}", "-i", "127.0.0.1", "-m", "3", "-l", "3", "-r", "3",
        "-d", "500", "-timeout", "30", "-nostdin",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout.decode()[-2000:]
    assert until(lambda: not server.sessions(), 15)


def test_a_killed_language_model_costs_at_most_an_apology(
    server: Served, questions: list[Path], tmp_path: Path
) -> None:
    child = child_of(server.process.pid)
    steps: list[Step] = [Play(wav=questions[0]), Wait(until="reply", timeout_s=20)]

    async def killed() -> dict[str, Any]:
        calling = asyncio.create_task(asyncio.to_thread(call, server, steps, tmp_path))
        assert await asyncio.to_thread(until, lambda: bool(server.sessions()), 10)
        os.kill(child, signal.SIGKILL)
        return await calling

    result = asyncio.run(killed())
    assert result["outcome"] == "answered"
    assert not [mark for mark in result["marks"] if mark["event"] == "timeout"]  # something was heard
    assert until(server.ready, 30)
    again = call(server, ask(questions[0]), tmp_path)
    assert not [mark for mark in again["marks"] if mark["event"] == "timeout"]


def child_of(pid: int) -> int:
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            command = status.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == pid and b"models.llm.child_main" in command:
            return int(status.parent.name)
    raise AssertionError("the language model has no process")


def test_calls_leave_nothing_behind(server: Served, tmp_path: Path) -> None:
    call(server, [], tmp_path)
    assert until(lambda: not server.sessions(), 15)
    files, threads = server.files(), server.threads()
    for _ in range(5):
        call(server, [Wait(timeout_s=0.3)], tmp_path)
    assert until(lambda: not server.sessions(), 15)
    assert until(lambda: server.files() <= files + 1 and server.threads() <= threads, 15)


def test_hanging_up_is_done_when_it_says_so(server: Served, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads:
        calling = threads.submit(call, server, [Wait(timeout_s=20)], tmp_path)
        assert until(lambda: bool(server.sessions()), 10)
        id = server.sessions()[0]["id"]
        assert httpx2.delete(f"{server.url}/api/v1/sessions/{id}", timeout=10).status_code == 204
        assert server.sessions() == []
        assert calling.result(30)["ended_by"] == "agent"


def test_health_tells_what_is_loaded(server: Served) -> None:
    health = server.get("/health")
    assert health["status"] == "ok"
    assert {part["state"] for part in health["components"]} == {"ready"}
    assert health["llm"]["why"]


def test_the_page_and_the_reference_are_served(server: Served) -> None:
    for path in ("/", "/docs"):
        answer = httpx2.get(server.url + path, timeout=5)
        assert answer.status_code == 200
        assert "text/html" in answer.headers["content-type"]


async def called(caller: Caller) -> tuple[int, int]:
    """What is said to an INVITE and to the BYE."""
    answer = await caller.invite()
    caller.ack(answer)
    return answer.status, (await caller.bye()).status


def test_root_is_not_needed(tmp_path: Path) -> None:
    """As a service runs: the kernel may refuse what it lets root do, such as filters for TCP."""
    bare = ["setpriv", "--bounding-set=-all", "--no-new-privs", *OFFHOOK]
    running = Served(tmp_path, {"OFFHOOK_LLM__BUNDLED": "smollm2-135m"}, bare)
    try:
        assert until(running.ready, START_S), running.log.read_text()
        capabilities = Path(f"/proc/{running.process.pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in capabilities
        with contextlib.closing(Caller(("127.0.0.1", running.sip), tcp=True)) as caller:
            assert asyncio.run(called(caller)) == (200, 200)
    finally:
        assert running.stop() == 0


@pytest.mark.parametrize("section", ["sip", "http"])
def test_a_port_in_use_is_one_sentence(server: Served, section: str) -> None:
    free = {"OFFHOOK_SIP__PORT": str(free_port()), "OFFHOOK_HTTP__PORT": str(free_port())}
    port = server.sip if section == "sip" else server.http
    environment = {**os.environ, "OFFHOOK_SIP__HOST": "127.0.0.1", **free}
    environment[f"OFFHOOK_{section.upper()}__PORT"] = str(port)
    done = subprocess.run(
        [*OFFHOOK, "serve"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert f"offhook: {section}.port is {port}, but another program already uses" in done.stderr
    assert "Traceback" not in done.stderr
