"""A whole run: what fails in it fails alone, and what wasn't heard isn't measured."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from agent.cli import app
from bench import callers, pacing, scenarios, suite
from bench.caller.script import Line, Step
from bench.callers import Call, CallFailed, together
from bench.material import Material, Sound
from bench.metrics import CallLog
from bench.results import Metric, ScenarioResult, from_json
from bench.scenarios import Scenario
from bench.subjects import ROOT, OffhookServer, Running, StockBot, SubjectError, Target
from bench.suite import Plan, Sounds, measure
from bench.table import show
from bench.workbench import Bench
from tests.bench.test_metrics import call
from tests.waiting import until

SAID = Sounds(cast(Any, None), cast(Any, None))


class Agent:
    """Is heard in the same spans in each call."""

    def __init__(self, log: CallLog) -> None:
        self._log = log

    async def call(self, steps: tuple[Step, ...], line: Line | None = None) -> Call:
        return Call(self._log, [])


class Interruptions:
    async def interruptions(self, count: int) -> list[Sound]:
        return [Sound(Path("a.wav"), "wait", "barge-in")] * count


def bench(agent: Agent) -> Bench:
    material = cast(Material, Interruptions())
    return Bench(agent, material, cast(Any, None), turns=4, calls=1, say=lambda text: None)


MUTE = Agent(call([((5, 6), "barge-in")], []))


@pytest.mark.parametrize(
    ("scenario", "why"),
    [
        (scenarios.barge_in, "none of 4 interruptions met the agent speaking"),
        (scenarios.false_interruption, "of the undisturbed greeting 0.0 s were heard"),
    ],
)
async def test_a_mute_agent_is_not_measured(scenario: Any, why: str) -> None:
    with pytest.raises(CallFailed, match=why):
        await scenario(bench(MUTE))


async def test_a_greeting_that_is_not_heard_misses_a_goal() -> None:
    found = {metric.key: metric for metric in (await scenarios.greeting(bench(MUTE))).metrics}
    assert (found["unheard"].value, found["unheard"].met) == (4, False)
    heard = await scenarios.greeting(bench(Agent(call([], [(0.2, 2)]))))
    assert {metric.key: metric.met for metric in heard.metrics}["unheard"] is True


async def test_silent_calls_without_a_packet_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "SETTLED_S", 0)
    monkeypatch.setattr(pacing, "LOOKED_AT_S", 0)
    nothing = dataclasses.replace(
        call([], []), received_at=np.zeros(0), received_dbfs=np.zeros(0), received_sequence=np.zeros(0, int)
    )
    with pytest.raises(CallFailed, match="10 of 10 calls heard nothing"):
        await pacing.pacing(bench(Agent(nothing)))


async def test_of_calls_at_once_none_is_left_behind() -> None:
    over = asyncio.Event()

    async def fails() -> Call:
        raise CallFailed("refused")

    async def lasts() -> Call:
        await asyncio.sleep(0)
        over.set()
        return Call(call([], []), [])

    with pytest.raises(CallFailed, match="refused"):
        await together([fails(), lasts()])
    assert over.is_set()


@dataclasses.dataclass
class Proxy:
    """Has only a page to show."""

    running: Running
    asked: list[str]


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    asked: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>busy</html>")

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Proxy(Running("", f"http://127.0.0.1:{server.server_port}"), asked)
        server.shutdown()
        thread.join()


async def test_a_page_in_place_of_the_api_tells_nothing(proxy: Proxy) -> None:
    assert await pacing._vitals(proxy.running) is None
    assert proxy.asked == ["/health"]


async def test_a_page_in_place_of_the_api_is_asked_again(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "POLL_S", 0.01)
    async with callers._watched(proxy.running, lambda sessions: "") as seen:
        await until(lambda: len(proxy.asked) > 1)
    assert seen.transcript == []


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bench whose calls aren't made: of two parts the second fails."""

    async def whole(bench: Bench) -> ScenarioResult:
        bench.say("half")
        return ScenarioResult("whole", "Whole", [Metric("median", "median", 380.0, "ms", 1, 400)])

    async def broken(bench: Bench) -> ScenarioResult:
        raise CallFailed("refused: 486 Busy Here")

    @contextlib.asynccontextmanager
    async def sounds(*_: object) -> AsyncIterator[Sounds]:
        yield SAID

    @contextlib.asynccontextmanager
    async def running(*_: object) -> AsyncIterator[Running]:
        yield Running("", None)

    found = (
        Scenario("whole", "default", whole),
        Scenario("broken", "default", broken, ("sip",)),
        Scenario("greets", "talker", whole),
    )
    monkeypatch.setattr(suite, "SCENARIOS", found)
    monkeypatch.setattr(scenarios, "SCENARIOS", found)
    monkeypatch.setattr(suite, "sounds", sounds)
    monkeypatch.setattr(OffhookServer, "running", running)


