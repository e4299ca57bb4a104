"""Every route of a whole server is walked: each says which scope it needs, and lets no other key in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets
from fastapi import APIRouter, FastAPI

from agent.http import attempts
from agent.http.access import IMPLIED, SCOPES, needed_scopes
from agent.http.app import create_app
from agent.http.guard import SIGNED_PREFIXES, guarded
from agent.http.page import page_router
from agent.outbound.calls import OutboundCalls
from agent.records.keys import Keys, Scope
from agent.server import Server
from config.answering import load_personas
from config.settings import Settings
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeModels
from transports.outbound import OutboundGuard
from transports.sip.server import SipServer

KEY = "s3cret-s3cret-s3cret"
PROBES, DOCUMENT = {"/livez", "/readyz"}, {"/openapi.json"}
PAGE = {str(getattr(route, "path", "")) for route in page_router().routes}


@dataclass
class Whole:
    """A server with all that may be set, and keys of each kind."""

    app: FastAPI
    client: httpx2.AsyncClient
    keys: Keys

    async def status(self, method: str, path: str, key: str | None) -> int:
        headers = {"X-API-Key": key} if key else {}
        path = path.replace("{", "").replace("}", "").replace(":path", "")
        if method != "WS":
            async with self.client.stream(method, path, headers=headers) as answer:
                return answer.status_code
        url = str(self.client.base_url).replace("http", "ws", 1).rstrip("/") + path
        try:
            async with websockets.connect(url, additional_headers=headers):
                return 101
        except websockets.InvalidStatus as refused:
            return refused.response.status_code


async def nobody(*_: Any, **__: Any) -> Any:
    raise NotImplementedError


@pytest.fixture
async def whole(serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Whole]:
    monkeypatch.setattr(attempts, "FREE", 10_000)
    names = ("twilio", "telnyx", "plivo", "exotel", "vonage", "genesys")
    settings = Settings.model_validate(
        {
            "state_dir": tmp_path,
            "http": {"api_key": KEY, "requests_per_minute": 1_000_000},
            "recordings": {"enabled": True, "listening": True},
            "carriers": {"enabled": names, "public_url": "https://phone.example"}
            | {name: {"account": "a", "secret": "s"} for name in names},
        }
    )
    server = Server(settings, load_personas(settings))
    guard = OutboundGuard(settings.outbound)
    server.sip = SipServer(settings.sip, 5, nobody, outbound=guard)
    server.outbound = OutboundCalls(nobody, nobody, guard, lambda: (True, ""))
    assert server.recorder
    await server.recorder.start()
    app = server._app()
    yield Whole(app, await serve(app), Keys(server.recorder.database))
    await server.recorder.close()
    if server.webrtc:
        await server.webrtc.close()


async def test_each_route_says_what_it_needs(whole: Whole) -> None:
    needed = needed_scopes(whole.app)
    open_ = {path for _, path in needed if not guarded(path)}
    signed = {path for path in open_ if path.startswith(SIGNED_PREFIXES)}
    assert len(signed) == 11
    assert open_ - signed == PROBES | DOCUMENT | PAGE
    for (method, path), scopes in needed.items():
        assert len(scopes) == (path not in open_), f"{method} {path}: give it dependencies=[READ], or another"
    assert len([path for path in needed if path[1] not in open_]) >= 39


def test_a_route_that_says_no_scope_is_not_served() -> None:
    router = APIRouter()
    router.add_api_route("/api/v1/forgotten", nobody)
    with pytest.raises(ValueError, match="GET /api/v1/forgotten says no scope"):
        create_app(settings=Settings(), calls=FakeCalls(), models=FakeModels(), routers=[router])


async def test_no_other_key_gets_in(whole: Whole) -> None:
    made = {scope: (await whole.keys.create(scope, [scope]))[0] for scope in SCOPES}
    spent, _ = await whole.keys.create("spent", ["admin"], datetime.now(UTC) - timedelta(seconds=1))
    revoked, _ = await whole.keys.create("revoked", ["admin"])
    assert await whole.keys.revoke("revoked")

    def fits(scope: Scope, needed: str) -> bool:
        return needed in (scope, *IMPLIED.get(scope, ()))

    for (method, path), scopes in needed_scopes(whole.app).items():
        if not guarded(path):
            continue
        for key in (None, "wrong", "offhook_wrong", spent, revoked):
            assert await whole.status(method, path, key) == 401, f"{method} {path}"
        for scope, key in made.items():
            if not fits(scope, scopes[0]):
                assert await whole.status(method, path, key) == 403, f"{method} {path} {scope}"


EVENTS = "/api/v1/events"
ASKED: list[tuple[str, str, set[Scope]]] = [
    ("GET", "/health", {"read", "operate", "admin"}),
    ("GET", "/api/v1/sessions", {"read", "operate", "admin"}),
    ("WS", EVENTS, {"read", "operate", "admin"}),
    ("WS", "/api/v1/chat", {"operate", "admin"}),
    ("POST", "/api/v1/drain", {"operate", "admin"}),
    ("GET", "/api/v1/messages/5c1f/audio", {"listen", "admin"}),
    ("DELETE", "/api/v1/sessions?from=alice", {"admin"}),
]


@pytest.mark.parametrize(("method", "path", "may"), ASKED)
async def test_the_right_key_gets_in(whole: Whole, method: str, path: str, may: set[Scope]) -> None:
    for scope in SCOPES:
        key, _ = await whole.keys.create(scope, [scope])
        status = await whole.status(method, path, key)
        assert status == 403 if scope not in may else status in (101, 200, 404), scope
    assert await whole.status(method, path, KEY) in (101, 200, 404)
