"""Who may ask, and how much they may send. ASGI, so that it holds for WebSockets too."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.http.problems import ProblemError, problem

# Carriers sign their requests instead; probes and the page hold nothing secret.
KEYED_PREFIXES = ("/api/", "/health")
SIGNED_PREFIXES = ("/api/v1/carriers/",)
BODY_DEADLINE_S = 30.0


async def refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    status: int,
    detail: str,
    headers: dict[str, str] | None = None,
) -> None:
    """Answer a request or a WebSocket handshake with a problem document."""
    response = problem(status, detail, headers)
    if scope["type"] == "websocket":
        await receive()  # the handshake
        await send(
            {"type": "websocket.http.response.start", "status": status, "headers": response.raw_headers}
        )
        await send({"type": "websocket.http.response.body", "body": response.body})
    else:
        await response(scope, receive, send)


def _guarded(path: str) -> bool:
    return path.startswith(KEYED_PREFIXES) and not path.startswith(SIGNED_PREFIXES)


class ApiKeyGuard:
    """Asks for the API key, where there is one."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not _guarded(scope["path"]):
            await self._app(scope, receive, send)
            return
        given = self._given(Headers(scope=scope))
        if given is not None and hmac.compare_digest(given.encode(), self._key):
            await self._app(scope, receive, send)
            return
        detail = (
            "This server wants its API key: send it as 'Authorization: Bearer <key>' or 'X-API-Key: <key>'."
            if given is None
            else "That isn't this server's API key. It is http.api_key in its settings."
        )
        await refuse(scope, receive, send, 401, detail, {"WWW-Authenticate": "Bearer"})

    @staticmethod
    def _given(headers: Headers) -> str | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            return token.strip()
        return headers.get("x-api-key")


class OriginGuard:
    """Keeps other sites' pages from using a browser on this machine to reach the API.

    WebSockets and plain POSTs need no preflight, so CORS alone doesn't stop them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and _guarded(scope["path"]):
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if origin is not None and origin.partition("://")[2] != headers.get("host"):
                await refuse(scope, receive, send, 403, "Pages of other sites may not use this API.")
                return
        await self._app(scope, receive, send)


class HostGuard:
    """Where no key is asked for: answers only to names that always mean this machine.

    Another site can have its own name resolve to this machine (DNS rebinding). Its page then reads what
    it likes here, as of its own origin; only `Host` still tells.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and _guarded(scope["path"]):
            host = Headers(scope=scope).get("host", "")
            if not _is_loopback(host):
                detail = (
                    f"Without an API key this server answers only as localhost or 127.0.0.1, not as "
                    f"{host[:80]!r}. Set http.api_key to reach it by another name."
                )
                await refuse(scope, receive, send, 403, detail)
                return
        await self._app(scope, receive, send)


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


class BodyLimit:
    """Bounds each request's body in size and in time."""

    def __init__(self, app: ASGIApp, *, default_bytes: int, by_path: Mapping[str, int]) -> None:
        self._app = app
        self._default = default_bytes
        self._by_path = by_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._by_path.get(scope["path"], self._default)
        too_large = f"The body is larger than the {limit:,} bytes that {scope['path']} takes."
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdigit() or int(declared) > limit:
            await refuse(scope, receive, send, 413, too_large)
            return

        received = 0
        complete = False
        deadline = asyncio.get_running_loop().time() + BODY_DEADLINE_S
        close = {"Connection": "close"}

        async def limited() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                slow = "The body took too long to arrive. Send it again."
                raise ProblemError(408, slow, headers=close) from None
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > limit:
                raise ProblemError(413, too_large, headers=close)
            return message

        await self._app(scope, limited, send)
