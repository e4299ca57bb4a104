"""A running HTTP server, and a client for it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.http.server import HttpServer
from agent.records.recorder import Recorder
from config.settings import Settings


class Documented:
    """Notes each status that an application's OpenAPI document doesn't name for the route that gave it."""

    def __init__(self, app: FastAPI, undocumented: list[str]) -> None:
        self._app = app
        self._undocumented = undocumented

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["type"] == "http":
                self._note(scope["method"], scope["path"], str(message["status"]))
            await send(message)

        await self._app(scope, receive, noting)

    def _note(self, method: str, path: str, status: str) -> None:
        for template, operations in self._app.openapi()["paths"].items():
            operation = operations.get(method.lower())
            if operation and re.fullmatch(re.sub(r"{[^}]+}", "[^/]+", template), path):
                if status not in operation["responses"] and status != "500":
                    self._undocumented.append(f"{method} {template}: {status}")
                return


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path)


@pytest.fixture
async def recorder(settings: Settings) -> AsyncIterator[Recorder]:
    """Of the calls that are past, in `settings.state_dir`."""
    opened = Recorder(settings)
    await opened.start()
    yield opened
    await opened.close()


Serve = Callable[[ASGIApp], Awaitable[httpx2.AsyncClient]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves an application on a free port and returns a client whose base is that server."""
    opened: list[tuple[HttpServer, httpx2.AsyncClient]] = []

    undocumented: list[str] = []

    async def start(app: ASGIApp) -> httpx2.AsyncClient:
        checked = Documented(app, undocumented) if isinstance(app, FastAPI) else app
        server = HttpServer(checked, host="127.0.0.1", port=0)
        await server.start()
        client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10)
        opened.append((server, client))
        return client

    yield start
    for server, client in opened:
        await client.aclose()
        await server.stop(1)
    assert undocumented == []
