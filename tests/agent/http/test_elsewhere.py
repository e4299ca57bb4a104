"""What is asked about a call that another process has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets
from starlette.types import Receive, Scope, Send
from websockets.asyncio.server import ServerConnection, unix_serve

from agent.http.access import ANYONE_HERE
from agent.http.app import BODY_BYTES, create_app
from agent.http.elsewhere import AskedByAnother, asking
from agent.peer import Peer
from config.settings import Settings
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeModels

ID = "9f2c51d07a3e"
CALL = f"/api/v1/sessions/{ID}"
KEY = {"X-API-Key": "s3cret-s3cret-s3cret"}


class Other:
    """A process that has one call, and notes what it is asked."""

    calls = 1

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.asked: list[tuple[str, str, str]] = []
        self.http = httpx2.AsyncClient(
            transport=httpx2.MockTransport(self._answer), base_url="http://localhost"
        )

    def having(self, id: str) -> Peer | None:
        return Peer(self.http, str(self.socket)) if id == ID else None

    async def ask(self, path: str) -> Mapping[int, httpx2.Response]:
        return {}

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        scopes = request.headers["X-Offhook-Scopes"]
        self.asked.append((request.method, request.url.path, scopes))
        if "range" in request.headers:
            part = {"Content-Range": "bytes 0-1/9", "Accept-Ranges": "bytes", "Content-Length": "2"}
            part["ETag"] = request.headers["if-range"]
            return httpx2.Response(206, content=self._body(), headers=part)
        return httpx2.Response(200, content=self._body())

    @staticmethod
    async def _body() -> AsyncIterator[bytes]:
        yield b"{}"


@pytest.fixture
def other(tmp_path: Path) -> Other:
    return Other(tmp_path / "1")


@pytest.fixture
async def client(serve: Serve, other: Other) -> AsyncIterator[httpx2.AsyncClient]:
    settings = Settings.model_validate({"http": {"api_key": KEY["X-API-Key"]}})
    yield await serve(create_app(settings=settings, calls=FakeCalls(), models=FakeModels(), elsewhere=other))
    await other.http.aclose()


async def test_it_is_asked_as_whoever_asks(client: httpx2.AsyncClient, other: Other) -> None:
    forged = {"X-Offhook-Name": "nobody", "X-Offhook-Scopes": "nothing"}
    assert (await client.post(f"{CALL}/recording/peaks", headers=KEY | forged)).status_code == 200
    [(method, path, scopes)] = other.asked
    assert (method, path) == ("POST", f"{CALL}/recording/peaks")
    assert set(scopes.split(",")) == {"read", "operate", "listen", "admin"}
    assert (await client.get(CALL)).status_code == 401
    assert len(other.asked) == 1


async def test_a_part_of_a_recording_may_be_asked_for(client: httpx2.AsyncClient, other: Other) -> None:
    wanted = {"Range": "bytes=0-1", "If-Range": '"9f2c"'}
    answer = await client.get(f"{CALL}/recording", headers=KEY | wanted)
    assert (answer.status_code, answer.content) == (206, b"{}")
    told = [answer.headers[name] for name in ("content-range", "accept-ranges", "content-length", "etag")]
    assert told == ["bytes 0-1/9", "bytes", "2", '"9f2c"']


@pytest.mark.parametrize("path", ["/../../reload", "/%2e%2e/reload", "/say%0d%0aX-A:%20b", "/say%3Fa"])
async def test_what_is_no_path_of_a_call_stays_here(
    client: httpx2.AsyncClient, other: Other, path: str
) -> None:
    url = client.base_url.copy_with(raw_path=(CALL + path).encode())
    assert (await client.get(url, headers=KEY)).status_code in (404, 405)
    assert other.asked == []


async def test_a_body_that_is_too_large_is_refused(client: httpx2.AsyncClient, other: Other) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES // 1024 + 1):
            yield bytes(1024)

    refused = await client.post(f"{CALL}/say", headers=KEY, content=body())
    assert refused.status_code == 413
    assert "larger than" in refused.json()["detail"]
    assert other.asked == []


async def listen(client: httpx2.AsyncClient) -> websockets.ClientConnection:
    url = str(client.base_url).replace("http", "ws", 1).rstrip("/") + f"{CALL}/listen"
    return await websockets.connect(url, additional_headers=KEY)


async def test_a_websocket_is_closed_as_the_other_process_closes_it(
    client: httpx2.AsyncClient, other: Other
) -> None:
    async def closes(socket: ServerConnection) -> None:
        await socket.send("some")
        await socket.close(1008, "You listen too slowly.")

    async with unix_serve(closes, str(other.socket)):
        socket = await listen(client)
        assert await socket.recv() == "some"
        with pytest.raises(websockets.ConnectionClosedError):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (1008, "You listen too slowly.")


async def test_a_websocket_is_closed_where_the_other_process_dies(
    client: httpx2.AsyncClient, other: Other
) -> None:
    async def dies(socket: ServerConnection) -> None:
        socket.transport.abort()

    async with unix_serve(dies, str(other.socket)):
        socket = await listen(client)
        with pytest.raises(websockets.ConnectionClosedError):
            await socket.recv()
        assert socket.close_code == 1011


async def test_a_websocket_of_a_process_that_is_gone_is_refused(client: httpx2.AsyncClient) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await listen(client)
    assert refused.value.response.status_code == 503


async def test_who_needs_no_key_is_known_as_such_there() -> None:
    """Nobody is called for them."""
    found: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(scope["user"])

    async def nothing(*_: object) -> Any:
        raise NotImplementedError

    headers = [(name.encode(), value.encode()) for name, value in asking({"user": ANYONE_HERE}).items()]
    await AskedByAnother(app)({"type": "http", "headers": headers}, nothing, nothing)
    assert found == [ANYONE_HERE]
