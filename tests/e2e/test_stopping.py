"""How `offhook serve` comes to its end with callers on the line, and what a supervisor sees of it."""

from __future__ import annotations

import asyncio
import signal
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from agent.cli.serve import EXIT_CANNOT_START, EXIT_SIP_DIED
from agent.session import HALF_OPEN_S
from models.whisper import Recognizer
from tests.e2e.served import START_S, Served, plain, served
from tests.e2e.served import until as until_blocking
from tests.sip_caller import Caller, dialled, ulaw_decode

pytestmark = pytest.mark.models

SMALL = {"OFFHOOK_LLM__BUNDLED": "smollm2-135m"}  # starts sooner
AUDIBLE = 300  # of 32,768
WORDS_APART = 40  # packets: 0.8 s of silence end what the agent says

# SIGUSR1 makes the SIP thread leave its loop, as if by itself.
MORTAL = """
import signal
from baresip._native import ffi, lib
signal.signal(signal.SIGUSR1, lambda *_: lib.bp_cmd(lib.BP_CMD_STOP, 0, ffi.NULL))
from agent.cli import app
app()
"""


async def until(condition: Callable[[], bool], deadline_s: float = 30.0) -> None:
    assert await asyncio.to_thread(until_blocking, condition, deadline_s)


def line(server: Served) -> tuple[str, int]:
    return "127.0.0.1", server.sip


def loud(caller: Caller, since: int = 0) -> list[int]:
    """Which of the packets received after the first `since` are audible."""
    packets = enumerate(caller.received[since:], since)
    return [nth for nth, packet in packets if np.abs(ulaw_decode(packet.payload)).max() > AUDIBLE]


async def greeted(caller: Caller) -> int:
    """Wait for the end of the greeting. Returns how many packets have come by then."""
    await until(lambda: (heard := loud(caller)) != [] and len(caller.received) > heard[-1] + WORDS_APART)
    return len(caller.received)


def words(caller: Caller, since: int, ear: Recognizer) -> str:
    pcm = ulaw_decode(b"".join(packet.payload for packet in caller.received[since:]))
    return plain(ear.transcribe_now(soxr.resample(pcm, 8000, 16_000), "en").text)


async def ended(server: Served, within_s: float) -> int:
    return await asyncio.to_thread(server.process.wait, within_s)


async def test_a_call_goes_on_after_sigterm_until_it_ends(tmp_path: Path, questions: list[Path]) -> None:
    with wave.open(str(questions[0])) as file:
        question: NDArray[np.int16] = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    with served(tmp_path, **SMALL, OFFHOOK_CALL__DRAIN_S="60") as server:
        async with dialled(line(server)) as caller:
            await greeted(caller)
            server.process.send_signal(signal.SIGTERM)
            await until(lambda: not server.ready())
            late = Caller(line(server))
            answer = await late.invite()
            late.ack(answer)
            late.close()
            assert answer.status == 503
            assert answer.header("Retry-After") == "60"
            asked = len(caller.received)
            caller.say(question[::2])
            await until(lambda: loud(caller, asked) != [], 20)
            assert server.process.poll() is None
        assert await ended(server, 15) == 0


async def test_calls_left_when_the_time_is_over_are_said_goodbye_to(
    tmp_path: Path, recognizer: Recognizer
) -> None:
    with served(tmp_path, **SMALL, OFFHOOK_CALL__DRAIN_S="2") as server:
        async with dialled(line(server)) as caller:
            before = await greeted(caller)
            server.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(caller.serve(), 15)
            assert caller.requests == ["BYE"]
            assert loud(caller, before)[0] - before >= 1.8 * 50  # packets in a second
            assert "goodbye" in words(caller, before, recognizer)
        assert await ended(server, 15) == 0


async def test_a_second_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    server = Served(tmp_path, {**SMALL, "OFFHOOK_CALL__DRAIN_S": "60"})
    try:
        await until(server.ready, START_S)
        async with dialled(line(server)) as caller:
            await greeted(caller)
            server.process.send_signal(signal.SIGTERM)
            await until(lambda: not server.ready())
            server.process.send_signal(signal.SIGTERM)
            assert await ended(server, 15) == EXIT_CANNOT_START
            caller.ended.set()  # nobody is there to say goodbye to
    finally:
        server.process.kill()
        server.stop()


async def test_who_calls_as_soon_as_it_is_ready_is_answered(tmp_path: Path) -> None:
    server = Served(tmp_path, {**SMALL, "OFFHOOK_CALL__MAX_CALLS": "1"})
    try:
        caller = Caller(line(server))
        await until(server.ready, START_S)
        assert (await caller.ask("OPTIONS")).status == 200
        assert (await caller.invite()).status == 200  # and is never acknowledged
        caller.close()
        late = Caller(line(server))
        busy = await late.invite()
        late.ack(busy)
        late.close()
        assert busy.status == 486
        await asyncio.sleep(HALF_OPEN_S)
        async with dialled(line(server)) as other:
            await greeted(other)
    finally:
        server.stop()


async def test_the_process_ends_with_its_telephone_line(tmp_path: Path) -> None:
    server = Served(tmp_path, SMALL, [sys.executable, "-c", MORTAL])
    try:
        await until(server.ready, START_S)
        async with dialled(line(server)) as caller:
            await greeted(caller)
            server.process.send_signal(signal.SIGUSR1)
            assert await ended(server, 15) == EXIT_SIP_DIED
            caller.ended.set()  # nobody is there to say goodbye to
        log = server.log.read_text()
        assert "The SIP thread died." in log
        assert "over: transport_failure" in log
    finally:
        server.stop()
