"""The caller is asked to call somebody else, and how that ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.peers import Reception, sip_server
from tests.process import resident_mb
from tests.sip_callee import callee
from tests.sip_caller import Caller, SipAnswer, dialled
from tests.transports.sip_calls import soon
from tests.transports.test_sip_dialling import dial, dialler
from tests.transports.test_sip_robustness import settled_footprint
from transports.call import CallTransport, EndReason, TransferFailed

TARGET = "sip:reception@127.0.0.1:5999;transport=udp"


async def asked(caller: Caller) -> SipAnswer:
    """The REFER that the caller gets."""
    async with asyncio.timeout(5):
        while True:
            text = await caller.receive()
            if text.startswith("REFER"):
                return SipAnswer(0, text)
            if not text.startswith("SIP/2.0"):
                caller.answer_request(text)


async def tell(caller: Caller, fragment: str, state: str = "active;expires=60") -> SipAnswer:
    """Notify of how the other call goes."""
    headers = f"Event: refer\r\nSubscription-State: {state}\r\n"
    return await caller.ask("NOTIFY", f"{fragment}\r\n", headers, content_type="message/sipfrag;version=2.0")


@contextlib.asynccontextmanager
async def transferring(
    *, timeout_s: float = 10.0
) -> AsyncIterator[tuple[Reception, Caller, asyncio.Task[None], SipAnswer]]:
    """A caller who has been asked to call somebody else, and hasn't said whether they do."""
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        call: CallTransport = await soon(reception.connected.get())
        task = asyncio.create_task(call.transfer(TARGET, timeout_s=timeout_s))
        try:
            yield reception, caller, task, await asked(caller)
        finally:
            task.cancel()
            await asyncio.wait({task})


async def test_who_is_put_through_is_hung_up_on() -> None:
    async with transferring() as (reception, caller, task, refer):
        assert refer.header("Refer-To") == f"<{TARGET}>"
        assert refer.header("Referred-By") == "<sip:agent@127.0.0.1>"
        caller.answer_request(refer.text, status="202 Accepted")
        assert (await tell(caller, "SIP/2.0 100 Trying")).status == 200
        assert (await tell(caller, "SIP/2.0 180 Ringing")).status == 200
        assert not task.done()
        await tell(caller, "SIP/2.0 200 OK", "terminated;reason=noresource")
        await soon(task)
        await soon(caller.serve())
        assert caller.requests == ["REFER", "BYE"]
        assert await soon(reception.ended.get()) is EndReason.TRANSFERRED


@pytest.mark.parametrize(
    ("fragment", "status"),
    [("486 Busy Here", 486), ("603 Decline", 603), ("404 Not Found", 404), ("503 Service Unavailable", 503)],
)
async def test_who_cant_be_put_through_is_still_there(fragment: str, status: int) -> None:
    async with transferring() as (reception, caller, task, refer):
        caller.answer_request(refer.text, status="202 Accepted")
        await tell(caller, f"SIP/2.0 {fragment}", "terminated;reason=noresource")
        with pytest.raises(TransferFailed, match=str(status)) as failed:
            await soon(task)
        assert failed.value.status == status
        assert (await caller.ask("OPTIONS")).status == 200
        assert reception.ended.empty()


@pytest.mark.parametrize("status", ["405 Method Not Allowed", "501 Not Implemented", "603 Decline"])
async def test_a_caller_that_takes_no_transfers_is_still_there(status: str) -> None:
    async with transferring() as (reception, caller, task, refer):
        caller.answer_request(refer.text, status=status)
        with pytest.raises(TransferFailed) as failed:
            await soon(task)
        assert failed.value.status == int(status[:3])
        assert (await caller.ask("OPTIONS")).status == 200
        assert reception.ended.empty()


@pytest.mark.parametrize("accepts", [True, False])
async def test_a_caller_that_tells_nothing_is_still_there(accepts: bool) -> None:
    async with transferring(timeout_s=0.5) as (reception, caller, task, refer):
        if accepts:
            caller.answer_request(refer.text, status="202 Accepted")
        with pytest.raises(TransferFailed, match="in time"):
            await soon(task)
        assert (await caller.ask("OPTIONS")).status == 200
        assert reception.ended.empty()


async def test_it_may_be_tried_again() -> None:
    async with transferring() as (reception, caller, task, refer):
        caller.answer_request(refer.text, status="202 Accepted")
        await tell(caller, "SIP/2.0 486 Busy Here", "terminated;reason=noresource")
        with pytest.raises(TransferFailed):
            await soon(task)
        call = next(iter(reception.live.values()))
        again = asyncio.create_task(call.transfer(TARGET, timeout_s=10))
        caller.answer_request((await asked(caller)).text, status="202 Accepted")
        await tell(caller, "SIP/2.0 200 OK", "terminated;reason=noresource")
        await soon(again)
        await soon(caller.serve())
        assert await soon(reception.ended.get()) is EndReason.TRANSFERRED


