"""What happens within a call's dialog: other media, hold, reliable ringing, session timers, keys by INFO."""

from __future__ import annotations

import asyncio
import re
import socket
from typing import Any

import pytest

from tests.peers import Reception, sip_server
from tests.sip_caller import Caller, SipAnswer, dialled
from tests.transports.sip_calls import heard_both_ways, packets, phone, soon
from transports.call import CallTransport, EndReason
from transports.sip import call as sip_call
from transports.sip import session_timer
from transports.sip.native_rtp import Negotiated, StackRtp

SILENT = {"rtp_timeout_s": 2}


async def until_codec(call: CallTransport, codec: str) -> None:
    async with asyncio.timeout(15):
        while call.info.codec != codec:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def renegotiate(caller: Caller, sdp: str, method: str = "INVITE") -> SipAnswer:
    answer = await caller.ask(method, sdp)
    if method == "INVITE":
        caller.ack(answer)
    assert answer.status == 200
    return answer


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
async def test_another_codec(method: str) -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        call = await soon(reception.connected.get())
        await until_codec(call, "pcmu")
        answer = await renegotiate(caller, caller.sdp(formats="8"), method)
        assert answer.text.partition("m=audio ")[2].split()[2] == "8"
        await until_codec(call, "pcma")
        call.playout.write(bytes(32_000))
        async with asyncio.timeout(15):
            while caller.received[-1].payload_type != 8:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def test_offers_that_come_together_are_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        call = await soon(reception.connected.get())
        looks: list[str] = []
        negotiated = StackRtp.negotiated

        async def counted(self: StackRtp, sip_call_id: str) -> Negotiated | None:
            looks.append(sip_call_id)
            return await negotiated(self, sip_call_id)

        monkeypatch.setattr(StackRtp, "negotiated", counted)
        for _ in range(30):
            caller.send_request("UPDATE", caller.sdp(formats="0"))
        await renegotiate(caller, caller.sdp(formats="8"), "UPDATE")
        await until_codec(call, "pcma")
        assert 1 <= len(looks) <= 31


