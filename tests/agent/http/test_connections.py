"""Peers that send half of what they should, or don't read: what they hold, and for how long."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

import httpx2
import pytest
import websockets
from fastapi import FastAPI, WebSocket
from fastapi.responses import Response, StreamingResponse

from agent.http import connections
from agent.http.app import create_app
from agent.http.server import HttpServer
from config.settings import Settings
from tests.agent.http.fakes import FakeCalls, FakeModels
from tests.process import open_files
from tests.waiting import until

SHORT_S = 0.4
PATIENT_S = 2.0  # for peers that must be kept, also by a machine that stalls
LARGE = 40_000_000  # bytes, more than the kernel takes
HALF = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: "


class Running:
    """A server with routes that send without end, and what it holds."""

    def __init__(self) -> None:
        app = create_app(settings=Settings(), calls=FakeCalls(), models=FakeModels())
        self.sending = 0
        self.asked = 0  # for what is large
        self._peers: list[socket.socket] = []
        self._routes(app)
        self.server = HttpServer(app, host="127.0.0.1", port=0)

    def _routes(self, app: FastAPI) -> None:
        async def endless() -> AsyncIterator[bytes]:
            self.sending += 1
            try:
                while True:
                    yield bytes(65_536)
                    await asyncio.sleep(0)
            finally:
                self.sending -= 1

        @app.get("/endless")
        async def endless_body() -> StreamingResponse:
            return StreamingResponse(endless())

        @app.websocket("/endless")
        async def endless_messages(socket: WebSocket) -> None:
            await socket.accept()
            async for chunk in endless():
                await socket.send_bytes(chunk)

        @app.get("/large")
        async def large() -> Response:
            self.asked += 1
            return Response(bytes(LARGE))

    @property
    def open(self) -> int:
        return len(self.server._server.server_state.connections)

    def connect(self, sent: bytes) -> socket.socket:
        peer = socket.create_connection(("127.0.0.1", self.server.port))
        self._peers.append(peer)
        peer.sendall(sent)
        peer.setblocking(False)
        return peer

    async def stop(self) -> None:
        for peer in self._peers:
            peer.close()
        await self.server.stop(1)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADERS_S", SHORT_S)
    monkeypatch.setattr(connections, "READER_S", SHORT_S)


@pytest.fixture
async def running(short: None) -> AsyncIterator[Running]:
    running = Running()
    await running.server.start()
    yield running
    await running.stop()
    assert running.open == 0


def get(path: str, *more: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *more, "", ""]).encode()


def address(response: httpx2.Response) -> object:
    """Our end of the connection that it came on."""
    return response.extensions["network_stream"].get_extra_info("client_addr")


async def closed(peer: socket.socket) -> bool:
    """Whether the other side closed it. Reads what came before that."""
    try:
        while await asyncio.wait_for(asyncio.get_running_loop().sock_recv(peer, 65_536), 5):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("sent", [b"", HALF, get("/livez") + HALF], ids=["nothing", "half", "half the next"])
async def test_headers_have_a_deadline(running: Running, sent: bytes) -> None:
    peer = running.connect(sent)
    await until(lambda: running.open == 1)
    await until(lambda: running.open == 0)
    assert await closed(peer)


@pytest.mark.parametrize(
    "sent", [HALF, b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n"]
)
async def test_headers_and_a_body_that_nobody_wants_may_not_trickle(running: Running, sent: bytes) -> None:
    peer = running.connect(sent)

    async def trickle() -> None:
        while True:
            await asyncio.get_running_loop().sock_sendall(peer, b"x")
            await asyncio.sleep(SHORT_S / 8)

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(trickle(), 5)


async def test_who_asks_again_in_time_is_kept(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADERS_S", PATIENT_S)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{running.server.port}") as client:
        for _ in range(4):
            assert (await client.get("/livez")).status_code == 200
            await asyncio.sleep(PATIENT_S / 3)
        assert running.open == 1


async def test_who_doesnt_read_a_stream_is_dropped(running: Running) -> None:
    running.connect(get("/endless"))
    await until(lambda: running.sending == 1)
    await until(lambda: running.sending == 0 and running.open == 0)


async def test_who_doesnt_read_the_end_of_an_answer_is_dropped(running: Running) -> None:
    running.connect(get("/large", "Connection: close"))
    await until(lambda: running.asked == 1)
    await until(lambda: running.open == 0)


async def test_who_doesnt_read_a_websocket_is_dropped(running: Running) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    running.connect(get("/endless", *upgrade, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
    await until(lambda: running.sending == 1)
    await until(lambda: running.sending == 0 and running.open == 0)


async def test_who_reads_slowly_is_not(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "READER_S", PATIENT_S)
    url = f"ws://127.0.0.1:{running.server.port}/endless"
    async with websockets.connect(url, close_timeout=0.1) as reader:
        for _ in range(60):
            await reader.recv()
            await asyncio.sleep(PATIENT_S / 40)
        assert running.sending == 1
    await until(lambda: running.sending == 0)


async def test_half_requests_make_room_for_whole_ones(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST", 5)
    monkeypatch.setattr(connections, "HEADERS_S", 60)
    monkeypatch.setattr(connections, "READER_S", 60)
    halves = [running.connect(HALF) for _ in range(5)]
    await until(lambda: running.open == 5)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{running.server.port}") as client:
        first = await client.get("/livez")
        assert first.status_code == 200
        assert await closed(halves[0])
        halves += [running.connect(HALF) for _ in range(10)]
        assert await closed(halves[4])
        # Who has asked before stays before those who haven't yet.
        second = await client.get("/livez")
        assert address(first) == address(second)
    await until(lambda: running.open == 4)
    for _ in range(5):
        running.connect(get("/endless"))
    await until(lambda: running.sending == 5)
    assert running.open == 5
    assert await closed(running.connect(b""))


@pytest.fixture
def few_descriptors() -> Iterator[Callable[[int], None]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def limit(more: int) -> None:
        taken = open_files()
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken + more, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_descriptors_are_kept_for_calls(
    short: None, few_descriptors: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEADERS_S", 60)
    running = Running()
    await running.server.start()
    few_descriptors(60)
    assert running.server._socket is not None
    running.server._socket.reserved = 20
    for _ in range(25):  # two descriptors each: both sides are here
        running.connect(HALF)
        await asyncio.sleep(0.01)
    assert running.open < 25
    with ExitStack() as held:
        for _ in range(5):
            held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    await running.stop()
