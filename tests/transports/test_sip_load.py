"""Many calls at once, with whole sessions and scripted models; and a flood beside them."""

from __future__ import annotations

import asyncio
import time

import pytest

from bench.load import arrive, hold, percentile, set_up
from tests.crowd import Crowd, crowd_server, question
from tests.peers import require_peer
from tests.sip_caller import Caller

CALLS = 100
SESSIONS = 50  # what one process bears on two cores that the callers share
MINUTES = 5
SETUPS_A_SECOND, PROCESSES = 25, 2
SETUPS_S = 60
STRANGER = "127.0.0.66"
FLOOD_S, FLOOD_A_SECOND = 30, 1000


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_many_calls_for_five_minutes() -> None:
    held = await hold(SESSIONS, MINUTES * 60)
    print(
        f"packets {held.worst_gap_ms:.1f} ms apart (p99 of the worst minute), answers in "
        f"{percentile(held.setups_ms, 95):.0f} ms (p95), {held.cores:.2f} cores, "
        f"{[round(minute.memory_mb) for minute in held.minutes]} MB"
    )
    assert not held.missed


@pytest.mark.soak
@pytest.mark.peers
@pytest.mark.timeout(200)
async def test_setups_for_a_minute() -> None:
    require_peer("sipp")
    arrived = await set_up(SETUPS_A_SECOND, SETUPS_S, PROCESSES)
    print(
        f"answers in {percentile(arrived.setups_ms, 95):.0f} ms (p95), {arrived.cpu_ms:.0f} ms of processor "
        f"time each, {arrived.more_mb:.0f} MB more"
    )
    assert not arrived.missed


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
            quiet_ms = percentile(crowd.take_gaps_ms(), 99)
            flood = Caller(server, STRANGER)
            invite = flood.request("INVITE", flood.sdp(), "User-Agent: friendly-scanner\r\n", cseq=1).encode()
            sent, began = 0, time.monotonic()
            while (elapsed := time.monotonic() - began) < FLOOD_S:
                while sent < elapsed * FLOOD_A_SECOND:
                    flood.sip.sendto(invite, server)
                    sent += 1
                await asyncio.sleep(0.002)
            flood.close()
            flooded_ms = percentile(crowd.take_gaps_ms(), 99)
            print(f"packets {quiet_ms:.1f} ms apart (p99); {flooded_ms:.1f} during {sent} INVITEs")
            for caller in crowd.callers:
                await crowd.leave(caller)
    finally:
        crowd.close()
    assert sent > 0.9 * FLOOD_S * FLOOD_A_SECOND
    assert flooded_ms - quiet_ms < 5
