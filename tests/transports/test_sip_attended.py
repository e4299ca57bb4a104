"""The caller is asked to call whom we are talking to, in the place of us."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from urllib.parse import unquote

import pytest

from tests.peers import Reception, free_port
from tests.sip_callee import Callee, callee
from tests.sip_caller import Caller, SipAnswer, dialled
from tests.transports.sip_calls import soon
from tests.transports.test_sip_dialling import Dialling, dial, dialler
from tests.transports.test_sip_transfer import asked, tell
from transports.call import CallTransport, EndReason, TransferFailed


@contextlib.asynccontextmanager
async def consulting(
    timeout_s: float = 10.0,
) -> AsyncIterator[tuple[Reception, Caller, Callee, Dialling, asyncio.Task[None], SipAnswer]]:
    """A caller who has been asked to take our place in the call with a colleague."""
    reception, port = Reception(), free_port()
    async with (
        dialler(reception, port=port) as server,
        dialled(("127.0.0.1", port)) as caller,
        callee() as colleague,
    ):
        call: CallTransport = await soon(reception.connected.get())
        consultation, dialling = await dial(server, colleague.address)
        await colleague.invited()
        await colleague.accept()
        await soon(dialling.answered.wait())
        task = asyncio.create_task(call.transfer(consultation, timeout_s=timeout_s))
        try:
            yield reception, caller, colleague, dialling, task, await asked(caller)
        finally:
            task.cancel()
            await asyncio.wait({task})


async def test_the_caller_takes_our_place() -> None:
    async with consulting() as (reception, caller, colleague, dialling, task, refer):
        target = refer.header("Refer-To")
        assert target.startswith(f"<{colleague.address}?Replaces=")
        replaces = unquote(target.partition("?Replaces=")[2].rstrip(">"))
        assert replaces.partition(";")[0] == colleague.call_id
        tags = dict(re.findall(r"(to-tag|from-tag)=([^;]+)", replaces))
        assert tags == {"to-tag": colleague.tag, "from-tag": colleague.to_tag}
        caller.answer_request(refer.text, status="202 Accepted")
        colleague.cseq = 1
        colleague.send_request("BYE")  # since the caller's INVITE has replaced that call
        assert await soon(dialling.stopped) is EndReason.CALLED_HANGUP
        await tell(caller, "SIP/2.0 200 OK", "terminated;reason=noresource")
        await soon(task)
        await soon(caller.serve())
        assert await soon(reception.ended.get()) is EndReason.TRANSFERRED


@pytest.mark.parametrize("fragment", ["481 Call/Transaction Does Not Exist", "486 Busy Here", "603 Decline"])
async def test_where_that_fails_both_are_still_there(fragment: str) -> None:
    async with consulting() as (reception, caller, colleague, dialling, task, refer):
        caller.answer_request(refer.text, status="202 Accepted")
        await tell(caller, f"SIP/2.0 {fragment}", "terminated;reason=noresource")
        with pytest.raises(TransferFailed) as failed:
            await soon(task)
        assert failed.value.status == int(fragment[:3])
        for one in (caller, colleague):
            one.cseq += 1
            assert (await one.ask("OPTIONS")).status == 200
        assert reception.ended.empty()
        assert not dialling.stopped.done()


async def test_a_caller_that_takes_no_transfers() -> None:
    async with consulting() as (reception, caller, _, dialling, task, refer):
        caller.answer_request(refer.text, status="501 Not Implemented")
        with pytest.raises(TransferFailed, match="doesn't take transfers"):
            await soon(task)
        assert reception.ended.empty()
        assert not dialling.stopped.done()


async def test_a_caller_that_tells_nothing() -> None:
    async with consulting(0.3) as (reception, caller, _, _, task, refer):
        caller.answer_request(refer.text, status="202 Accepted")
        with pytest.raises(TransferFailed, match="in time"):
            await soon(task)
        assert reception.ended.empty()


@pytest.mark.parametrize("first", ["caller", "colleague"])
async def test_a_caller_that_tells_nothing_and_takes_our_place(first: str) -> None:
    """As PBXs do, which hang up as soon as they have accepted."""
    async with consulting() as (reception, caller, colleague, dialling, task, refer):
        caller.answer_request(refer.text, status="202 Accepted")
        colleague.cseq = 1
        one, other = (caller, colleague) if first == "caller" else (colleague, caller)
        await one.bye()
        assert reception.ended.empty()
        await other.bye()
        caller.ended.set()
        await soon(task)
        assert await soon(reception.ended.get()) is EndReason.TRANSFERRED
        assert await soon(dialling.stopped) is EndReason.CALLED_HANGUP


async def test_a_caller_who_hangs_up_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.sip.moving.BYE_S", 0.3)
    async with consulting() as (reception, caller, _, _, task, refer):
        caller.answer_request(refer.text, status="202 Accepted")
        await caller.bye()
        caller.ended.set()
        with pytest.raises(TransferFailed, match="hung up"):
            await soon(task)
        assert await soon(reception.ended.get()) is EndReason.CALLER_HANGUP
