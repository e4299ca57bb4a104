"""Debian's HAProxy and coturn in front, as `deploy` sets them up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from aioice import stun, turn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn import Config, Server

from agent.cluster.cluster import ANSWERED_S
from tests.certificates import Authority
from tests.peers import free_port, require_peer
from tests.proxy import running
from tests.waiting import until
from transports.webrtc.ice import turn_credentials

pytestmark = pytest.mark.peers

DEPLOYED = Path(__file__).parents[3] / "deploy"
SECRET = "s3cret"


class Node:
    """Says which it is, and what it was told of who asks."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready = True
        self.asked = 0  # whether it is
        self.port = free_port()
        self.app = Starlette(
            routes=[
                Route("/readyz", self._readyz),
                Route("/livez", self._livez),
                Route("/{path:path}", self._who),
            ]
        )

    async def _readyz(self, _: Request) -> Response:
        self.asked += 1
        return Response(status_code=200 if self.ready else 503)

    async def _livez(self, _: Request) -> Response:
        return Response()

    async def _who(self, request: Request) -> Response:
        headers = request.headers
        assert "X-Offhook-Cluster-Key" not in headers
        return PlainTextResponse(f"{headers['X-Forwarded-For']} {headers['X-Forwarded-Proto']} {self.name}")


@contextlib.asynccontextmanager
async def serving(node: Node) -> AsyncIterator[Node]:
    server = Server(Config(node.app, port=node.port, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started)
        yield node
    finally:
        server.should_exit = True
        await task


@contextlib.asynccontextmanager
async def haproxy(folder: Path, *nodes: Node) -> AsyncIterator[httpx2.AsyncClient]:
    """A client whose base is the proxy's address, over TLS."""
    certificate, key = Authority(folder).sign("offhook")
    (folder / "both.pem").write_bytes(certificate.read_bytes() + key.read_bytes())
    port = free_port()
    text = (DEPLOYED / "haproxy" / "haproxy.cfg").read_text()
    changes = {
        "/etc/haproxy/offhook.pem": str(folder / "both.pem"),
        "bind :80\n": f"bind 127.0.0.1:{free_port()}\n",
        "bind :443": f"bind 127.0.0.1:{port}",
        "    user haproxy\n    group haproxy\n": "",
        "10.0.0.21:8080": f"127.0.0.1:{nodes[0].port}",
        "10.0.0.22:8080": f"127.0.0.1:{nodes[1].port}",
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "haproxy.cfg").write_text(text)
    async with (
        running(require_peer("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")),
        httpx2.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=False, trust_env=False) as client,
    ):
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(httpx2.TransportError):
                    await client.get("/readyz")
                    break
                await asyncio.sleep(0.05)
        yield client


def calling(client: httpx2.AsyncClient, address: str) -> httpx2.AsyncClient:
    """Another client, from `address`."""
    transport = httpx2.AsyncHTTPTransport(local_address=address, verify=False)
    return httpx2.AsyncClient(base_url=client.base_url, transport=transport)


async def test_a_browser_stays_with_the_node_that_has_its_call(tmp_path: Path) -> None:
    """Also while that one drains, when others get the new ones, and carriers' calls."""

    async def asked(by: httpx2.AsyncClient, path: str = "webrtc") -> str:
        return (await by.get(f"/api/v1/{path}/config")).text[-1]

    async with (
        serving(Node("a")) as a,
        serving(Node("b")) as b,
        haproxy(tmp_path, a, b) as client,
        calling(client, "127.0.0.31") as one,
        calling(client, "127.0.0.32") as other,
        calling(client, "127.0.0.33") as third,
    ):
        assert {await asked(one), await asked(other)} == {"a", "b"}
        at_a, at_b = (one, other) if await asked(one) == "a" else (other, one)
        assert {await asked(third, "carriers/twilio") for _ in range(4)} == {"a", "b"}
        a.ready = False
        async with asyncio.timeout(20):
            while {await asked(third, "carriers/twilio") for _ in range(4)} != {"b"}:
                pass
        assert await asked(third) == "b"
        for _ in range(3):
            assert (await asked(at_a), await asked(at_b)) == ("a", "b")


