"""Calls are held, by us and by the peer."""

from __future__ import annotations

import asyncio
from unittest.mock import create_autospec

import numpy as np

from tests.peers import Reception, sip_server
from tests.sip_caller import Caller, dialled
from tests.transports.fake_agent import tone
from tests.transports.sip_calls import packets, soon
from transports.call import CallTransport
from transports.playout import Playout
from transports.sip.dialog import Dialog
from transports.sip.hold import Hold
from transports.sip.native import Stack
from transports.sip.native_calls import StackCalls
from transports.sip.parties import Parties


async def offered(caller: Caller) -> str:
    """The direction that the next INVITE of the server's asks for; it is answered with what fits."""
    async with asyncio.timeout(5):
        while True:
            text = await caller.receive()
            if not text.startswith("INVITE"):
                continue
            asked = next(
                one for one in ("sendonly", "recvonly", "inactive", "sendrecv") if f"a={one}" in text
            )
            caller.answer_request(text, caller.sdp({"sendonly": "recvonly"}.get(asked, asked)))
            return asked


def loud(caller: Caller, since: int = 0) -> bool:
    heard = caller.heard()[since:].astype(float)
    return bool(len(heard)) and float(np.sqrt(np.mean(heard**2))) > 500


async def until_loud(caller: Caller, since: int) -> None:
    async with asyncio.timeout(5):
        while not loud(caller, since):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_who_is_held_hears_us_and_is_told() -> None:
    reception = Reception()
    async with sip_server(reception, rtp_timeout_s=2) as server, dialled(server) as caller:
        call: CallTransport = await soon(reception.connected.get())
        holding = asyncio.create_task(call.hold())
        assert await offered(caller) == "sendonly"
        await soon(holding)
        assert call.on_hold
        caller.silent = True
        serving = asyncio.create_task(caller.serve())
        since = len(caller.heard())
        call.playout.write(tone(4.0))
        await until_loud(caller, since)
        await asyncio.wait({serving}, timeout=3.0)  # longer than a caller may be silent who isn't held
        assert reception.ended.empty()
        serving.cancel()
        resuming = asyncio.create_task(call.resume())
        assert await offered(caller) == "sendrecv"
        await soon(resuming)
        assert not call.on_hold
        caller.silent = False


async def test_a_hold_waits_for_another_offer_to_be_answered() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        call: CallTransport = await soon(reception.connected.get())
        holding = asyncio.create_task(call.hold())
        async with asyncio.timeout(5):
            while not (first := await caller.receive()).startswith("INVITE"):
                pass
        await soon(holding)
        resuming = asyncio.create_task(call.resume())
        done, _ = await asyncio.wait({resuming}, timeout=0.3)
        assert not done
        caller.answer_request(first, caller.sdp("recvonly"))
        assert await offered(caller) == "sendrecv"
        await soon(resuming)


async def test_who_was_resumed_meanwhile_is_not_held() -> None:
    busy, sent = True, list[bool]()

    async def send_only(_: str, held: bool) -> bool:
        if not busy:
            sent.append(held)
        return not busy

    stack = create_autospec(Stack, instance=True)
    stack.calls = create_autospec(StackCalls, instance=True)
    stack.calls.send_only.side_effect = send_only
    hold = Hold("1", Dialog(Parties("", "", ""), ""), stack, Playout())
    waiting = [asyncio.create_task(hold.hold(ours)) for ours in (True, False)]
    async with asyncio.timeout(5):
        while stack.calls.send_only.await_count < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        busy = False
        await asyncio.gather(*waiting)
    assert sent == [False, False]
    assert not hold.silent


async def test_what_the_agent_says_waits_while_the_peer_holds() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        call: CallTransport = await soon(reception.connected.get())
        caller.ack(await caller.invite("sendonly"))
        async with asyncio.timeout(3):
            while not call.playout.held:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        call.playout.write(tone(1.0))
        since = len(caller.heard())
        await asyncio.sleep(0.3)
        assert call.playout.position == 0
        caller.ack(await caller.invite("sendrecv"))
        await until_loud(caller, since)
        await packets(caller, 5)
        assert call.playout.position > 0