@pytest.mark.parametrize("rings", [False, True])
async def test_who_accepts_and_hangs_up_has_put_themselves_through(rings: bool) -> None:
    """As PBXs do, which then tell nothing more."""
    async with transferring() as (reception, caller, task, refer):
        caller.answer_request(refer.text, status="202 Accepted")
        if rings:
            await tell(caller, "SIP/2.0 180 Ringing")
        await caller.bye()
        caller.ended.set()
        await soon(task)
        assert await soon(reception.ended.get()) is EndReason.TRANSFERRED


@pytest.mark.parametrize("accepts", [False, True])
async def test_who_hangs_up_meanwhile_has_hung_up(accepts: bool) -> None:
    async with transferring() as (reception, caller, task, refer):
        if accepts:
            caller.answer_request(refer.text, status="202 Accepted")
            await tell(caller, "SIP/2.0 486 Busy Here", "terminated;reason=noresource")
            with pytest.raises(TransferFailed, match="486"):
                await soon(task)
            await caller.bye()
            caller.ended.set()
            assert await soon(reception.ended.get()) is EndReason.CALLER_HANGUP
            return
        await caller.bye()
        caller.ended.set()
        with pytest.raises(TransferFailed, match="hung up"):
            await soon(task)
        assert await soon(reception.ended.get()) is EndReason.CALLER_HANGUP


async def test_news_of_a_transfer_that_nobody_asked_for_is_refused() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        await soon(reception.connected.get())
        assert (await tell(caller, "SIP/2.0 200 OK", "terminated")).status == 405
        assert reception.ended.empty()


@pytest.mark.parametrize("tcp", [False, True])
async def test_whom_we_called_is_put_through(tcp: bool) -> None:
    async with dialler() as server, callee(tcp=tcp) as called:
        call, dialling = await dial(server, called.address)
        assert "timer" not in await called.invited()
        await called.accept()
        await soon(dialling.answered.wait())
        task = asyncio.create_task(call.transfer(TARGET, timeout_s=10))
        refer = SipAnswer(0, await called.request_of("REFER"))
        assert refer.header("Refer-To") == f"<{TARGET}>"
        called.reply(refer.text, "202 Accepted")
        assert (await tell(called, "SIP/2.0 200 OK", "terminated;reason=noresource")).status == 200
        await soon(task)
        called.reply(await called.request_of("BYE"), "200 OK")
        assert await soon(dialling.stopped) is EndReason.TRANSFERRED


FAILS = "486 Busy Here", "603 Decline", ""  # the last tells nothing


async def transfer_once(reception: Reception, server: tuple[str, int], nth: int) -> None:
    """Every other one fails, in one way or another; the caller then hangs up."""
    async with dialled(server) as caller:
        call: CallTransport = await soon(reception.connected.get())
        reception.calls.get_nowait()  # which would keep it
        transfer = asyncio.create_task(call.transfer(TARGET, timeout_s=10 if nth % 8 else 0.05))
        refer = await asked(caller)
        fails = FAILS[nth % 3] if nth % 2 else "200 OK"
        if nth % 8:
            caller.answer_request(refer.text, status="202 Accepted")
            await tell(caller, f"SIP/2.0 {fails or '500 Server Error'}", "terminated;reason=noresource")
        with contextlib.suppress(TransferFailed):
            await soon(transfer)
        if nth % 8 and not nth % 2:
            await soon(caller.serve())
        else:
            await caller.bye()
            caller.ended.set()
        await soon(reception.ended.get())


@pytest.mark.parametrize(
    "count", [24, pytest.param(1000, marks=[pytest.mark.soak, pytest.mark.timeout(900)])]
)
async def test_transfers_leave_nothing_behind(count: int) -> None:
    reception = Reception()
    async with sip_server(reception) as server:
        for nth in range(8):  # what is made once and kept
            await transfer_once(reception, server, nth)
        before, memory_mb = await settled_footprint(), resident_mb()
        for nth in range(count):
            await transfer_once(reception, server, nth)
        assert await settled_footprint() == before
        assert not reception.live
        print(f"{count} transfers: {memory_mb:.1f} MB before, {resident_mb():.1f} MB behind them")
        assert resident_mb() - memory_mb < 10 + 0.002 * count