async def test_another_port() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        await soon(reception.connected.get())
        with socket.socket(type=socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            other.setblocking(False)
            await renegotiate(caller, caller.sdp(port=other.getsockname()[1]))
            await soon(asyncio.get_running_loop().sock_recv(other, 2048))
        await renegotiate(caller, caller.sdp())
        await packets(caller, 20)


async def test_an_offer_that_is_declined_changes_nothing() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        call = await soon(reception.connected.get())
        answer = await caller.ask("INVITE", caller.sdp("inactive", formats="18"))
        caller.ack(answer)
        assert answer.status == 488
        await packets(caller, 20)
        assert not call.on_hold
        assert call.info.codec == "pcmu"


async def test_a_stranger_who_knows_the_call_changes_nothing() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller, phone(server) as stranger:
        call = await soon(reception.connected.get())
        stranger.call_id, stranger.to_tag, stranger.cseq = caller.call_id, caller.to_tag, caller.cseq
        for method, body in (("INVITE", caller.sdp("inactive")), ("UPDATE", caller.sdp("inactive"))):
            answer = await stranger.ask(method, body)
            stranger.send(stranger.request("ACK", cseq=stranger.cseq))
            assert answer.status == 481
        answer = await stranger.ask("INFO", "5", content_type="application/dtmf")
        assert answer.status == 481
        await packets(caller, 20)
        assert not call.on_hold
        assert reception.digits.empty()


async def test_no_second_call_begins_within_one() -> None:
    """Of two headers the stack takes the other."""
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        await soon(reception.calls.get())
        caller.send_request("INVITE", caller.sdp(), headers="To: <sip:agent@127.0.0.1>\r\n")
        answer = await caller.final_answer()
        caller.ack(answer)
        assert answer.status == 400
        assert reception.calls.empty()


async def test_an_offer_asked_for_within_the_call() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        await soon(reception.connected.get())
        offer = await caller.ask("INVITE")
        assert offer.status == 200
        assert "m=audio" in offer.text
        caller.ack(offer, caller.sdp())
        await packets(caller, 20)
        assert reception.ended.empty()


HOLDS: dict[str, dict[str, Any]] = {
    "zero": {"media": "IN IP4 0.0.0.0"},
    "sendonly": {"direction": "sendonly"},
    "inactive": {"direction": "inactive"},
    "off": {"port": 0},
}


@pytest.mark.parametrize("hold", HOLDS)
async def test_a_caller_who_holds_may_be_silent(hold: str) -> None:
    reception = Reception()
    async with sip_server(reception, **SILENT) as server, dialled(server) as caller:
        call = await soon(reception.connected.get())
        answer = await renegotiate(caller, caller.sdp(**HOLDS[hold]))
        if hold == "off":
            assert "m=audio 0 " in answer.text
        caller.silent = True
        with pytest.raises(TimeoutError):
            await soon(caller.serve(), 3.5)
        assert call.on_hold
        caller.silent = False
        await renegotiate(caller, caller.sdp())
        assert not call.on_hold
        call.playout.write(bytes(32_000))
        await packets(caller, 20)
        assert reception.ended.empty()


async def test_a_caller_who_is_gone_while_holding_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_call, "SILENCES_A_CHECK", 1)
    reception = Reception()
    async with sip_server(reception, **SILENT) as server, dialled(server) as caller:
        await soon(reception.connected.get())
        await renegotiate(caller, caller.sdp(direction="inactive"))
        caller.silent = True
        for status in ("200 OK", "481 Call Does Not Exist"):
            text = await soon(caller.receive(), 4)
            while not text.startswith("INVITE"):
                text = await soon(caller.receive(), 4)
            assert reception.ended.empty()
            caller.answer_request(text, caller.sdp(direction="inactive"), status=status)
        assert await soon(reception.ended.get()) is EndReason.CALLER_GONE
        caller.ended.set()


async def test_a_caller_whose_connection_is_lost_while_holding_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sip_call, "SILENCES_A_CHECK", 1)
    monkeypatch.setattr(sip_call, "TRANSACTION_S", 1)
    reception = Reception()
    async with sip_server(reception, **SILENT) as server, phone(server, tcp=True) as caller:
        await caller.call()
        await soon(reception.connected.get())
        await renegotiate(caller, caller.sdp(direction="inactive"))
        caller.silent = True
        caller.sip.close()
        assert await soon(reception.ended.get()) is EndReason.CALLER_GONE


