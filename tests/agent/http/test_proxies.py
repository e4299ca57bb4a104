"""Requests that come through a reverse proxy, as nginx, Apache, Caddy and Traefik send them on."""

from __future__ import annotations

import asyncio

import httpx2
import pytest
import websockets
from fastapi import APIRouter, Request

from agent.http.access import READ
from agent.http.app import create_app
from config.settings import HttpSettings, Settings
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeModels

KEY = "s3cret-s3cret-s3cret"
BY_DEFAULT = {
    "nginx, as most set it": {"X-Real-IP": "203.0.113.9"},
    "Apache": {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "phone.example"},
    "Caddy": {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "Via": "1.1 Caddy"},
    "Traefik": {"X-Forwarded-Server": "edge"},
    "RFC 7239": {"Forwarded": "for=203.0.113.9"},
}


def client_of(request: Request) -> str:
    return request.client.host if request.client else ""


def application(**http: object) -> tuple[Settings, APIRouter]:
    router = APIRouter()

    @router.get("/api/v1/who", dependencies=[READ])
    async def who(request: Request) -> dict[str, str]:
        return {"client": client_of(request), "scheme": request.url.scheme}

    @router.post("/api/v1/carriers/twilio/answer")
    async def answer() -> dict[str, str]:
        return {}

    return Settings(http=HttpSettings.model_validate(http)), router


async def served(serve: Serve, **http: object) -> httpx2.AsyncClient:
    settings, router = application(**http)
    return await serve(
        create_app(settings=settings, calls=FakeCalls(), models=FakeModels(), routers=[router])
    )


@pytest.mark.parametrize("headers", BY_DEFAULT.values(), ids=BY_DEFAULT.keys())
async def test_without_a_key_nothing_comes_through_a_proxy(serve: Serve, headers: dict[str, str]) -> None:
    client = await served(serve)
    refused = await client.get("/api/v1/sessions", headers=headers)
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"
    assert "Set http.api_key" in refused.json()["detail"]
    assert (await client.get("/health", headers=headers)).status_code == 403
    assert (await client.get("/readyz", headers=headers)).status_code == 200
    assert (await client.get("/api/v1/sessions")).status_code == 200


async def test_without_a_key_nothing_comes_through_nginx_as_it_is(serve: Serve) -> None:
    client = await served(serve)
    port = client.base_url.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /api/v1/sessions HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    assert await reader.readline() == b"HTTP/1.1 403 Forbidden\r\n"
    assert b"Set http.api_key" in await reader.read()
    writer.close()
    await writer.wait_closed()


async def test_without_a_key_no_websocket_comes_through_a_proxy(serve: Serve) -> None:
    client = await served(serve)
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(
            f"ws://127.0.0.1:{client.base_url.port}/api/v1/chat", additional_headers=BY_DEFAULT["Caddy"]
        )
    assert refused.value.response.status_code == 403


async def test_with_a_key_a_proxy_may_be_there_but_isnt_believed(serve: Serve) -> None:
    client = await served(serve, api_key=KEY)
    who = await client.get("/api/v1/who", headers={"X-API-Key": KEY, **BY_DEFAULT["Caddy"]})
    assert who.json() == {"client": "127.0.0.1", "scheme": "http"}


async def test_a_trusted_proxy_is_believed(serve: Serve) -> None:
    client = await served(serve, api_key=KEY, trusted_proxies=["127.0.0.0/8"])
    who = await client.get("/api/v1/who", headers={"X-API-Key": KEY, **BY_DEFAULT["Caddy"]})
    assert who.json() == {"client": "203.0.113.9", "scheme": "https"}


async def test_a_trusted_proxy_is_believed_on_an_ipv6_socket_too() -> None:
    settings, router = application(api_key=KEY, trusted_proxies=["127.0.0.1"])
    app = create_app(settings=settings, calls=FakeCalls(), models=FakeModels(), routers=[router])
    transport = httpx2.ASGITransport(app, client=("::ffff:127.0.0.1", 1))
    named = {"Origin": "https://phone.example", "X-Forwarded-Host": "phone.example"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        who = await client.get("/api/v1/who", headers={"X-API-Key": KEY, **BY_DEFAULT["Caddy"], **named})
    assert who.json() == {"client": "203.0.113.9", "scheme": "https"}


@pytest.mark.parametrize(("trusted", "status"), [((), 403), (("127.0.0.1",), 200)])
async def test_the_page_s_own_origin_behind_a_proxy_that_renames(
    serve: Serve, trusted: tuple[str, ...], status: int
) -> None:
    client = await served(serve, api_key=KEY, trusted_proxies=trusted)
    headers = {"Origin": "https://phone.example", "X-Forwarded-Host": "phone.example", "X-API-Key": KEY}
    assert (await client.get("/api/v1/who", headers=headers)).status_code == status


async def test_a_page_of_no_origin_is_no_page_of_ours(serve: Serve) -> None:
    client = await served(serve, api_key=KEY, trusted_proxies=["127.0.0.1"])
    answer = await client.get("/api/v1/who", headers={"Origin": "null", "X-API-Key": KEY})
    assert answer.status_code == 403


async def test_carriers_come_through_a_proxy_without_the_key(serve: Serve) -> None:
    client = await served(serve, api_key=KEY)
    answer = await client.post("/api/v1/carriers/twilio/answer", headers=BY_DEFAULT["Caddy"])
    assert answer.status_code == 200
