"""What Debian's Kamailio does in front of several nodes, as `deploy/kamailio` sets it up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.peers import Reception, free_port, require_peer, sip_server
from tests.proxy import DEPLOYED, NODE, answers, configured, kamailio, running
from tests.sip_callee import Callee
from tests.sip_caller import Caller, SipAnswer
from tests.transports.sip_calls import packets, phone, soon
from tests.waiting import until
from transports.call import EndReason

pytestmark = pytest.mark.peers

OTHER = "127.0.0.22"
CALLER = "127.0.0.66"
FULL = 'Reason: Q.850;cause=34;text="All lines are busy"\r\n'


class Node:
    """Answers OPTIONS and INVITEs as it is told; with None, nothing."""

    def __init__(self, host: str) -> None:
        self._callee = Callee(host)
        self.options: str | None = "200 OK"
        self.invite: str | None = "486 Busy Here"
        self.headers = ""
        self.pings = 0
        self.invites: list[str] = []

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._callee.sip.getsockname()
        return host, port

    async def serve(self) -> None:
        while True:
            text = await self._callee.receive()
            match text.split(" ", 1)[0]:
                case "OPTIONS":
                    self.pings += 1
                    self._say(text, self.options)
                case "INVITE":
                    self.invites.append(text)
                    self._say(text, self.invite, self.headers)

    def _say(self, request: str, status: str | None, headers: str = "") -> None:
        if status:
            self._callee.reply(request, status, headers=headers)

    def close(self) -> None:
        self._callee.close()


@contextlib.asynccontextmanager
async def node(host: str = NODE) -> AsyncIterator[Node]:
    one = Node(host)
    serving = asyncio.create_task(one.serve())
    try:
        yield one
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        one.close()


@contextlib.asynccontextmanager
async def front(
    folder: Path, reception: Reception, first: Node, **settings: Any
) -> AsyncIterator[tuple[str, int]]:
    """Before `first`, which is asked first where neither has calls, and a server of ours on OTHER."""
    settings = {"proxies": ("127.0.0.1/32",), **settings}
    async with (
        sip_server(reception, host=OTHER, **settings) as (_, port),
        kamailio(folder, (OTHER, port), first.address) as proxy,  # the last one listed comes first
    ):
        yield proxy


@contextlib.asynccontextmanager
async def called(proxy: tuple[str, int], **named: str) -> AsyncIterator[tuple[Caller, SipAnswer]]:
    async with phone(proxy, host=CALLER, **named) as caller:
        answer = await caller.call()
        yield caller, answer
        if answer.status == 200 and not caller.ended.is_set():
            assert (await caller.bye()).status == 200


@pytest.mark.parametrize(
    ("status", "headers"), [("486 Busy Here", FULL), ("503 Service Unavailable", ""), (None, "")]
)
async def test_what_a_node_does_not_take_the_next_one_does(
    status: str | None, headers: str, tmp_path: Path
) -> None:
    reception = Reception()
    async with node() as first, front(tmp_path, reception, first) as proxy:
        first.invite, first.headers = status, headers
        async with called(proxy) as (caller, answer):
            assert answer.status == 200
            await packets(caller, 5)
            call = await soon(reception.connected.get())
            assert call.info.remote == CALLER
        await soon(reception.ended.get())
        assert first.invites


class Forger(Caller):
    """Claims in its own Via to come from elsewhere."""

    claim = ""

    def request(self, *args: object, **named: object) -> str:
        text = super().request(*args, **named)  # type: ignore[arg-type]
        start, via, rest = text.partition("\r\nVia: ")
        own, _, rest = rest.partition("\r\n")
        return f"{start}{via}{own}{self.claim}\r\n{rest}"


@pytest.mark.parametrize(
    ("claim", "status"),
    [
        (";received=10.0.0.1", 403),
        (";received=10.0.0.1;received=10.0.0.1", 403),
        (';x=";received=10.0.0.1"', 403),
        ("", 403),
        ("", 200),
    ],
)
async def test_nobody_says_by_their_via_where_they_are(claim: str, status: int, tmp_path: Path) -> None:
    allow = ("10.0.0.1/32",) if status == 403 else (f"{CALLER}/32",)
    async with (
        sip_server(Reception(), host=NODE, proxies=("127.0.0.1/32",), allow=allow) as (_, port),
        kamailio(tmp_path, (NODE, port)) as proxy,
    ):
        forger = Forger(proxy, CALLER)
        forger.claim = claim
        try:
            assert (await forger.call()).status == status
        finally:
            forger.close()


async def test_whom_a_node_refuses_no_other_is_asked_for(tmp_path: Path) -> None:
    reception = Reception()
    async with node() as first, front(tmp_path, reception, first) as proxy, called(proxy) as (_, answer):
        assert answer.status == 486
        assert reception.calls.empty()


@pytest.mark.parametrize("options", ["503 Service Unavailable", None])
async def test_a_node_that_takes_no_calls_gets_none_until_it_does(
    options: str | None, tmp_path: Path
) -> None:
    async with node() as first, front(tmp_path, Reception(), first) as proxy:
        first.options, pings = options, first.pings
        await until(lambda: first.pings >= pings + 4)
        async with called(proxy) as (_, answer):
            assert answer.status == 200
        assert first.invites == []
        first.options, pings = "200 OK", first.pings
        await until(lambda: first.pings >= pings + 3)
        async with called(proxy) as (_, answer):
            assert answer.status == 486
        assert first.invites


async def test_who_says_when_to_call_again_is_quoted(tmp_path: Path) -> None:
    async with (
        node() as first,
        node(OTHER) as second,
        kamailio(tmp_path, first.address, second.address) as proxy,
    ):
        for one in (first, second):
            one.invite, one.headers = "503 Service Unavailable", "Retry-After: 77\r\n"
        async with called(proxy) as (_, answer):
            assert (answer.status, answer.header("Retry-After")) == (503, "77")
        first.options = second.options = "503 Service Unavailable"
        pings = second.pings
        await until(lambda: second.pings >= pings + 3)
        async with called(proxy) as (_, answer):
            assert (answer.status, answer.header("Retry-After")) == (503, "10")


async def test_a_call_goes_on_while_the_proxy_is_gone_and_ends_by_it_when_it_is_back(tmp_path: Path) -> None:
    reception, address = Reception(), ("127.0.0.1", free_port())
    async with sip_server(reception, host=NODE, proxies=("127.0.0.1/32",)) as (_, port):
        command = configured(tmp_path, address, [(NODE, port)])
        async with running(*command):
            await answers(address[1])
            caller = Caller(address, CALLER)
            answer = await caller.call()
        try:
            assert answer.status == 200
            await packets(caller, 50)
            async with running(*command):
                await answers(address[1])
                assert (await caller.ask("INVITE", caller.sdp())).status == 200
                caller.send(caller.request("ACK", cseq=caller.cseq))
                call = await soon(reception.connected.get())
                hanging_up = asyncio.create_task(call.hangup())
                await soon(caller.serve())
                await hanging_up
                assert caller.requests == ["BYE"]
                await soon(reception.ended.get())
        finally:
            caller.close()


async def test_behind_nat_a_caller_is_reached_by_the_way_they_came(tmp_path: Path) -> None:
    reception = Reception()
    async with node() as first, front(tmp_path, reception, first) as proxy:
        first.invite, first.headers = "486 Busy Here", FULL
        async with called(proxy, contact="10.99.0.7") as (caller, answer):
            assert answer.status == 200
            call = await soon(reception.connected.get())
            hanging_up = asyncio.create_task(call.hangup())
            await soon(caller.serve())
            await hanging_up
            assert caller.requests == ["BYE"]


async def test_a_call_that_replaces_one_goes_to_the_node_that_has_it(tmp_path: Path) -> None:
    """Though that node isn't the one with the fewest calls."""
    reception = Reception()
    async with node() as first, front(tmp_path, reception, first) as proxy:
        first.invite, first.headers = "486 Busy Here", FULL
        async with called(proxy) as (caller, answer):
            assert answer.status == 200
            before = len(first.invites)
            await soon(reception.connected.get())
            there = answer.header("Contact").partition("<")[2].partition(">")[0]
            async with phone(proxy, host=CALLER, uri=there) as other:
                replaces = f"Replaces: {caller.call_id};to-tag={caller.to_tag};from-tag={caller.tag}\r\n"
                assert (await other.call(headers=replaces)).status == 200
                await soon(caller.serve())
                assert caller.requests == ["BYE"]
                assert await soon(reception.ended.get()) is EndReason.TRANSFERRED
                assert (await other.bye()).status == 200
            assert len(first.invites) == before


