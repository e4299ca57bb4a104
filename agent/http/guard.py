"""Who may ask, and how much they may send. ASGI, so that it holds for WebSockets too."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.http.access import A_NODE, ANYONE_HERE, Holder
from agent.http.attempts import Rates, WrongKeys, network
from agent.http.elsewhere import asked_by_a_node, handed_on
from agent.http.keyring import Keyring, KeysAway, SpentKey, WrongKey
from agent.http.problems import ProblemError, refuse
from agent.http.proxies import TrustedProxies
from agent.peer import CLUSTER_KEY

# Carriers sign their requests instead; probes and the page hold nothing secret.
KEYED_PREFIXES = ("/api/", "/v1/", "/health", "/metrics")
SIGNED_PREFIXES = ("/api/v1/carriers/",)
BODY_DEADLINE_S = 30.0
LOOK_AGAIN_S = 5.0  # at the key of an open stream
_STREAMED = ("http.response.body", "websocket.send")
_OVER: Mapping[str, Message] = {
    "http": {"type": "http.response.body"},
    "websocket": {"type": "websocket.close", "code": 1008, "reason": "Your API key can't be used any more."},
}


def guarded(path: str) -> bool:
    """Whether it is for those who have a key, where one is asked for."""
    return path.startswith(KEYED_PREFIXES) and not path.startswith(SIGNED_PREFIXES)


class ApiKeyGuard:
    """Asks for an API key, lets those who guess one wait, and notes whose it is."""

    def __init__(
        self,
        app: ASGIApp,
        keyring: Keyring,
        by_source: Rates,
        by_key: Rates,
        cluster_key: str = "",
    ) -> None:
        self._app = app
        self._keyring = keyring
        self._cluster_key = cluster_key
        self._wrong = WrongKeys()
        self._by_source, self._by_key = by_source, by_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and guarded(scope["path"]):
            try:
                scope["user"] = await self._holder(scope)
            except ProblemError as error:
                await refuse(scope, receive, send, error.status_code, error.detail, error.headers)
                return
            if not asked_by_a_node(scope):
                send = self._while_held(scope, send)
        await self._app(scope, receive, send)

    def _while_held(self, scope: Scope, send: Send) -> Send:
        """Ends what goes on for ever once its key can't be used any more.

        An export ends by itself, and would look whole.
        """
        given = self._given(Headers(scope=scope)) or ""
        looked_at, endless, over = time.monotonic(), True, False

        async def send_on(message: Message) -> None:
            nonlocal looked_at, endless, over
            if over:
                return
            if message["type"] == "http.response.start":
                kind = Headers(raw=message["headers"]).get("content-type", "")
                endless = kind.startswith("text/event-stream")
            elif endless and message["type"] in _STREAMED and time.monotonic() - looked_at >= LOOK_AGAIN_S:
                looked_at = time.monotonic()
                over = not await self._may_go_on(given)
            await send(_OVER[scope["type"]] if over else message)

        return send_on

    async def _may_go_on(self, given: str) -> bool:
        try:
            await self._keyring.holder(given)
        except (WrongKey, SpentKey):
            return False
        except KeysAway:  # nobody knows better
            pass
        return True

    async def _holder(self, scope: Scope) -> Holder:
        """Raises ProblemError."""
        source, now = scope["client"][0] if scope.get("client") else "", time.monotonic()
        if self._cluster_key and (holder := self._from_node(scope)):
            return holder
        if wait_s := self._by_source.wait_s(network(source), now):
            raise _too_many("this address", wait_s)
        given = self._given(Headers(scope=scope))
        if given is None:
            raise _unauthorized(
                "This server wants an API key: send it as 'Authorization: Bearer <key>' "
                "or 'X-API-Key: <key>'."
            )
        # The right key waits as well: an answer that it alone gets at once would tell it from the others.
        if wait_s := self._wrong.wait_s(source, now):
            detail = f"Too many wrong API keys came from here. Try again in {wait_s} s, with the right one."
            raise ProblemError(429, detail, {"Retry-After": str(wait_s)})
        try:
            holder = await self._keyring.holder(given)
        except WrongKey:
            self._wrong.add(source, now)
            raise _unauthorized(
                "That isn't a key of this server's. It is http.api_key in its settings, or made by "
                "`offhook keys create`."
            ) from None
        except SpentKey as spent:
            raise _unauthorized(str(spent)) from None
        except KeysAway:
            detail = "Keys can't be looked up: the records' database is away. Only http.api_key works now."
            raise ProblemError(503, detail, {"Retry-After": "5"}) from None
        if wait_s := self._by_key.wait_s(holder.name, now):
            raise _too_many("this key", wait_s)
        return holder

    def _from_node(self, scope: Scope) -> Holder | None:
        """Whoever asks another node, which has looked at their key. None where no node hands them on."""
        headers = Headers(scope=scope)
        given = headers.get(CLUSTER_KEY, "").encode()
        if not hmac.compare_digest(given, self._cluster_key.encode()):
            return None
        scope["offhook.node"] = True
        return handed_on(headers) or A_NODE

    @staticmethod
    def _given(headers: Headers) -> str | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            return token.strip()
        return headers.get("x-api-key")


def _unauthorized(detail: str) -> ProblemError:
    return ProblemError(401, detail, {"WWW-Authenticate": "Bearer"})


def _too_many(whose: str, wait_s: int) -> ProblemError:
    detail = f"Too many requests of {whose} (http.requests_per_minute). Try again in {wait_s} s."
    return ProblemError(429, detail, {"Retry-After": str(wait_s)})


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
            # "null" is that of sandboxed frames and of files.
            if origin is not None and (origin == "null" or origin.partition("://")[2] not in names):
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
            scope.setdefault("user", ANYONE_HERE)
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
