"""What came through a reverse proxy, and which proxies are believed about it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.http.problems import refuse

_MARKS = ("forwarded", "via", "x-real-ip")
_MARK_PREFIX = "x-forwarded-"

PathFilter = Callable[[str], bool]


def proxy_mark(scope: Scope) -> str | None:
    """What of a request only a proxy sends, if it has any of that."""
    for name in Headers(scope=scope):
        if name in _MARKS or name.startswith(_MARK_PREFIX):
            return str(name).title()
    # nginx adds no header by itself, and asks in HTTP/1.0, which browsers and curl gave up long ago.
    return "HTTP/1.0" if scope.get("http_version") == "1.0" else None


class Unmapped:
    """Knows IPv4 peers of an IPv6 socket by their IPv4 addresses, as proxies are named."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(KeyError, TypeError, ValueError):  # no peer, or no address
            host, port = scope["client"]
            if mapped := IPv6Address(host).ipv4_mapped:
                scope["client"] = (str(mapped), port)
        await self._app(scope, receive, send)


class ProxyGuard:
    """Where no key is asked for: refuses what a proxy passes on, since that may be anyone's."""

    def __init__(self, app: ASGIApp, paths: PathFilter) -> None:
        self._app = app
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and self._paths(scope["path"]):
            mark = proxy_mark(scope)
            if mark is not None:
                detail = (
                    f"This request came through a proxy ({mark}), so it may be anyone's, and this "
                    "server asks for no key. Set http.api_key: OFFHOOK_HTTP__API_KEY, or http.api_key_file."
                )
                await refuse(scope, receive, send, 403, detail)
                return
        await self._app(scope, receive, send)


class TrustedProxies:
    """`http.trusted_proxies`: whether a peer is one of them."""

    def __init__(self, networks: Collection[str]) -> None:
        self._networks = [ip_network(network) for network in networks]

    def __contains__(self, scope: Scope) -> bool:
        client = scope.get("client")
        try:
            address = ip_address(client[0] if client else "")
        except ValueError:
            return False
        return any(address in network for network in self._networks)
