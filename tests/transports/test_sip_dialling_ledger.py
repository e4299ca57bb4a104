"""Calls that we make leave nothing behind, however they end."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable

import pytest

from tests.process import open_files, resident_mb
from tests.sip_callee import Callee, callee
from tests.transports.sip_calls import soon
from tests.transports.test_sip_dialling import Dialling, dial, dialler
from transports.call import EndReason
from transports.sip.outgoing import OutgoingCall
from transports.sip.server import SipServer

MEMORY_MB = 12.0  # libre keeps transactions for 32 s, and Python its arenas


async def refused(call: OutgoingCall, dialling: Dialling, called: Callee) -> EndReason:
    called.reply(await called.invited(), "486 Busy Here")
    return EndReason.BUSY


async def hung_up_by_us(call: OutgoingCall, dialling: Dialling, called: Callee) -> EndReason:
    await called.invited()
    called.reply(called.invite_text, "200 OK", called.sdp())
    await soon(dialling.answered.wait(), 20)
    await call.hangup()
    called.reply(await called.request_of("BYE"), "200 OK")
    return EndReason.AGENT_HANGUP


async def hung_up_there(call: OutgoingCall, dialling: Dialling, called: Callee) -> EndReason:
    await called.invited()
    called.reply(called.invite_text, "200 OK", called.sdp())
    await soon(dialling.answered.wait(), 20)
    called.cseq += 1
    called.send_request("BYE")
    return EndReason.CALLED_HANGUP


async def given_up(call: OutgoingCall, dialling: Dialling, called: Callee) -> EndReason:
    await called.invited()
    called.reply(called.invite_text, "180 Ringing")
    await call.hangup()
    called.reply(await called.request_of("CANCEL"), "200 OK")
    called.reply(called.invite_text, "487 Request Terminated")
    return EndReason.AGENT_HANGUP


Way = Callable[[OutgoingCall, Dialling, Callee], Awaitable[EndReason]]
WAYS: tuple[Way, ...] = (refused, hung_up_by_us, hung_up_there, given_up)


def things(server: SipServer) -> dict[str, int]:
    assert server._runtime
    gc.collect()
    return {
        "files": open_files(),
        "threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks()),
        "calls": len(server._calls._serving),
        "Call-IDs": len(server._calls._live),
        "dialogs": len(server._dialogs._dialogs),
        "URIs": len(server._dialogs._dialling),
        "listeners": len(server._runtime._listeners),
        "pumped": len(server._pump._calls),
    }


@pytest.mark.parametrize(
    "calls",
    [20, pytest.param(1000, marks=[pytest.mark.soak, pytest.mark.timeout(1200)])],
)
async def test_nothing_is_left(calls: int) -> None:
    async with dialler() as server:
        for way in WAYS:  # whatever is made once
            await one(server, way)
        before, memory_mb = await settled(server, {}), resident_mb()
        for nth in range(calls):
            await one(server, WAYS[nth % len(WAYS)])
        assert await settled(server, before) == before
        grown_mb = resident_mb() - memory_mb
        print(f"{calls} calls: {grown_mb:.1f} MB more")
        assert grown_mb < MEMORY_MB


async def one(server: SipServer, way: Way) -> None:
    async with callee() as called:
        call, dialling = await dial(server, called.address)
        expected = await way(call, dialling, called)
        assert await soon(dialling.stopped, 20) is expected
        await soon(dialling.over.wait(), 20)


async def settled(server: SipServer, wanted: dict[str, int]) -> dict[str, int]:
    """What there is once it is as wanted, or has been the same for a while."""
    found = things(server)
    for _ in range(400):
        await asyncio.sleep(0.1)
        before, found = found, things(server)
        if found == wanted or (not wanted and found == before and not found["calls"]):
            break
    return found
