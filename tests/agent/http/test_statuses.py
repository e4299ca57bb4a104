"""Every status that a route gives is in the OpenAPI document; the fixture `serve` looks at each answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from agent.events import Events
from agent.http import attempts, guard
from agent.http.app import BODY_BYTES, create_app
from agent.http.outbound import outbound_router
from agent.http.speech import STT_BODY_BYTES
from agent.http.webrtc import webrtc_router
from agent.metrics import Metrics
from agent.outbound.calls import OutboundCalls
from agent.records.recorder import Recorder
from agent.server import Server
from agent.voicemail import Voicemail
from config.answering import load_personas
from config.carriers import CarrierSettings
from config.settings import Settings, WebRtcSettings
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeModels
from transports.media_streams.router import carriers_router
from transports.outbound import OutboundGuard
from transports.webrtc.endpoint import WebRtcEndpoint

KEY = "s3cret-s3cret-s3cret"
VERBS = ("get", "post", "put", "patch", "delete")


async def nobody(*_: Any, **__: Any) -> Any:
    raise NotImplementedError


@pytest.fixture
async def client(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[httpx2.AsyncClient]:
    """Of everything that there is to ask."""
    monkeypatch.setattr(guard, "BODY_DEADLINE_S", 0.3)
    monkeypatch.setattr(attempts, "FREE", 1000)
    names = ("twilio", "telnyx", "plivo", "exotel", "vonage")
    carriers = CarrierSettings.model_validate(
        {"enabled": names, "public_url": "https://phone.example"}
        | {name: {"account": "a", "secret": "s"} for name in names}
    )
    endpoint = WebRtcEndpoint(nobody, WebRtcSettings())
    settings = Settings.model_validate({"state_dir": tmp_path, "http": {"api_key": KEY}})
    personas = load_personas(settings)
    recorder = Recorder(settings)
    await recorder.start()
    outgoing = OutboundCalls(nobody, nobody, OutboundGuard(settings.outbound), lambda: (True, ""))
    client = await serve(
        create_app(
            settings=settings,
            calls=FakeCalls(),
            models=FakeModels(),
            persona=personas.default,
            past=recorder.database,
            metrics=Metrics(),
            events=Events(),
            voicemail=Voicemail(settings, nobody),
            routers=[
                outbound_router(outgoing, lambda: personas, ring_timeout_s=20),
                carriers_router(carriers, nobody, lambda: (False, "Full.")),
                webrtc_router(endpoint, WebRtcSettings()),
            ],
        )
    )
    yield client
    await endpoint.close()
    await recorder.close()


async def stalling() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.sleep(1)
    yield b"}"


def ways(template: str, takes_body: bool) -> list[dict[str, Any]]:
    """Requests that are refused for one reason or another."""
    key = {"X-API-Key": KEY}
    found: list[dict[str, Any]] = [
        {},
        {"headers": {"X-API-Key": "wrong"}},
        {"headers": key},
        {"headers": key | {"Origin": "https://evil.example"}},
        {"headers": key, "content": bytes(1 + (STT_BODY_BYTES if template == "/api/v1/stt" else BODY_BYTES))},
    ]
    if takes_body:
        found += [
            {"headers": key, "content": b"{"},
            {"headers": key, "json": {}},
            {"headers": key, "json": {"text": " "}},
            {"headers": key, "json": {"to": "600"}},
            {"headers": key, "json": {"to": "600", "persona": "nobody"}},
            {"headers": key, "json": {"to": "600", "play": "AAAA"}},
            {"headers": key, "json": {"keys": "1"}},
            {"headers": key, "json": {"name": "number"}},
            {"headers": key, "json": {"sdp": "no", "type": "offer"}},
            {"headers": key, "json": {"sdp": "no", "type": "offer", "pc_id": "nobody"}},
            {"headers": key, "json": {"pc_id": "nobody", "candidates": []}},
            {"headers": key | {"Content-Type": "application/x-www-form-urlencoded"}, "content": b"\xff=\xff"},
        ]
    return found


async def test_whatever_is_asked_of_any_route(client: httpx2.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    seen: dict[str, set[int]] = {}

    async def ask(method: str, template: str, **request: Any) -> None:
        path = template.replace("{id}", "nobody").replace("{pc_id}", "nobody") + "?session=nobody&from=x"
        answer = await client.request(method.upper(), path, **request)
        seen.setdefault(f"{method} {template}", set()).add(answer.status_code)

    asked = [(method, template) for template, those in paths.items() for method in VERBS if method in those]
    taking = [(method, template) for method, template in asked if method in ("post", "patch")]
    for method, template in asked:
        for request in ways(template, (method, template) in taking):
            await ask(method, template, **request)
    key = {"X-API-Key": KEY}
    await asyncio.gather(*(ask(*operation, headers=key, content=stalling()) for operation in taking))
    assert len(seen) >= 39
    assert seen["post /api/v1/tts"] >= {401, 403, 408, 413, 422}
    assert seen["post /api/v1/carriers/twilio/answer"] >= {400, 403, 408, 413}
    assert seen["delete /api/v1/sessions/{id}"] >= {401, 403, 404, 413}


async def test_nothing_that_a_server_has_is_told_without_the_key(tmp_path: Path) -> None:
    settings = Settings.model_validate({"state_dir": tmp_path, "http": {"api_key": KEY}})
    server = Server(settings, load_personas(settings))
    app = server._app()
    asked = {
        (method.upper(), path)
        for path, operations in app.openapi()["paths"].items()
        for method in operations
        if path not in ("/livez", "/readyz")
    }
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        for method, path in asked:
            assert (await client.request(method, path)).status_code == 401, path
    assert len(asked) >= 25
    if server.webrtc:
        await server.webrtc.close()
