"""Calls to the real server that end in every way: nothing of them may be left."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import wave
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.e2e.served import Served, served
from tests.sip_caller import Caller

pytestmark = [pytest.mark.models, pytest.mark.timeout(900)]

AT_ONCE = 6
WARM_UP = 50
# Not zero: what happens seldom, such as a window of 30 s for Whisper, is met late. Whoever leaks a call's
# audio or its tasks is far above after 200 calls.
GROWTH_MB = 15


@dataclass(frozen=True)
class Bench:
    server: Served
    question: NDArray[np.int16]  # s16 mono at 8 kHz


Ending = Callable[[Bench, Caller], Awaitable[None]]


async def at_once(bench: Bench, caller: Caller) -> None:
    await caller.bye()


async def in_the_greeting(bench: Bench, caller: Caller) -> None:
    await asyncio.sleep(0.4)
    await caller.bye()


async def while_asking(bench: Bench, caller: Caller) -> None:
    caller.say(bench.question)
    await asyncio.sleep(len(bench.question) / 8000 * 0.7)
    await caller.bye()


async def while_the_agent_thinks(bench: Bench, caller: Caller) -> None:
    caller.say(bench.question)
    await asyncio.sleep(len(bench.question) / 8000 + 0.25)
    await caller.bye()


async def while_the_agent_answers(bench: Bench, caller: Caller) -> None:
    caller.say(bench.question)
    await asyncio.sleep(len(bench.question) / 8000 + 2.0)
    await caller.bye()


async def gone_without_a_word(bench: Bench, caller: Caller) -> None:
    """Neither RTP nor SIP from now on; the server's RTP timeout ends it."""
    await asyncio.sleep(0.2)


async def by_an_operator(bench: Bench, caller: Caller) -> None:
    live = await asyncio.to_thread(bench.server.sessions)
    (own,) = [session for session in live if session["from"] == caller.name]
    deleted = await asyncio.to_thread(httpx2.delete, f"{bench.server.url}/api/v1/sessions/{own['id']}")
    assert deleted.status_code in (202, 204)
    await asyncio.wait_for(caller.serve(), 5)  # sooner than it would end by itself


async def by_the_agent(bench: Bench, caller: Caller) -> None:
    """Nobody says anything: it asks, says goodbye and hangs up."""
    await asyncio.wait_for(caller.serve(), 30)


ENDINGS: tuple[Ending, ...] = (
    at_once,
    in_the_greeting,
    while_asking,
    while_the_agent_thinks,
    while_the_agent_answers,
    gone_without_a_word,
    by_an_operator,
    by_the_agent,
)


async def cancelled(server: tuple[str, int]) -> None:
    """Rings and gives up before it can know whether anyone answered."""
    caller = Caller(server)
    try:
        caller.send_request("INVITE", caller.sdp())
        caller.cancel()
        answer = await caller.final_answer()
        while not answer.header("CSeq").endswith("INVITE"):
            answer = await caller.final_answer()
        caller.ack(answer)
        if answer.status == 200:
            await caller.bye()
    finally:
        caller.close()


async def one(bench: Bench, ending: Ending) -> None:
    caller = Caller(("127.0.0.1", bench.server.sip), name=f"caller-{secrets.token_hex(4)}")
    try:
        answer = await caller.call()
        assert answer.status == 200
        await ending(bench, caller)
    finally:
        caller.close()


async def calls(bench: Bench, count: int) -> None:
    room = asyncio.Semaphore(AT_ONCE)
    ways = itertools.cycle((*ENDINGS, None))

    async def in_turn(ending: Ending | None) -> None:
        async with room:
            if ending is None:
                await cancelled(("127.0.0.1", bench.server.sip))
            else:
                await one(bench, ending)

    async with asyncio.TaskGroup() as group:
        for ending in itertools.islice(ways, count):
            group.create_task(in_turn(ending))


async def at_rest(server: Served) -> dict[str, float]:
    """The server's process once no call is left."""
    async with asyncio.timeout(40):
        while await asyncio.to_thread(server.sessions):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    await asyncio.sleep(1.0)
    return dict((await asyncio.to_thread(server.get, "/health"))["process"])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    short = {"OFFHOOK_SIP__RTP_TIMEOUT_S": "2", "OFFHOOK_CALL__IDLE_PROMPT_S": "2"}
    with served(tmp_path, **short) as running:
        yield running


@pytest.mark.soak
@pytest.mark.parametrize("count", [WARM_UP, 200], ids=["some", "two hundred"])
async def test_calls_that_end_in_every_way_leave_nothing(
    server: Served, questions: list[Path], count: int
) -> None:
    with wave.open(str(questions[0])) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    bench = Bench(server, pcm[::2])
    await calls(bench, WARM_UP)
    before = await at_rest(server)
    await calls(bench, count)
    after = await at_rest(server)
    assert after["tasks"] <= before["tasks"]
    assert after["threads"] <= before["threads"]
    assert after["open_files"] <= before["open_files"]
    if count > WARM_UP:
        assert after["memory_mb"] - before["memory_mb"] < GROWTH_MB
