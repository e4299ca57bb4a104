"""Many calls at once, with whole sessions and scripted models; and a flood beside them."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from tests.crowd import Crowd, cpu_s, crowd_server, question, resident_mb
from tests.sip_caller import Caller

CALLS = 100
SESSIONS = 50  # what one process bears on two cores that the callers share
A_SECOND_ARRIVE = 4
MINUTES = 5
SPEECH_A_MINUTE_S = 8.0
SETUPS_A_SECOND = 10
SETUPS_S = 60
TALK_S = 2.0
STRANGER = "127.0.0.66"
FLOOD_S, FLOOD_A_SECOND = 30, 1000


def p(values: list[float], percent: float) -> float:
    return float(np.percentile(values, percent))


async def arrive(crowd: Crowd, server: tuple[str, int], calls: int) -> list[float]:
    """So many callers, one after another. Returns how long each answer took, in milliseconds."""

    async def one(nth: int) -> float:
        await asyncio.sleep(nth / A_SECOND_ARRIVE)
        return (await crowd.join(server))[1] * 1000

    return await asyncio.gather(*(one(nth) for nth in range(calls)))


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_many_calls_for_five_minutes() -> None:
    crowd = Crowd(question())
    try:
        async with crowd_server(CALLS) as (server, pid):
            setups_ms = await arrive(crowd, server, SESSIONS)
            crowd.take_gaps_ms()
            memory_mb, began, spent_s = [resident_mb(pid)], time.monotonic(), cpu_s(pid)
            worst: list[float] = []
            for minute in range(MINUTES):
                await asyncio.sleep(60)
                gaps_ms = crowd.take_gaps_ms()
                worst.append(p(gaps_ms, 99))
                memory_mb.append(resident_mb(pid))
                print(
                    f"minute {minute + 1}: {len(gaps_ms)} packets, {p(gaps_ms, 50):.1f} ms apart (p50), "
                    f"{worst[-1]:.1f} (p99), {p(gaps_ms, 99.9):.1f} (p99.9), {memory_mb[-1]:.0f} MB"
                )
            cores = (cpu_s(pid) - spent_s) / (time.monotonic() - began)
            print(f"setup {p(setups_ms, 50):.0f} ms (p50), {p(setups_ms, 95):.0f} (p95); {cores:.2f} cores")
            assert len(crowd.callers) == SESSIONS
            assert min(crowd.speech_s()) > MINUTES * SPEECH_A_MINUTE_S  # all were talked with
            for caller in crowd.callers:
                await crowd.leave(caller)
                assert caller.requests == []  # nobody was hung up on
    finally:
        crowd.close()
    assert max(worst) < 25
    assert p(setups_ms, 95) < 300
    assert memory_mb[-1] - memory_mb[1] < 15


@pytest.mark.soak
@pytest.mark.timeout(200)
async def test_setups_for_a_minute() -> None:
    crowd = Crowd(question())

    async def one(nth: int) -> float:
        await asyncio.sleep(nth / SETUPS_A_SECOND)
        caller, took_s = await crowd.join(server)
        await asyncio.sleep(TALK_S)
        await crowd.leave(caller)
        return took_s * 1000

    try:
        async with crowd_server(CALLS) as (server, pid):
            before_mb = resident_mb(pid)
            setups_ms = await asyncio.gather(*(one(nth) for nth in range(SETUPS_A_SECOND * SETUPS_S)))
            gaps_ms = crowd.take_gaps_ms()
            print(
                f"{len(setups_ms)} calls: setup {p(setups_ms, 50):.0f} ms (p50), "
                f"{p(setups_ms, 95):.0f} (p95); packets {p(gaps_ms, 99):.1f} ms apart (p99); "
                f"{resident_mb(pid) - before_mb:.0f} MB more"
            )
    finally:
        crowd.close()
    assert p(setups_ms, 95) < 300


@pytest.mark.soak
@pytest.mark.timeout(200)
async def test_a_banned_flood_moves_no_packet() -> None:
    """1,000 INVITEs a second for 30 s, from a source that is banned for the first of them."""
    crowd = Crowd(question())
    try:
        async with crowd_server(CALLS) as (server, _):
            await arrive(crowd, server, 5)
            await asyncio.sleep(5)
            crowd.take_gaps_ms()
            await asyncio.sleep(30)
            quiet_ms = p(crowd.take_gaps_ms(), 99)
            flood = Caller(server, STRANGER)
            invite = flood.request("INVITE", flood.sdp(), "User-Agent: friendly-scanner\r\n", cseq=1).encode()
            sent, began = 0, time.monotonic()
            while (elapsed := time.monotonic() - began) < FLOOD_S:
                while sent < elapsed * FLOOD_A_SECOND:
                    flood.sip.sendto(invite, server)
                    sent += 1
                await asyncio.sleep(0.002)
            flood.close()
            flooded_ms = p(crowd.take_gaps_ms(), 99)
            print(f"packets {quiet_ms:.1f} ms apart (p99); {flooded_ms:.1f} during {sent} INVITEs")
            for caller in crowd.callers:
                await crowd.leave(caller)
    finally:
        crowd.close()
    assert sent > 0.9 * FLOOD_S * FLOOD_A_SECOND
    assert flooded_ms - quiet_ms < 5
