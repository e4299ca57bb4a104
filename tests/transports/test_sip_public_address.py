"""What is told of a server behind 1:1 NAT, and to whom."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import Any

import pytest

from config.section import PRIVATE_NETWORKS
from config.sip import SipSettings
from tests.peers import Reception, sip_server
from tests.registrar import contacts
from tests.sip_callee import callee
from tests.sip_caller import Caller, SipAnswer
from tests.transports.sip_calls import soon
from tests.transports.test_sip_dialling import dial, dialler
from tests.waiting import until
from transports.sip import door, public_address
from transports.sip.message import Message
from transports.sip.public_address import PublicAddress

OWN, PUBLIC = "10.0.0.5", "203.0.113.5"
OUTSIDE, INSIDE = ip_address("198.51.100.7"), ip_address("10.0.0.9")
SDP = (
    "v=0\r\no=- 1 2 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 10000 RTP/AVP 0\r\na=x:10.0.0.5\r\n"
)


def message(start: str, host: str, via: str) -> bytes:
    body = SDP.format(host)
    return (
        f"{start}\r\nVia: SIP/2.0/UDP {via}:5060;branch=z9hG4bK1\r\n"
        f"Via: SIP/2.0/UDP {OWN};branch=z9hG4bK2\r\n"
        f"From: <sip:x@{OWN}>;tag=1\r\nContact: <sip:agent-1@{host}:5060;transport=tcp>;expires=60\r\n"
        f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


@pytest.mark.parametrize(("start", "via"), [("INVITE sip:a@b SIP/2.0", PUBLIC), ("SIP/2.0 200 OK", OWN)])
def test_peers_outside_are_told_what_they_see(start: str, via: str) -> None:
    one = PublicAddress(PUBLIC, PRIVATE_NETWORKS)
    ours = Message.parse(message(start, OWN, OWN))
    assert bytes(one.told(ours, OUTSIDE, {OWN, "::1"})) == message(start, PUBLIC, via)
    assert bytes(one.told(ours, INSIDE, {OWN})) == message(start, OWN, OWN)
    assert bytes(one.told(ours, OUTSIDE, {"10.0.0.6"})) == message(start, OWN, OWN)
    again = one.told(ours, OUTSIDE, {OWN})
    assert one.told(again, OUTSIDE, {OWN}) == again


def test_an_address_of_the_other_version_stays() -> None:
    one = PublicAddress(PUBLIC, PRIVATE_NETWORKS)
    ours = Message("BYE sip:a@b SIP/2.0", (("Contact", "<sip:a@[fd00::5]:5060>"),))
    assert one.told(ours, OUTSIDE, {"fd00::5"}) == ours
    other = PublicAddress("2001:db8::5", PRIVATE_NETWORKS)
    assert other.told(ours, OUTSIDE, {"fd00::5"}).header("Contact") == "<sip:a@[2001:db8::5]:5060>"


class Names:
    """A name server with one name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.addresses = addresses
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self._look_up)

    async def _look_up(self, name: str, *_: object, **__: object) -> list[Any]:
        assert name == "office.example"
        if not self.addresses:
            raise socket.gaierror(-2, "Name or service not known")
        return [(0, 0, 0, "", (address, 0)) for address in self.addresses]


async def test_a_name_is_looked_up_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_address, "LOOK_UP_S", 0.01)
    names = Names(monkeypatch)
    one, own = PublicAddress("office.example", PRIVATE_NETWORKS), ip_address(OWN)
    await one.look_up()
    assert one.towards(OUTSIDE, own) == own
    keeping = asyncio.create_task(one.keep(lambda: None))
    try:
        for addresses, told in (
            (("2001:db8::5", PUBLIC), PUBLIC),
            (("192.0.2.1", PUBLIC), PUBLIC),  # it is one of them still
            ((), PUBLIC),
            (("192.0.2.1",), "192.0.2.1"),
        ):
            names.addresses = addresses
            await until(lambda told=told: one.towards(OUTSIDE, own) == ip_address(told))
            await asyncio.sleep(0.05)
            assert one.towards(OUTSIDE, own) == ip_address(told)
        assert one.towards(INSIDE, own) == own
    finally:
        keeping.cancel()


async def test_accounts_register_anew_with_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_address, "LOOK_UP_S", 0.05)
    monkeypatch.setattr(door, "PRIVATE_NETWORKS", ())
    names = Names(monkeypatch, PUBLIC)
    async with contacts() as registrar:
        accounts = {"provider": {"server": f"127.0.0.1:{registrar.port}", "user": "1001"}}
        async with sip_server(Reception(), public_address="office.example", accounts=accounts):
            assert f"@{PUBLIC}:" in await soon(registrar.registered.get())
            names.addresses = ("192.0.2.1",)
            assert "@192.0.2.1:" in await soon(registrar.registered.get())


@pytest.mark.parametrize("value", ["localhost:5060", "a_b", "300.1.1.1", "1.2.3", "-a.b", "a" * 300, "a b"])
def test_what_is_no_public_address(value: str) -> None:
    with pytest.raises(ValueError, match="public_address"):
        SipSettings(public_address=value)


@pytest.mark.parametrize(("tcp", "via_port"), [(False, 0), (True, 0), (True, 5060)])
async def test_a_caller_outside_is_answered_with_it(
    tcp: bool, via_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TCP the port in Via is where they listen, as a rule, and not the connection's."""
    monkeypatch.setattr(door, "PRIVATE_NETWORKS", ())
    async with sip_server(Reception(), public_address=PUBLIC) as address:
        caller = Caller(address, tcp=tcp, via_port=via_port)
        try:
            answer = await caller.invite()
            assert f"@{PUBLIC}:{address[1]}" in answer.header("Contact")
            assert f"c=IN IP4 {PUBLIC}\r\n" in answer.text
            caller.uri = f"sip:agent@127.0.0.1:{address[1]}"
            caller.ack(answer)
            assert (await caller.bye()).status == 200
        finally:
            caller.close()


@pytest.mark.parametrize("tcp", [False, True])
async def test_whom_we_call_outside_is_told_it(tcp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "PRIVATE_NETWORKS", ())
    async with dialler(public_address=PUBLIC) as server, callee(tcp=tcp) as called:
        await dial(server, called.address)
        invite = SipAnswer(0, await called.invited())
        assert f"@{PUBLIC}:" in invite.header("Contact")
        assert f"c=IN IP4 {PUBLIC}\r\n" in invite.text
