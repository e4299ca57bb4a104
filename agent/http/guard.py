"""Who may ask, and how much they may send. ASGI, so that it holds for WebSockets too."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.http.attempts import WrongKeys
from agent.http.problems import ProblemError, refuse
from agent.http.proxies import TrustedProxies

# Carriers sign their requests instead; probes and the page hold nothing secret.
KEYED_PREFIXES = ("/api/", "/health", "/metrics")
SIGNED_PREFIXES = ("/api/v1/carriers/",)
BODY_DEADLINE_S = 30.0


def guarded(path: str) -> bool:
    """Whether it is for those who have the key, where there is one."""
    return path.startswith(KEYED_PREFIXES) and not path.startswith(SIGNED_PREFIXES)


class ApiKeyGuard:
    """Asks for the API key, where there is one, and lets those who guess it wait."""

    def __init__(self, app: ASGIApp, key: Callable[[], str]) -> None:
        """`key` is asked each time."""
        self._app = app
        self._key = key
        self._wrong = WrongKeys()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not guarded(scope["path"]):
            await self._app(scope, receive, send)
            return
        given = self._given(Headers(scope=scope))
        if given is None:
            detail = (
                "This server wants its API key: send it as 'Authorization: Bearer <key>' "
                "or 'X-API-Key: <key>'."
            )
            await refuse(scope, receive, send, 401, detail, {"WWW-Authenticate": "Bearer"})
            return
        source, now = scope["client"][0] if scope.get("client") else "", time.monotonic()
        # The right key waits as well: an answer that it alone gets at once would tell it from the others.
        if wait_s := self._wrong.wait_s(source, now):
            detail = f"Too many wrong API keys came from here. Try again in {wait_s} s, with the right one."
            await refuse(scope, receive, send, 429, detail, {"Retry-After": str(wait_s)})
        elif hmac.compare_digest(given.encode(), self._key().encode()):
            await self._app(scope, receive, send)
        else:
            self._wrong.add(source, now)
            detail = "That isn't this server's API key. It is http.api_key in its settings."
            await refuse(scope, receive, send, 401, detail, {"WWW-Authenticate": "Bearer"})

    @staticmethod
    def _given(headers: Headers) -> str | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            return token.strip()
        return headers.get("x-api-key")


class OriginGuard:
    """Keeps other sites' pages from using a browser on this machine to reach the API.

    WebSockets and plain POSTs need no preflight, so CORS alone doesn't stop them. `proxies` are believed
    about the name that they were asked by.
    """

    def __init__(self, app: ASGIApp, proxies: Sequence[str] = ()) -> None:
        self._app = app
        self._proxies = TrustedProxies(proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and guarded(scope["path"]):
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            names = [headers.get("host", "")]
            if scope in self._proxies:
                names += [name.strip() for name in headers.get("x-forwarded-host", "").split(",")]
            if origin is not None and origin.partition("://")[2] not in names:
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
        if scope["type"] in ("http", "websocket") and guarded(scope["path"]):
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
    """Bounds each request's body in size and in time.

    What comes behind a refusal is read and thrown away, within the connection's deadline: one that is closed
    in the middle of a body takes the refusal with it.
    """

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

        async def limited() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                slow = "The body took too long to arrive. Send it again."
                raise ProblemError(408, slow) from None
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > limit:
                raise ProblemError(413, too_large)
            return message

        await self._app(scope, limited, send)