async def test_nobody_outside_says_where_to(tmp_path: Path) -> None:
    """Neither by a Route of theirs, nor within a dialog that never was; nor by what stands for NAT."""
    async with node() as first, kamailio(tmp_path, first.address) as proxy, phone(("127.0.0.1", 0)) as victim:
        there = "sip:a@{}:{}".format(*victim.sip.getsockname())
        us = f"Route: <sip:{proxy[0]}:{proxy[1]};lr>\r\n"
        own = "sip:a@{}:{}".format(*first.address)
        aliased = "{}~{}~1".format(*victim.sip.getsockname())
        for uri, to_tag, headers, status in (
            (there, "x", us, 403),
            (own, "x", f"{us}Route: <{there};lr>\r\n", 403),
            (f"{own};alias={aliased}", "x", us, 486),
            (there, "", us, 486),
            ("", "", f"{us}Route: <{there};lr>\r\n", 486),
        ):
            async with phone(proxy, host=CALLER, uri=uri) as stranger:
                stranger.to_tag = to_tag
                answer = await stranger.ask("INVITE", stranger.sdp(), headers)
                assert answer.status == status
        with pytest.raises(BlockingIOError):
            victim.sip.recv(1)


async def test_who_floods_is_not_heard_and_a_trunk_may(tmp_path: Path) -> None:
    async with node() as first, kamailio(tmp_path, first.address, peers=["1 127.0.0.67"]) as proxy:
        heard = dict[str, int]()
        for host in (CALLER, "127.0.0.67"):
            async with phone(proxy, host=host) as caller:
                heard[host] = 0
                with contextlib.suppress(TimeoutError):
                    for _ in range(300):
                        caller.send_request("OPTIONS")
                        await asyncio.wait_for(caller.receive(), 1)
                        heard[host] += 1
        assert heard[CALLER] < 150
        assert heard["127.0.0.67"] == 300