async def test_a_caller_who_only_listens_may_be_silent() -> None:
    reception = Reception()
    async with sip_server(reception, **SILENT) as server, phone(server) as caller:
        caller.silent = True
        answer = await caller.invite("recvonly")
        caller.ack(answer)
        caller.start_rtp(answer)
        call = await soon(reception.connected.get())
        with pytest.raises(TimeoutError):
            await soon(caller.serve(), 3.5)
        assert call.on_hold  # or the agent would ask whether anybody is there
        call.playout.write(bytes(32_000))
        await packets(caller, 20)
        await caller.bye()


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_each_method_that_is_allowed_is_answered(tcp: bool) -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server, tcp=tcp) as caller:
        answer = await caller.call()
        await soon(reception.connected.get())
        allowed = set(re.split(r"\s*,\s*", answer.header("Allow")))
        assert {"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "UPDATE"} <= allowed
        for method in sorted(allowed - {"INVITE", "ACK", "BYE", "CANCEL"}):
            answer = await caller.ask(method, headers="RAck: 1 1 INVITE\r\n" if method == "PRACK" else "")
            assert answer.status == (481 if method == "PRACK" else 200), method
        for method in ("MESSAGE", "NOTIFY", "SUBSCRIBE", "PUBLISH", "REGISTER"):
            assert method not in allowed
            answer = await caller.ask(method, "hello", content_type="text/plain")
            assert answer.status == 405, method
            assert set(re.split(r"\s*,\s*", answer.header("Allow"))) == allowed
        assert (await caller.bye()).status == 200


@pytest.mark.parametrize("method", ["OPTIONS", "INFO", "UPDATE", "INVITE", "BYE", "PRACK"])
async def test_a_dialog_that_is_unknown_is_said_so(method: str) -> None:
    async with sip_server(Reception()) as server, phone(server) as caller:
        caller.to_tag = "nobody"
        answer = await caller.ask(method, headers="RAck: 1 1 INVITE\r\n" if method == "PRACK" else "")
        if method == "INVITE":
            caller.ack(answer)
        assert answer.status == 481


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("header", ["Require", "Supported"])
async def test_reliable_provisional_responses(header: str, late: bool) -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        caller.send_request("INVITE", "" if late else caller.sdp(), headers=f"{header}: 100rel\r\n")
        invite = caller.cseq
        while True:
            text = await soon(caller.receive())
            answer = SipAnswer(int(text.split()[1]), text)
            if answer.status >= 200:
                break
            if header == "Require":
                assert not late
                assert answer.header("Require") == "100rel"
                caller.to_tag = answer.header("To").partition("tag=")[2]
                assert (
                    await caller.ask("PRACK", headers=f"RAck: {answer.header('RSeq')} {invite} INVITE\r\n")
                ).status == 200
        caller.cseq = invite
        assert answer.status == 200
        caller.ack(answer, caller.sdp() if late else "")
        caller.cseq += 1
        await heard_both_ways(caller, answer, reception)


async def test_who_hangs_up_instead_of_acknowledging_the_ringing() -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        caller.send_request("INVITE", caller.sdp(), headers="Require: 100rel\r\n")
        await soon(reception.calls.get())
        caller.cancel()
        answer = await caller.final_answer()
        caller.ack(answer)
        assert answer.status in (200, 487)
        assert await soon(reception.ended.get()) is EndReason.CALLER_CANCELLED
        async with asyncio.timeout(15):
            while reception.live:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


TIMER = "Supported: timer\r\nSession-Expires: {}\r\n"


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("header", ["Supported", "Require"])
async def test_a_session_that_the_caller_refreshes(
    header: str, tcp: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_timer, "MIN_SE_S", 1)
    reception = Reception()
    timer = f"{header}: timer\r\nSession-Expires: 4;refresher=uac\r\n"
    async with sip_server(reception) as server, phone(server, tcp=tcp) as caller:
        answer = await caller.ask("INVITE", caller.sdp(), timer)
        caller.ack(answer)
        assert answer.status == 200
        assert answer.header("Session-Expires") == "4;refresher=uac"
        assert answer.header("Require") == "timer"
        assert "timer" in answer.header("Supported")
        caller.start_rtp(answer)
        for method in ("UPDATE", "INVITE", "UPDATE"):
            await asyncio.sleep(1)
            answer = await caller.ask(method, caller.sdp() if method == "INVITE" else "", timer)
            if method == "INVITE":
                caller.ack(answer)
            assert answer.status == 200
            assert answer.header("Session-Expires") == "4;refresher=uac"
        assert reception.ended.empty()
        await soon(caller.serve(), 8)  # refreshed no more
        assert caller.requests == ["BYE"]
        assert await soon(reception.ended.get()) is EndReason.CALLER_GONE


async def test_what_we_ask_refreshes_a_session_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's own timer starts anew by it."""
    monkeypatch.setattr(session_timer, "MIN_SE_S", 1)
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        answer = await caller.ask("INVITE", caller.sdp(), TIMER.format("6;refresher=uac"))  # ended after 4 s
        caller.ack(answer)
        caller.start_rtp(answer)
        call = await soon(reception.connected.get())
        await asyncio.sleep(2)
        holding = asyncio.create_task(call.hold())
        while not (text := await soon(caller.receive())).startswith("INVITE"):
            pass
        caller.answer_request(text, caller.sdp("recvonly"))
        await soon(holding)
        with pytest.raises(TimeoutError):
            await soon(caller.serve(), 3)
        assert reception.ended.empty()
        await soon(caller.serve(), 8)
        assert await soon(reception.ended.get()) is EndReason.CALLER_GONE


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("timer", [TIMER.format("2;refresher=uas"), "Session-Expires: 2\r\n"])
async def test_a_session_that_we_refresh(timer: str, tcp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_timer, "MIN_SE_S", 1)
    reception = Reception()
    async with sip_server(reception) as server, phone(server, tcp=tcp) as caller:
        answer = await caller.ask("INVITE", caller.sdp(), timer)
        caller.ack(answer)
        assert answer.header("Session-Expires") == "2;refresher=uas"
        caller.start_rtp(answer)
        await soon(reception.connected.get())
        texts: list[str] = []
        async with asyncio.timeout(12):
            while len(texts) < 3:
                text = await caller.receive()
                if text.startswith("INVITE"):
                    texts.append(text)
                    caller.answer_request(text, caller.sdp())
        again = SipAnswer(0, texts[0])
        assert again.header("Session-Expires") == "2;refresher=uac"
        assert "timer" in again.header("Supported")
        await packets(caller, 20)
        assert reception.ended.empty()
        await caller.bye()


async def test_a_session_interval_that_is_too_small() -> None:
    async with sip_server(Reception()) as server, phone(server) as caller:
        answer = await caller.ask("INVITE", caller.sdp(), TIMER.format(30))
        caller.ack(answer)
        assert (answer.status, answer.header("Min-SE")) == (422, "90")


KEYS = [
    ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", "5"),
    ("application/dtmf-relay", "Signal= 5\r\nDuration= 160", "5"),
    ("application/dtmf-relay", "Signal=7\r\n", "7"),
    ("application/dtmf-relay", "Duration=250\r\nSignal=#\r\n", "#"),
    ("application/dtmf-relay", "Signal=10\r\nDuration=160\r\n", "*"),
    ("application/dtmf-relay", "signal=11\n", "#"),
    ("application/dtmf-relay;charset=utf-8", "Signal=*", "*"),
    ("application/dtmf", "1", "1"),
    ("application/dtmf", " 0 \r\n", "0"),
    ("application/dtmf", "10", "*"),
    ("application/dtmf", "11\r\n", "#"),
    ("application/dtmf", "#", "#"),
    ("application/DTMF", "A", "A"),
    ("application/dtmf", "15", "D"),
]


async def test_keys_by_info() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        await soon(reception.connected.get())
        for content_type, body, key in KEYS:
            answer = await caller.ask("INFO", body, content_type=content_type)
            assert answer.status == 200, (content_type, body)
            assert await soon(reception.digits.get()) == key
        await asyncio.sleep(0.3)
        assert reception.digits.empty()


async def test_a_key_that_comes_both_ways_is_one() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        await soon(reception.connected.get())
        for _ in range(2):
            caller.press(5)
            await caller.ask("INFO", "Signal=5\r\n", content_type="application/dtmf-relay")
            await asyncio.sleep(0.4)
        assert [await soon(reception.digits.get()) for _ in range(2)] == ["5", "5"]
        await asyncio.sleep(0.3)
        assert reception.digits.empty()
        await caller.bye()


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/dtmf-relay", "Signal=x\r\n", 400),
        ("application/dtmf", "", 200),
        ("application/media_control+xml", "<media_control/>", 415),
    ],
)
async def test_other_information(content_type: str, body: str, status: int) -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        await soon(reception.connected.get())
        assert (await caller.ask("INFO", body, content_type=content_type)).status == status
        assert reception.digits.empty()