@pytest.mark.usefixtures("parts")
def test_what_fails_leaves_the_rest_of_the_run(tmp_path: Path) -> None:
    made = tmp_path / "runs" / "a.json"
    result = CliRunner().invoke(app, ["bench", "--only", "whole", "--only", "broken", "--json", str(made)])
    assert result.exit_code == 2
    assert "not measured: broken of offhook" in result.stderr
    assert "refused: 486 Busy Here" in result.stdout
    (run,) = from_json(made)
    median = run.metric("whole", "median")
    assert median is not None
    assert median.value == 380
    assert [one.failed for one in run.scenarios] == [False, True]


@pytest.mark.usefixtures("parts")
def test_a_run_whose_parts_were_all_measured_succeeds() -> None:
    assert CliRunner().invoke(app, ["bench", "--only", "whole"]).exit_code == 0


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--only", "greets", "--target", "127.0.0.1:5060"], "--only greets needs a greeting of its own"),
        (["--only", "broken", "--transport", "twilio"], "--only broken means nothing over twilio"),
    ],
)
def test_a_part_that_cannot_be_measured_is_told_before_a_call(options: list[str], sentence: str) -> None:
    result = CliRunner().invoke(app, ["bench", *options])
    assert result.exit_code == 2
    assert sentence in result.stderr


@pytest.mark.usefixtures("parts")
async def test_what_is_left_out_is_told_and_stays() -> None:
    told: list[str] = []
    target = Target("127.0.0.1:5060")
    await measure(target, Plan(only=("whole", "greets")), SAID, lambda text: None, told.append)
    assert told == ["skipped, since they need a persona of their own: greets"]


@pytest.mark.usefixtures("parts")
async def test_a_subject_that_does_not_start_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.asynccontextmanager
    async def running(*_: object) -> AsyncIterator[Running]:
        raise SubjectError("It ended with code 1: [Errno 98]")
        yield

    monkeypatch.setattr(StockBot, "running", running)
    stock = StockBot("timeout", None)
    found = await measure(stock, Plan(only=("whole",)), SAID, lambda text: None, lambda text: None)
    console = Console(record=True, width=160)
    (mine,) = await measure(OffhookServer(None), Plan(only=("whole",)), SAID, print, print)
    show(console, [mine, *found], [])
    assert [one.failed for one in found[0].scenarios] == [True]
    assert "whole of stock (timeout): not measured: It ended with code 1: [Errno 98]" in console.export_text()


KILLED = """
import asyncio, contextlib, os, sys
from pathlib import Path
from bench import suite, subjects

@contextlib.asynccontextmanager
async def sounds(*_):
    yield None

async def measure(*_):
    sleeper = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"]
    async with subjects.process(sleeper, dict(os.environ), Path("log")):
        await asyncio.sleep(600)

suite.sounds, suite.measure = sounds, measure
from agent.cli import app
app(["bench"])
"""


async def test_what_a_killed_bench_has_started_ends_with_it(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    bench = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, cwd=tmp_path, env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    log = tmp_path / "log"
    try:
        await until(lambda: log.is_file() and log.read_text().endswith("\n"))
        pid = int(log.read_text())
        bench.terminate()
        await asyncio.wait_for(bench.wait(), 30)
    finally:
        if bench.returncode is None:
            bench.kill()
            await bench.wait()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
