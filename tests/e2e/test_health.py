"""A model that hangs or fails under a whole server: what `/readyz` says, and that it still stops."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent import canary
from models.llm import child
from tests.e2e.served import START_S, Served, until

pytestmark = pytest.mark.models

WITHIN_S = 90.0  # 15 on a machine that has nothing else to do

# SIGUSR1 has speech-to-text or text-to-speech hang or fail from then on, SIGUSR2 be well again.
BREAKABLE = """
import os, signal, threading
from agent.cli import app
from models import piper, whisper
well = threading.Event(); well.set()
signal.signal(signal.SIGUSR1, lambda *_: well.clear())
signal.signal(signal.SIGUSR2, lambda *_: well.set())
encode, parts = whisper.Recognizer.encode, piper.Voice.parts
def on_the_lane():
    if not well.is_set() and os.environ["TEST_FAULT"] == "fails":
        raise RuntimeError("as the test has it")
    well.wait()
def hear(*words):
    on_the_lane()
    return encode(*words)
def speak(*words, **named):  # a generator, as the original is
    on_the_lane()
    yield from parts(*words, **named)
if os.environ["TEST_PART"] == "speech-to-text":
    whisper.Recognizer.encode = hear
else:
    piper.Voice.parts = speak
app()
"""


@contextmanager
def running(folder: Path, **more: str) -> Iterator[Served]:
    environment = {"OFFHOOK_LLM__BUNDLED": "smollm2-135m", "OFFHOOK_CALL__DRAIN_S": "1", **more}
    server = Served(folder, environment, [sys.executable, "-c", BREAKABLE])
    try:
        assert until(server.ready, START_S), server.log.read_text()
        yield server
    finally:
        server.kill()


def reasons(server: Served) -> str:
    return " ".join(server.get("/readyz")["reasons"])


def turns(server: Served, *, ready: bool) -> str:
    """What `/readyz` says once it has turned."""
    began = time.monotonic()
    assert until(lambda: server.ready() is ready, WITHIN_S), reasons(server)
    print(f"ready is {ready} after {time.monotonic() - began:.1f} s: {reasons(server)}")
    return reasons(server)


def test_what_hangs_is_known_in_time() -> None:
    assert canary.EVERY_S + canary.DEADLINE_S < 15
    assert child.MISSED_HEARTBEATS * (child.HEARTBEAT_S + child.ANSWER_S) + child.STOP_DEADLINE_S < 15


@pytest.mark.parametrize("fault", ["hangs", "fails"])
@pytest.mark.parametrize("part", ["speech-to-text", "text-to-speech"])
def test_a_model_that_stops_and_comes_back(tmp_path: Path, part: str, fault: str) -> None:
    with running(tmp_path, TEST_PART=part, TEST_FAULT=fault) as server:
        server.process.send_signal(signal.SIGUSR1)
        assert part in turns(server, ready=False).lower()
        server.process.send_signal(signal.SIGUSR2)
        turns(server, ready=True)
        server.process.send_signal(signal.SIGUSR1)
        assert server.stop() == 0  # although it may be at work that doesn't end


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL])
def test_a_language_model_that_stops_and_comes_back(tmp_path: Path, fault: signal.Signals) -> None:
    with running(tmp_path, TEST_PART="", TEST_FAULT="") as server:
        (model,) = children(server.process.pid)
        if fault is signal.SIGKILL:  # it is soon there again
            os.kill(model, fault)
            assert until(lambda: children(server.process.pid) not in ([model], []), WITHIN_S)
        else:
            os.kill(model, fault)
            assert "language model" in turns(server, ready=False)
        turns(server, ready=True)
        (model,) = children(server.process.pid)
        os.kill(model, signal.SIGSTOP)
        assert server.stop() == 0


def children(pid: int) -> list[int]:
    """Processes of language models."""
    found = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [one for one in found if b"child_main" in Path(f"/proc/{one}/cmdline").read_bytes()]