async def test_scanners_get_no_answer(tmp_path: Path) -> None:
    async with node() as first, kamailio(tmp_path, first.address) as proxy, phone(proxy, host=CALLER) as one:
        one.send_request("OPTIONS", headers="User-Agent: friendly-scanner\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(one.receive(), 1)
        assert (await one.ask("OPTIONS")).status == 200


async def test_what_belongs_to_no_call_is_answered_in_front(tmp_path: Path) -> None:
    async with node() as first, kamailio(tmp_path, first.address) as proxy, phone(proxy, host=CALLER) as one:
        statuses = {}
        for method in ("OPTIONS", "REGISTER", "SUBSCRIBE", "NOTIFY", "MESSAGE", "PUBLISH"):
            answer = await one.ask(method)
            statuses[method] = answer.status
            assert (answer.status != 405) or "INVITE" in (answer.header("Allow") or "")
    assert list(statuses.values()) == [200, 405, 489, 481, 405, 405], statuses


@pytest.mark.parametrize("defined", [(), ("-A", "WITH_TLS", "-A", "WITH_RTPENGINE")])
async def test_the_configuration_as_it_is_delivered(defined: tuple[str, ...]) -> None:
    async with running(
        require_peer("kamailio"), "-c", "-f", str(DEPLOYED / "kamailio.cfg"), *defined
    ) as checks:
        assert await checks.wait() == 0
