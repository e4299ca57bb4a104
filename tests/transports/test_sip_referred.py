"""The peer asks that we call somebody else in its place (REFER), and how that ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from config.outbound import OutboundSettings
from config.sip import SipSettings
from tests.peers import Reception, free_port
from tests.sip_callee import Callee, callee
from tests.sip_caller import Caller, SipAnswer, dialled
from tests.transports.sip_calls import packets, phone, soon
from tests.transports.test_sip_robustness import settled_footprint
from tests.waiting import until
from transports.call import CallTransport, EndReason
from transports.outbound import OutboundGuard
from transports.sip.referral import Referral
from transports.sip.server import SipServer

OPEN = {"accept_refer": "anyone"}


@contextlib.asynccontextmanager
async def served(
    reception: Reception, outbound: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[str, int]]:
    allowed = outbound or {"allow": ("600@127.0.0.1:*",)}
    values: dict[str, Any] = {"host": "127.0.0.1", "port": free_port()} | OPEN | settings
    guard = OutboundGuard(OutboundSettings(**allowed))
    server = SipServer(SipSettings(**values), 5, reception, outbound=guard)
    await server.start()
    try:
        yield "127.0.0.1", values["port"]
    finally:
        await server.close()


@contextlib.asynccontextmanager
async def talking(
    outbound: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[Reception, Caller, CallTransport]]:
    reception = Reception()
    async with served(reception, outbound, **settings) as server, phone(server) as caller:
        answer = await caller.call()
        assert answer.status == 200
        yield reception, caller, await soon(reception.connected.get())


async def refer(caller: Caller, to: str) -> SipAnswer:
    return await caller.ask("REFER", headers=f"Refer-To: {to}\r\n")


async def news(caller: Caller) -> str:
    """What the next NOTIFY says; whether it is the last."""
    async with asyncio.timeout(15):
        while True:
            text = await caller.receive()
            if text.startswith("SIP/2.0"):
                continue
            caller.answer_request(text)
            if text.startswith("NOTIFY"):
                notify = SipAnswer(0, text)
                assert notify.header("Event").partition(";")[0] == "refer"
                assert notify.header("Content-Type").startswith("message/sipfrag")
                last = notify.header("Subscription-State").startswith("terminated")
                status = text.partition("\r\n\r\n")[2].split()[1]
                assert last is (int(status) >= 200)
                return status


async def last_news(caller: Caller) -> str:
    while (status := await news(caller)) < "200":
        pass
    return status


async def put_through(caller: Caller, colleague: Callee) -> None:
    assert (await refer(caller, f"<{colleague.address}>")).status == 202
    invite = await colleague.invited()
    colleague.reply(invite, "180 Ringing")
    await colleague.accept()


def hum(call: CallTransport) -> None:
    call.playout.write((8000 * np.sin(np.arange(16000) / 8)).astype("<i2").tobytes())


async def test_the_call_goes_on_with_whom_the_peer_has_put_us_through_to() -> None:
    moved: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def on_moved(_: CallTransport, to: str) -> None:
        moved.set_result(to)

    async with talking() as (reception, caller, call), callee() as colleague:
        call.add_event_handler("on_moved", on_moved)
        assert (await refer(caller, f'"A; B" <{colleague.address};user=phone>;x=y')).status == 202
        assert await news(caller) == "100"
        invite = await colleague.invited()
        colleague.reply(invite, "180 Ringing")
        assert await news(caller) == "180"
        await colleague.accept()
        assert await news(caller) == "200"
        assert await soon(moved) == "600"
        assert (await caller.bye()).status == 200
        hum(call)
        await packets(colleague, 30)
        assert np.abs(colleague.heard()).max() > 4000
        colleague.press(5)
        assert await soon(reception.digits.get()) == "5"
        assert reception.ended.empty()
        colleague.cseq = 1
        assert (await colleague.bye()).status == 200
        assert await soon(reception.ended.get()) is EndReason.CALLER_HANGUP


async def test_the_agent_hangs_up_on_both() -> None:
    async with talking() as (reception, caller, call), callee() as colleague:
        await put_through(caller, colleague)
        assert await last_news(caller) == "200"
        hanging_up = asyncio.create_task(call.hangup())
        await soon(caller.serve())
        colleague.reply(await colleague.request_of("BYE"), "200 OK")
        await soon(hanging_up)
        assert await soon(reception.ended.get()) is EndReason.AGENT_HANGUP


async def test_who_has_put_us_through_and_stays_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.sip.moving.BYE_S", 0.2)
    async with talking() as (reception, caller, call), callee() as colleague:
        await put_through(caller, colleague)
        await soon(caller.serve())
        assert caller.requests[-1] == "BYE"
        hum(call)
        await packets(colleague, 30)
        assert np.abs(colleague.heard()).max() > 4000
        assert reception.ended.empty()


@pytest.mark.parametrize("status", ["486 Busy Here", "603 Decline", "404 Not Found", "302 Moved"])
async def test_a_target_that_declines_leaves_the_call_as_it_was(status: str) -> None:
    async with talking() as (reception, caller, call), callee() as colleague:
        assert (await refer(caller, f"<{colleague.address}>")).status == 202
        colleague.reply(await colleague.invited(), status)
        assert await last_news(caller) == status[:3]
        caller.received.clear()
        hum(call)
        await packets(caller, 30)
        assert np.abs(caller.heard()).max() > 4000
        assert reception.ended.empty()
        await put_through(caller, colleague)  # it may be tried again
        assert await last_news(caller) == "200"


@pytest.mark.parametrize(
    "to",
    [
        "<sip:601@127.0.0.1>",
        "<sip:600@192.0.2.1>",
        "<sip:600@127.0.0.1;maddr=192.0.2.1>",
        "<sips:600%40192.0.2.1@127.0.0.1>",
        "<tel:600>",
    ],
)
async def test_nobody_is_called_who_may_not_be(to: str) -> None:
    async with talking() as (reception, caller, _), callee() as colleague:
        assert (await refer(caller, to)).status == 403
        with pytest.raises(TimeoutError):
            await colleague.request_of("INVITE", 0.3)
        assert reception.ended.empty()


@pytest.mark.parametrize("to", ["", "<sip:600@127.0.0.1", "<sip:600@127.0.0.1?Replaces=x>", "a, b"])
async def test_a_request_that_names_nobody_is_refused(to: str) -> None:
    async with talking() as (reception, caller, _):
        assert (await refer(caller, to)).status == 400
        assert reception.ended.empty()


async def test_nobody_may_by_default() -> None:
    async with talking(accept_refer="never") as (_, caller, _), callee() as colleague:
        answer = await refer(caller, f"<{colleague.address}>")
        assert answer.status == 603
        assert "REFER" not in (await caller.ask("OPTIONS")).header("Allow")


@pytest.mark.parametrize(("peers", "status"), [((), 603), (("127.0.0.1",), 202)])
async def test_only_who_is_trusted_may(peers: tuple[str, ...], status: int) -> None:
    async with (
        talking(accept_refer="trusted", trusted_peers=peers) as (_, caller, _),
        callee() as colleague,
    ):
        assert "REFER" in (await caller.ask("OPTIONS")).header("Allow")
        assert (await refer(caller, f"<{colleague.address}>")).status == status


async def test_who_comes_by_an_account_may() -> None:
    account = {"server": "127.0.0.1", "user": "a", "registers": False}
    async with (
        talking(accept_refer="trusted", accounts={"pbx": account}) as (_, caller, call),
        callee() as colleague,
    ):
        assert call.info.account == "pbx"
        await put_through(caller, colleague)
        assert await last_news(caller) == "200"


async def test_outside_of_a_call_it_is_refused() -> None:
    reception = Reception()
    async with served(reception) as server, phone(server) as caller, callee() as colleague:
        assert (await refer(caller, f"<{colleague.address}>")).status == 403
        caller.to_tag = "nobodys"
        assert (await refer(caller, f"<{colleague.address}>")).status == 481
        with pytest.raises(TimeoutError):
            await colleague.request_of("INVITE", 0.3)


async def test_one_at_a_time() -> None:
    async with talking() as (_, caller, _), callee() as colleague, callee() as other:
        assert (await refer(caller, f"<{colleague.address}>")).status == 202
        await colleague.invited()
        assert (await refer(caller, f"<{other.address}>")).status == 491
        await colleague.accept()
        assert await last_news(caller) == "200"
        assert (await refer(caller, f"<{other.address}>")).status == 491


async def test_the_limits_count_it() -> None:
    outbound = {"allow": ("600@127.0.0.1:*",), "calls_per_minute": 1}
    async with talking(outbound) as (reception, caller, _), callee() as colleague:
        assert (await refer(caller, f"<{colleague.address}>")).status == 202
        colleague.reply(await colleague.invited(), "486 Busy Here")
        assert await last_news(caller) == "486"
        assert (await refer(caller, f"<{colleague.address}>")).status == 202
        assert await last_news(caller) == "503"
        assert reception.ended.empty()


async def test_a_peer_that_hangs_up_at_once_has_put_us_through() -> None:
    async with talking() as (reception, caller, call), callee() as colleague:
        assert (await refer(caller, f"<{colleague.address}>")).status == 202
        await colleague.invited()
        assert (await caller.bye()).status == 200
        await until(lambda: call.on_hold)
        await colleague.accept()
        await packets(colleague, 10)
        hum(call)
        await packets(colleague, 30)
        assert np.abs(colleague.heard()).max() > 4000
        assert not call.on_hold
        assert reception.ended.empty()


async def test_a_peer_that_hangs_up_and_put_us_through_to_nobody_has_hung_up() -> None:
    async with talking() as (reception, caller, _), callee() as colleague:
        assert (await refer(caller, f"<{colleague.address}>")).status == 202
        invite = await colleague.invited()
        assert (await caller.bye()).status == 200
        colleague.reply(invite, "486 Busy Here")
        assert await soon(reception.ended.get()) is EndReason.CALLER_HANGUP


async def test_the_agent_hangs_up_while_it_rings() -> None:
    async with talking() as (reception, caller, call), callee() as colleague:
        assert (await refer(caller, f"<{colleague.address}>")).status == 202
        invite = await colleague.invited()
        colleague.reply(invite, "180 Ringing")
        while await news(caller) != "180":
            pass
        hanging_up = asyncio.create_task(call.hangup())
        cancel = await colleague.request_of("CANCEL")
        colleague.reply(cancel, "200 OK")
        colleague.reply(invite, "487 Request Terminated")
        await soon(caller.serve())
        await soon(hanging_up)
        assert await soon(reception.ended.get()) is EndReason.AGENT_HANGUP


async def test_it_takes_the_place_of_a_call_that_there_is() -> None:
    async with talking() as (_, caller, _), callee() as colleague:
        replaces = "some+call@pbx;to-tag=1;from-tag=2;early-only"
        to = f"<{colleague.address}?Subject=x&Replaces={quote(replaces)}&Require=replaces>"
        assert (await refer(caller, to)).status == 202
        invite = SipAnswer(0, await colleague.invited())
        assert invite.header("Replaces") == replaces
        assert invite.header("Subject") == ""
        assert invite.text.split()[1].partition(";")[0] == colleague.address


async def test_the_header_may_be_short() -> None:
    async with talking() as (_, caller, _), callee() as colleague:
        assert (await caller.ask("REFER", headers=f"r: <{colleague.address}>\r\n")).status == 202
        await colleague.invited()


async def test_whom_the_peer_holds_meanwhile_is_heard_again() -> None:
    async with talking() as (_, caller, call), callee() as colleague:
        held = await caller.invite("sendonly")
        caller.ack(held)
        await until(lambda: call.on_hold)
        await put_through(caller, colleague)
        assert await last_news(caller) == "200"
        await until(lambda: not call.on_hold)
        hum(call)
        await packets(colleague, 30)
        assert np.abs(colleague.heard()).max() > 4000


async def test_whoever_we_were_put_through_to_may_do_it_again() -> None:
    async with talking() as (reception, caller, call), callee() as colleague, callee() as other:
        await put_through(caller, colleague)
        assert await last_news(caller) == "200"
        await caller.bye()
        colleague.cseq = 1
        await put_through(colleague, other)
        assert await last_news(colleague) == "200"
        await colleague.bye()
        hum(call)
        await packets(other, 30)
        assert np.abs(other.heard()).max() > 4000
        other.cseq = 1
        await other.bye()
        assert await soon(reception.ended.get()) is EndReason.CALLER_HANGUP


async def test_transfers_leave_nothing_behind() -> None:
    reception = Reception()
    async with served(reception, {"allow": ("600@127.0.0.1:*",), "calls_per_minute": 6000}) as server:

        async def once(nth: int) -> None:
            async with dialled(server) as caller, callee() as colleague:
                await soon(reception.connected.get())
                reception.calls.get_nowait()
                assert (await refer(caller, f"<{colleague.address}>")).status == 202
                invite = await colleague.invited()
                if nth % 3 == 0:
                    colleague.reply(invite, "486 Busy Here")
                    await last_news(caller)
                    await caller.bye()
                else:
                    if nth % 3 == 1:
                        await caller.bye()
                    await colleague.accept()
                    if nth % 3 == 2:
                        await last_news(caller)
                        await caller.bye()
                    await packets(colleague, 3)
                    colleague.cseq = 1
                    await colleague.bye()
                caller.ended.set()
                await soon(reception.ended.get())

        for nth in range(6):
            await once(nth)
        before = await settled_footprint()
        for nth in range(12):
            await once(nth)
        assert await settled_footprint() == before
        assert not reception.live


@pytest.mark.parametrize(
    ("refer_to", "to", "replaces"),
    [
        ("sip:a@b", "sip:a@b", ""),
        ("sip:a@b;user=phone ; x=y", "sip:a@b", ""),
        (r'"A \"B\" <c>, \\" < sip:a@b > ; x=y', "sip:a@b", ""),
        ("<sip:a@b;transport=tcp>;method=INVITE", "sip:a@b;transport=tcp", ""),
        ("<sip:a@b;user=phone;transport=tcp>", "sip:a@b;transport=tcp", ""),
        ("<sip:a@b?replaces=c%3Bto-tag%3Dd%3Bfrom-tag%3De>", "sip:a@b", "c%3Bto-tag%3Dd%3Bfrom-tag%3De"),
        ("<sip:a@b?Replaces=c@d;to-tag=e;from-tag=f>", "sip:a@b", "c%40d%3Bto-tag%3De%3Bfrom-tag%3Df"),
    ],
)
def test_whom_a_refer_names(refer_to: str, to: str, replaces: str) -> None:
    assert Referral.parse(refer_to, "") == Referral(to, replaces, "")


@pytest.mark.parametrize(
    "refer_to",
    [
        "",
        "<>",
        "<a> <b>",
        "<a b>",
        "a;b,c",
        '"a\\" <b>',
        "<sip:a@b?Replaces=c>",
        "<sip:a@b?Replaces=c%0D%0AX:y%3Bto-tag%3Dd>",
        "a b",
    ],
)
def test_what_is_no_refer_to(refer_to: str) -> None:
    with pytest.raises(ValueError, match="no "):
        Referral.parse(refer_to, "")
