"""A carrier's call to a server: its request, its stream, and what comes back on it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import httpx2
import websockets

from tests.transports.media_carriers import FakeCarrier, GenesysSide, Wire

DEADLINE_S = 10.0


async def ask(url: str, side: FakeCarrier, **change: Any) -> httpx2.Response:
    """The carrier's request about a call; `change` replaces its body, or some of its headers."""
    headers, body = side.request()
    async with httpx2.AsyncClient() as client:
        return await client.post(
            f"{url}/api/v1/carriers/{side.name}/answer",
            content=change.get("body", body),
            headers=headers | change.get("headers", {}),
        )


async def connect(url: str, side: FakeCarrier, path: str | None = None) -> websockets.ClientConnection:
    """Open the stream at `path`, or at the one that the server's answer names."""
    headers: dict[str, str] = {}
    if isinstance(side, GenesysSide):
        path, headers = "/api/v1/carriers/genesys/stream", side.sign({}, b"")
    elif path is None:
        path = side.stream_path((await ask(url, side)).text.replace("\\/", "/"))
    return await websockets.connect(url.replace("http", "ws", 1) + path, additional_headers=headers)


class Stream:
    """One stream from the carrier's side. Reads all along; a mark is answered at once."""

    def __init__(self, side: FakeCarrier, socket: websockets.ClientConnection) -> None:
        self.side = side
        self.socket = socket
        self.audio = bytearray()
        self.kinds: list[str] = []
        self.others: list[Any] = []
        self.cleared_at: list[float] = []  # on the event loop's clock
        self.reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            await self._read_on()

    async def _read_on(self) -> None:
        async for data in self.socket:
            kind, what = self.side.heard(data)
            self.kinds.append(kind)
            if kind == "audio":
                self.audio += what
            elif kind == "mark":
                await self.socket.send(what)
            else:
                self.others.append(what)
                if kind == "clear":
                    self.cleared_at.append(asyncio.get_running_loop().time())

    async def send(self, *messages: Wire | None) -> None:
        for message in messages:
            if message is not None:
                await self.socket.send(message)

    async def speak(self, pcm: bytes) -> None:
        """In real time, as a carrier does."""
        step = self.side.rate_hz * self.side.packet_ms // 1000 * 2
        loop = asyncio.get_running_loop()
        due = loop.time()
        for at in range(0, len(pcm), step):
            await self.socket.send(self.side.media(pcm[at : at + step].ljust(step, b"\0")))
            due += self.side.packet_ms / 1000
            await asyncio.sleep(max(0, due - loop.time()))

    async def closed(self) -> int | None:
        """The code with which the stream was closed."""
        await asyncio.wait_for(self.reader, DEADLINE_S)
        return self.socket.close_code

    async def close(self) -> None:
        await self.socket.close()
        await asyncio.wait({self.reader})
