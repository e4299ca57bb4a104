"""Peers behind NAT, whose Contact only their own network knows, are reached from here."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from tests.peers import Reception, sip_server
from tests.sip_callee import callee
from tests.transports.sip_calls import phone, soon
from tests.transports.test_sip_dialling import dial, dialler
from transports.call import EndReason
from transports.sip import nat
from transports.sip.libre import TCP, UDP
from transports.sip.message import Message
from transports.sip.registrar import Peer

INSIDE = "192.168.1.5"


@pytest.mark.parametrize(
    ("source", "contact", "reached"),
    [
        ("203.0.113.9", "<sip:jo@192.168.1.5:5060;ob>;expires=9", "<sip:jo@203.0.113.9:43210>"),
        ("203.0.113.9", "sip:192.168.1.5", "<sip:203.0.113.9:43210>"),
        ("2001:db8::9", '"Jo" <sip:jo@[fd00::5]>', "<sip:jo@[2001:db8::9]:43210>"),
        ("203.0.113.9", "<sip:jo@198.51.100.1:5060>", ""),
        ("203.0.113.9", "<sip:jo@pbx.example>", ""),
        ("203.0.113.9", "<sip:jo@1.2.3>", ""),
        ("203.0.113.9", "", ""),
        ("10.0.0.9", "<sip:jo@192.168.1.5>", ""),
    ],
)
def test_who_comes_from_outside_is_reached_there(source: str, contact: str, reached: str) -> None:
    invite = Message("INVITE sip:a@b SIP/2.0", (("m", contact),) if contact else ())
    peer = Peer(ip_address(source), 43210, UDP)
    assert nat.with_contact(invite, peer).header("Contact") == (reached or contact)
    routed = Message(invite.start, (*invite.headers, ("Record-Route", "<sip:203.0.113.9;lr>")))
    assert nat.with_contact(routed, peer) == routed


def test_by_the_same_connection() -> None:
    answer = Message("SIP/2.0 200 OK", (("Contact", f"<sip:jo@{INSIDE};transport=tcp>"),))
    there = nat.with_contact(answer, Peer(ip_address("203.0.113.9"), 43210, TCP))
    assert there.header("Contact") == "<sip:jo@203.0.113.9:43210;transport=tcp>"


@pytest.fixture
def loopback_is_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nat, "_PRIVATE", (ip_network(f"{INSIDE}/32"),))


@pytest.mark.usefixtures("loopback_is_outside")
@pytest.mark.parametrize("tcp", [False, True])
async def test_a_caller_behind_nat_hears_that_we_hang_up(tcp: bool) -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server, contact=INSIDE, tcp=tcp) as caller:
        caller.ack(await caller.invite())
        call = await soon(reception.connected.get())
        await call.hangup()
        await soon(caller.serve())
        assert caller.requests == ["BYE"]


@pytest.mark.usefixtures("loopback_is_outside")
async def test_whom_we_call_behind_nat_is_acknowledged() -> None:
    async with dialler() as server, callee() as called:
        called.contact = INSIDE
        call, dialling = await dial(server, called.address)
        await called.invited()
        await called.accept()
        await soon(dialling.answered.wait())
        await call.hold()
        called.reply(await called.request_of("INVITE"), "200 OK", called.sdp("recvonly"))
        await called.request_of("ACK")
        await call.hangup()
        called.reply(await called.request_of("BYE"), "200 OK")
        assert await soon(dialling.stopped) is EndReason.AGENT_HANGUP
