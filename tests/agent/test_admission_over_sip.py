"""More callers than there are lines, with whole sessions and scripted models over real SIP."""

from __future__ import annotations

import asyncio
import contextlib

import numpy as np
import pytest

from tests.crowd import EVERY_S, Crowd, Refused, crowd_server, question
from tests.sip_caller import Caller, dialled

STRANGER = "127.0.0.66"
TURNS = 6  # of each caller who is let in


async def join(crowd: Crowd, server: tuple[str, int], nth: int) -> Refused | None:
    """One of four callers a second; None if there was a line."""
    await asyncio.sleep(nth / 4)
    try:
        await crowd.join(server)
    except Refused as refused:
        return refused
    return None


async def test_who_never_acknowledges_leaves_the_line_open_to_others() -> None:
    async with crowd_server(4) as (server, _), contextlib.AsyncExitStack() as stack:
        silent = [Caller(server, STRANGER) for _ in range(20)]
        for caller in silent:
            stack.callback(caller.close)
        # All at once: while one waits in vain, those before it stop taking a line.
        statuses = [one.status for one in await asyncio.gather(*(caller.invite() for caller in silent))]
        assert statuses.count(200) == 2
        assert statuses.count(486) == 18
        for _ in range(2):  # at once
            await stack.enter_async_context(dialled(server))


async def test_of_three_times_as_many_callers_as_fit_the_others_are_refused() -> None:
    lines, crowd = 3, Crowd(question())
    try:
        async with crowd_server(lines) as (server, _):
            for _ in range(2):  # nothing is left of the first
                refused = await asyncio.gather(*(join(crowd, server, nth) for nth in range(3 * lines)))
                assert [one.status for one in refused if one] == [486] * 2 * lines
                assert len(crowd.callers) == lines
                for caller in crowd.callers:
                    await crowd.leave(caller)
    finally:
        crowd.close()


@pytest.mark.soak
@pytest.mark.timeout(400)
async def test_who_is_let_in_hears_answers_as_soon_as_a_single_caller() -> None:
    lines, crowd = 15, Crowd(question())
    try:
        async with crowd_server(lines) as (server, _):
            await join(crowd, server, 0)
            await asyncio.sleep(TURNS * EVERY_S)
            alone_ms = crowd.answers_ms()
            refused = await asyncio.gather(*(join(crowd, server, nth) for nth in range(3 * lines - 1)))
            await asyncio.sleep(TURNS * EVERY_S)
            crowd_ms, took_ms = crowd.answers_ms(), [one.took_s * 1000 for one in refused if one]
            assert len(crowd.callers) == lines
            for caller in crowd.callers:
                await crowd.leave(caller)
                assert caller.requests == []  # nobody was hung up on
    finally:
        crowd.close()
    alone, loaded, slowest = (float(np.percentile(ms, 95)) for ms in (alone_ms, crowd_ms, took_ms))
    print(
        f"voice to voice {alone:.0f} ms (p95 of {len(alone_ms)}) alone, {loaded:.0f} (of {len(crowd_ms)}) "
        f"among {lines}; {len(took_ms)} refused within {slowest:.0f} ms (p95)"
    )
    assert {one.status for one in refused if one} == {486}
    assert len(crowd_ms) > (TURNS - 2) * lines
    assert loaded < 1.5 * alone
    assert slowest < 200
