"""Peers that know RFC 2543 alone, whose Via has no branch, and those that send empty lines first."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from tests.peers import Reception, sip_server
from tests.sip_caller import Caller
from tests.transports.sip_calls import soon
from transports.call import EndReason
from transports.sip.legacy import as_sent, with_branch, without_empty_lines
from transports.sip.message import Message

VIA = "SIP/2.0/UDP 192.0.2.7:5060"


def request(method: str, cseq: int = 1, via: str = f"Via: {VIA}", to: str = "<sip:a@b>") -> bytes:
    return (
        f"{method} sip:a@b SIP/2.0\r\nMax-Forwards: 70\r\n{via}\r\nVia: SIP/2.0/UDP 192.0.2.8;branch=1\r\n"
        f"From: <sip:jo@x>;tag=1\r\nTo: {to}\r\nCall-ID: 1\r\nCSeq: {cseq} {method}\r\n\r\n"
    ).encode()


def branch_of(text: bytes) -> str:
    first, second = Message.parse(with_branch(text)).values("Via")
    assert second == "SIP/2.0/UDP 192.0.2.8;branch=1"
    return re.fullmatch(r"SIP/2\.0/UDP\s+192\.0\.2\.7:5060 ?;branch=(z9hG4bK[\w-]+)", first)[1]  # type: ignore[index]


def test_an_invite_its_cancel_and_its_ack_have_the_same_branch() -> None:
    branch = branch_of(request("INVITE"))
    assert branch_of(request("INVITE")) == branch
    assert branch_of(request("CANCEL")) == branch
    assert branch_of(request("ACK", to="<sip:a@b>;tag=2")) == branch
    assert branch_of(request("BYE", 2, to="<sip:a@b>;tag=2")) != branch


@pytest.mark.parametrize("via", ["v : ", "VIA:\r\n ", "Via:\t"])
def test_however_it_is_written(via: str) -> None:
    assert branch_of(request("INVITE", via=f"{via}{VIA} ")) == branch_of(request("INVITE"))


@pytest.mark.parametrize(
    "text",
    [
        request("INVITE", via=f"Via: {VIA};rport\r\n ;Branch = z9hG4bK1"),
        request("INVITE").replace(b"INVITE sip:a@b SIP/2.0", b"SIP/2.0 200 OK"),
        request("INVITE").replace(b"Via:", b"X:"),
        b"Via: x\r\nVia: y",
        b"",
    ],
)
def test_what_stays(text: bytes) -> None:
    assert with_branch(text) == text


def test_empty_lines() -> None:
    assert without_empty_lines(b"\r\n\r\n\nINVITE") == b"INVITE"
    assert without_empty_lines(b"\r\n\r\n") == b"\r\n\r\n"  # keeps a NAT's binding
    assert without_empty_lines(b"\r\n" * 9) == b""


@pytest.mark.parametrize("via", [VIA, f"{VIA};branch=1", f"{VIA};branch=;rport"])
def test_a_reply_has_via_as_it_came(via: str) -> None:
    came = Message.parse(with_branch(request("BYE", via=f"Via: {via}")))
    reply = Message("SIP/2.0 200 OK", came.headers)
    assert reply.values("Via")[0] != via
    assert as_sent(reply).values("Via") == [via, "SIP/2.0/UDP 192.0.2.8;branch=1"]


@dataclass
class Old(Caller):
    """A caller that names no branch, or one for all that it sends, and sends empty lines first."""

    names: str = ""

    def send(self, message: str) -> None:
        super().send("\r\n\r\n" + re.sub(r";branch=\w+", self.names, message, count=1))


@pytest.mark.parametrize("names", ["", ";branch=1"])
async def test_a_call_by_who_names_no_transaction(names: str) -> None:
    reception = Reception()
    async with sip_server(reception) as server:
        caller = Old(server, names=names)
        try:
            caller.send_request("INVITE", caller.sdp())
            caller.send(caller.request("INVITE", caller.sdp(), cseq=caller.cseq))
            answer = await caller.final_answer()
            host, port = caller.sip.getsockname()
            assert answer.header("Via") == f"SIP/2.0/UDP {host}:{port}{names}"
            caller.ack(answer)
            await soon(reception.connected.get())
            assert (await caller.bye()).status == 200
            assert await soon(reception.ended.get()) is EndReason.CALLER_HANGUP
            assert reception.calls.qsize() == 1
        finally:
            caller.close()


@pytest.mark.parametrize("names", ["", ";branch=1"])
async def test_who_names_no_transaction_may_cancel(names: str) -> None:
    reception = Reception()
    reception.ring_s = 10
    async with sip_server(reception) as server:
        caller = Old(server, names=names)
        try:
            caller.send_request("INVITE", caller.sdp())
            await soon(reception.calls.get())
            caller.cancel()
            statuses = {(await caller.final_answer()).status for _ in range(2)}
            assert statuses == {200, 487}
            assert await soon(reception.ended.get()) is EndReason.CALLER_CANCELLED
        finally:
            caller.close()


async def test_empty_lines_earn_no_ban() -> None:
    async with sip_server(Reception(), ban_exempt=()) as server:
        caller = Caller(server)
        try:
            for _ in range(30):
                caller.cseq += 1
                caller.send("\r\n\r\n" + caller.request("OPTIONS", cseq=caller.cseq))
                assert (await caller.final_answer()).status == 200
        finally:
            caller.close()