async def test_where_no_node_takes_calls_one_answers_all_the_same(tmp_path: Path) -> None:
    """As where all are full: operators hang up, and carriers are told that all lines are busy."""
    async with serving(Node("a")) as a, serving(Node("b")) as b, haproxy(tmp_path, a, b) as client:
        a.ready = b.ready = False
        asked = a.asked, b.asked
        await until(lambda: a.asked - asked[0] > 3 and b.asked - asked[1] > 3)
        answers = [(await client.get("/api/v1/sessions")).text[-1:] for _ in range(4)]
        assert {*answers} == {"a", "b"}


async def test_a_browser_that_changes_networks_stays_with_the_node_that_has_its_call(tmp_path: Path) -> None:
    async with (
        serving(Node("a")) as a,
        serving(Node("b")) as b,
        haproxy(tmp_path, a, b) as client,
        calling(client, "127.0.0.31") as one,
        calling(client, "127.0.0.32") as other,
    ):
        nodes = [(await by.get("/api/v1/webrtc/config")).text[-1] for by in (one, other)]
        assert set(nodes) == {"a", "b"}
        other.cookies = one.cookies
        assert (await other.get("/api/v1/webrtc/config")).text[-1] == nodes[0]


def test_a_node_has_as_long_to_answer_as_among_the_nodes() -> None:
    text = (DEPLOYED / "haproxy" / "haproxy.cfg").read_text()
    assert f"timeout server {ANSWERED_S:.0f}s " in text


async def test_nodes_are_told_who_asks(tmp_path: Path) -> None:
    async with serving(Node("a")) as a, serving(Node("b")) as b, haproxy(tmp_path, a, b) as client:
        forged = {"X-Forwarded-For": "203.0.113.9", "X-Offhook-Cluster-Key": "guessed"}
        answer = await client.get("/api/v1/sessions", headers=forged)
        assert answer.text[:-2] == "127.0.0.1 https"


@contextlib.asynccontextmanager
async def coturn(folder: Path) -> AsyncIterator[tuple[str, int]]:
    """As delivered, but for its secret and its addresses, without TLS."""
    port, tls = free_port(), free_port()
    text = (DEPLOYED / "coturn" / "turnserver.conf").read_text()
    changes = {
        "listening-port=3478": f"listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nlistening-port={port}",
        "tls-listening-port=5349": f"tls-listening-port={tls}",
        "cert=/etc/coturn/cert.pem\npkey=/etc/coturn/key.pem\n": "no-tls\nno-dtls\nallow-loopback-peers\n",
        "CHANGE-ME": SECRET,
        "10.0.0.21": "127.0.0.21",
        "syslog\n": f"log-file={folder}/turn.log\npidfile={folder}/turn.pid\nuserdb={folder}/turn.db\n",
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "turnserver.conf").write_text(text)
    async with running(require_peer("turnserver"), "-c", str(folder / "turnserver.conf")):
        yield "127.0.0.1", port


class _Peer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: list[bytes] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received.append(data)


async def test_a_browser_is_relayed_to_nodes_and_to_nobody_else(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    user, password = turn_credentials(SECRET, expires_at=int(time.time()) + 60, user="call")
    async with coturn(tmp_path) as server:
        relay, _ = await _relay(server, user, password)
        (node_end, node), (other_end, other) = [
            await loop.create_datagram_endpoint(_Peer, local_addr=(host, 0))
            for host in ("127.0.0.21", "127.0.0.9")
        ]
        try:
            relay.sendto(b"to another", other_end.get_extra_info("sockname"))
            async with asyncio.timeout(20):
                while not node.received:
                    relay.sendto(b"to a node", node_end.get_extra_info("sockname"))
                    await asyncio.sleep(0.1)
            assert other.received == []
        finally:
            for end in (relay, node_end, other_end):
                end.close()
        with pytest.raises(stun.TransactionFailed):
            await _relay(server, user, "wrong")


async def _relay(
    server: tuple[str, int], user: str, password: str
) -> tuple[turn.TurnTransport, asyncio.DatagramProtocol]:
    return await turn.create_turn_endpoint(_Peer, server_addr=server, username=user, password=password)
