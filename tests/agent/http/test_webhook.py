"""What callers leave is posted to a server, again where that may help."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.webhook import Webhook, WebhookFailed, signature
from config.webhook import WebhookSettings
from tests.agent.http.conftest import Serve
from tests.peers import free_port

AT_ONCE = (0.0, 0.0, 0.0)


class Office:
    """Answers with these statuses, one after the other."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.got: list[tuple[str | None, Any]] = []
        self.signed: list[tuple[Headers, bytes]] = []
        self.app = Starlette(routes=[Route("/hook", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        self.signed.append((request.headers, await request.body()))
        self.got.append((request.headers.get("authorization"), await request.json()))
        return Response(status_code=self.statuses.pop(0))


async def webhook(serve: Serve, office: Office) -> Webhook:
    client = await serve(office.app)
    return Webhook(WebhookSettings.model_validate({"url": f"{client.base_url}/hook", "token": "s3cret"}))


@pytest.mark.parametrize("statuses", [(204,), (503, 200), (500, 429, 201)])
async def test_it_is_posted_until_it_is_taken(serve: Serve, statuses: tuple[int, ...]) -> None:
    office = Office(*statuses)
    await (await webhook(serve, office)).post("keypad", "1", {"keys": "12"}, tries_s=AT_ONCE)
    assert office.got == [("Bearer s3cret", {"type": "keypad", "data": {"keys": "12"}})] * len(statuses)


@pytest.mark.parametrize(("statuses", "tries"), [((404, 200), 1), ((500, 500, 503), 3)])
async def test_who_will_not_take_it_is_told_of(serve: Serve, statuses: tuple[int, ...], tries: int) -> None:
    office = Office(*statuses)
    with pytest.raises(WebhookFailed, match=f"HTTP {statuses[tries - 1]}"):
        await (await webhook(serve, office)).post("keypad", "1", {"keys": "12"}, tries_s=AT_ONCE)
    assert len(office.got) == tries


async def test_all_that_is_posted_is_signed(serve: Serve) -> None:
    office = Office(503, 204)
    client = await serve(office.app)
    there = {"url": f"{client.base_url}/hook", "secret": "s3cret"}
    await Webhook(WebhookSettings.model_validate(there)).post("message", "5c1f", {}, tries_s=AT_ONCE)
    for headers, body in office.signed:
        at = int(headers["webhook-timestamp"])
        assert headers["webhook-signature"] == signature(b"s3cret", "5c1f", at, body)["webhook-signature"]
        assert headers["webhook-id"] == "5c1f"
    assert len(office.signed) == 2


def test_it_is_signed_as_the_specification_has_it() -> None:
    """The example of github.com/standard-webhooks/standard-webhooks, spec."""
    key = WebhookSettings(secret=SecretStr("whsec_plJ3nmyCDGBKInavdOK15jsl")).signing_key
    body = b'{"event_type":"ping","data":{"success":true}}'
    assert key is not None
    signed = signature(key, "msg_loFOjxBNrRLzqYUf", 1731705121, body)
    assert signed["webhook-signature"] == "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="


def test_a_secret_that_is_no_base64_is_told_of() -> None:
    with pytest.raises(ValidationError, match="must be base64 behind whsec_"):
        WebhookSettings(secret=SecretStr("whsec_not base64"))


async def test_a_token_that_no_header_takes_is_told_of() -> None:
    there = WebhookSettings.model_validate({"url": f"http://127.0.0.1:{free_port()}/", "token": "schlüssel"})
    with pytest.raises(WebhookFailed):
        await Webhook(there).post("keypad", "1", {}, tries_s=AT_ONCE)


@pytest.mark.parametrize("url", ["http://office.example:99999/hook", "http://office.example:x/", "office"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="http:// or https://"):
        WebhookSettings(url=url)


def test_its_url_is_taken_as_it_is() -> None:
    """Some servers answer 301 to the other spelling, which nobody follows with a POST."""
    assert WebhookSettings(url="https://office.example/hook/").url == "https://office.example/hook/"


async def test_nobody_there_and_nobody_named() -> None:
    there = WebhookSettings.model_validate({"url": f"http://127.0.0.1:{free_port()}/hook"})
    with pytest.raises(WebhookFailed, match="doesn't answer"):
        await Webhook(there).post("keypad", "1", {}, tries_s=AT_ONCE)
    with pytest.raises(WebhookFailed, match=r"webhook\.url isn't set"):
        await Webhook(WebhookSettings()).post("keypad", "1", {})
