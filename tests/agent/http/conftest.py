"""A running HTTP server, and a client for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest
from starlette.types import ASGIApp

from agent.http.server import HttpServer


async def until(condition: Callable[[], bool], deadline_s: float = 5.0) -> None:
    """Wait for a condition. Raises TimeoutError if it doesn't come."""
    async with asyncio.timeout(deadline_s):
        while True:
            if condition():
                return
            await asyncio.sleep(0.002)


Serve = Callable[[ASGIApp], Awaitable[httpx2.AsyncClient]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves an application on a free port and returns a client whose base is that server."""
    opened: list[tuple[HttpServer, httpx2.AsyncClient]] = []

    async def start(app: ASGIApp) -> httpx2.AsyncClient:
        server = HttpServer(app, host="127.0.0.1", port=0)
        await server.start()
        client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10)
        opened.append((server, client))
        return client

    yield start
    for server, client in opened:
        await client.aclose()
        await server.stop(1)
