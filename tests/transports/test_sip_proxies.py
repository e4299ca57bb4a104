"""Who sent what a proxy in front passes on: believed of those that are named, and of nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.peers import Reception, sip_server
from tests.sip_caller import Caller, SipAnswer
from tests.transports.sip_calls import phone, soon
from transports.sip.message import Message
from transports.sip.proxies import UNKNOWN, origin
from transports.sip.sdp import Ip

PROXY, FAR_PROXY, CLIENT = "192.0.2.10", "192.0.2.11", "198.51.100.7"
OWN_VIA = f"SIP/2.0/UDP {PROXY}:5060;branch=z9hG4bKp"


class Proxies:
    def __contains__(self, address: object) -> bool:
        return address in ip_network("192.0.2.8/29")


def came_from(peer: str, *vias: str) -> Ip:
    headers = tuple(("Via", via) for via in vias)
    return origin(Message("INVITE sip:a@b SIP/2.0", headers), ip_address(peer), Proxies())


@pytest.mark.parametrize(
    ("peer", "vias", "sender"),
    [
        (PROXY, [OWN_VIA, f"SIP/2.0/UDP {CLIENT}:5060;branch=z9hG4bKc"], CLIENT),
        (PROXY, [f"{OWN_VIA}, SIP/2.0/TCP 10.0.0.3;rport=4;received={CLIENT};branch=z9hG4bKc"], CLIENT),
        (PROXY, [OWN_VIA, "SIP / 2.0 / TLS [2001:db8::7]:5061;branch=z9hG4bKc"], "2001:db8::7"),
        (PROXY, [OWN_VIA, "SIP/2.0/UDP phone.invalid;received=[2001:db8::7];branch=z9"], "2001:db8::7"),
        # What a client claims of those before it is worth nothing.
        (PROXY, [OWN_VIA, f"SIP/2.0/UDP {CLIENT};branch=z9", "SIP/2.0/UDP 10.0.0.1;branch=z9"], CLIENT),
        (PROXY, [OWN_VIA, f"SIP/2.0/UDP {FAR_PROXY};branch=z9", f"SIP/2.0/UDP {CLIENT};branch=z9"], CLIENT),
        # Its own requests.
        (PROXY, [OWN_VIA], PROXY),
        # A stranger's.
        (CLIENT, [OWN_VIA, "SIP/2.0/UDP 10.0.0.1;branch=z9"], CLIENT),
    ],
)
def test_who_sent_it(peer: str, vias: list[str], sender: str) -> None:
    assert came_from(peer, *vias) == ip_address(sender)


@pytest.mark.parametrize(
    "via",
    [
        "phone.invalid;branch=z9",
        f"{CLIENT};received=10.0.0.1;branch=z9;received={CLIENT}",
        f'{CLIENT};branch=z9;x=";received=10.0.0.1"',
        f'{CLIENT};received={CLIENT}";x=";received=10.0.0.1;y="',
        f"{CLIENT};branch=z9;x=<, SIP/2.0/UDP a;received=10.0.0.1",
        f"{CLIENT} (;received=10.0.0.1 );branch=z9",
        f"{CLIENT};received=;branch=z9",
    ],
)
def test_who_hides_where_they_are_is_nobody(via: str) -> None:
    assert came_from(PROXY, OWN_VIA, f"SIP/2.0/UDP {via}") == UNKNOWN


class PassedOn(Caller):
    """A call that this host only passes on for `client`."""

    client = CLIENT

    def request(self, *args: object, **named: object) -> str:
        text = super().request(*args, **named)  # type: ignore[arg-type]
        start, _, rest = text.partition("\r\nVia: ")
        via, _, rest = rest.partition("\r\n")
        below = f"SIP/2.0/UDP 10.9.9.9:5060;received={self.client};branch=z9hG4bK{secrets.token_hex(4)}"
        return f"{start}\r\nVia: {via}\r\nVia: {below}\r\n{rest}"


async def answered(server: tuple[str, int]) -> int:
    """What a call that its caller cancels at once is answered."""
    async with passed_on(server) as caller:
        caller.send_request("INVITE", caller.sdp())
        caller.cancel()
        while True:
            answer = SipAnswer(0, await soon(caller.receive()))
            status = int(answer.text.split()[1])
            if status >= 200 and answer.header("CSeq").endswith(" INVITE"):
                return status


@contextlib.asynccontextmanager
async def passed_on(server: tuple[str, int]) -> AsyncIterator[PassedOn]:
    caller = PassedOn(server)
    try:
        yield caller
    finally:
        caller.close()


async def called(reception: Reception, **settings: Any) -> SipAnswer:
    async with sip_server(reception, **settings) as server:
        async with passed_on(server) as caller:
            answer = await caller.call()
            if answer.status == 200:
                await caller.bye()
        return answer


@pytest.mark.parametrize(("proxies", "remote"), [(("127.0.0.1/32",), CLIENT), ((), "127.0.0.1")])
async def test_a_call_that_is_passed_on_comes_from_who_sent_it(proxies: tuple[str, ...], remote: str) -> None:
    reception = Reception()
    assert (await called(reception, proxies=proxies, allow=("0.0.0.0/0",))).status == 200
    assert reception.calls.get_nowait().info.remote == remote


async def test_whom_the_kernel_would_not_hear_a_proxy_does_not_help() -> None:
    reception = Reception()
    assert (await called(reception, proxies=("127.0.0.1/32",))).status == 403
    assert reception.calls.empty()
    assert (await called(reception)).status == 200  # it is the proxy that calls


async def test_who_is_banned_a_proxy_does_not_help_either() -> None:
    """The kernel, which knows bans, sees the proxy alone."""
    reception = Reception()
    reception.ring_s = 20.0
    async with sip_server(reception, proxies=("127.0.0.1/32",), allow=("0.0.0.0/0",)) as server:
        async with asyncio.timeout(30):
            while (status := await answered(server)) != 403:
                assert status == 487
        async with phone(server) as caller:
            assert (await caller.ask("OPTIONS")).status == 200
