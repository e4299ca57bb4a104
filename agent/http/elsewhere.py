"""Requests about calls that another process of this server has, or another node: that one answers them."""

from __future__ import annotations

import asyncio
import json
import re

import httpx2
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.exceptions import InvalidStatus, WebSocketException

from agent.http.access import SCOPES, Holder
from agent.http.contracts import Elsewhere, Nodes
from agent.http.problems import ProblemError, refuse
from agent.peer import Peer

# Nothing that leads elsewhere. A recording is kept where the call was.
_OF_A_CALL = re.compile(r"/api/v1/sessions/(?P<id>\w+)(?P<recording>/recording)?(?:/[\w/]+)?", re.ASCII)
_OUTGOING = re.compile(r"/api/v1/calls/(?P<id>\w+)(?:/[\w/]+)?", re.ASCII)
_NO_CALLS = ("export",)
# Who asks, and by what name, was looked at here. Of a recording players ask for ranges.
_PASSED_ON = ("accept", "content-type", "range", "if-range")
_HANDED_BACK = ("content-length", "content-range", "accept-ranges", "etag", "last-modified", "retry-after")
CONNECT_S = 5.0
_GONE = "The process that had the call doesn't answer. Try again."
_NEVER_SENT = (None, 1005, 1006)  # RFC 6455 7.4.1: that there was no code, or no close
_NAME, _SCOPES = "x-offhook-name", "x-offhook-scopes"


class OthersCalls:
    """Hands them on, and the answers back."""

    def __init__(self, app: ASGIApp, elsewhere: Elsewhere | None, nodes: Nodes | None) -> None:
        self._app = app
        self._elsewhere = elsewhere
        self._nodes = nodes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = await self._peer(scope) if scope["type"] in ("http", "websocket") else None
        if peer is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await _join(peer, scope, receive, send)
        else:
            await self._ask(peer.http, scope, receive, send)

    async def _peer(self, scope: Scope) -> Peer | None:
        if of_a_call := _OF_A_CALL.fullmatch(scope["path"]):
            return await self._having(of_a_call, scope)
        outgoing = _OUTGOING.fullmatch(scope["path"])
        if outgoing is None or self._nodes is None or asked_by_a_node(scope):
            return None
        return await self._nodes.placing(outgoing["id"])

    async def _having(self, of_a_call: re.Match[str], scope: Scope) -> Peer | None:
        id = of_a_call["id"]
        if id in _NO_CALLS:
            return None
        if self._elsewhere and (peer := self._elsewhere.having(id)):
            return peer
        if self._nodes is None or asked_by_a_node(scope):  # which knew that it is here
            return None
        return await self._nodes.having(id, past=of_a_call["recording"] is not None)

    async def _ask(self, client: httpx2.AsyncClient, scope: Scope, receive: Receive, send: Send) -> None:
        request, headers = Request(scope, receive), Headers(scope=scope)
        passed_on = {name: headers[name] for name in _PASSED_ON if name in headers}
        passed_on |= asking(scope)
        url = httpx2.URL(path=scope["path"], query=scope["query_string"])
        try:
            body = await request.body()
        except ProblemError as error:  # too large, or too slow
            await refuse(scope, receive, send, error.status_code, error.detail, error.headers)
            return
        asked = client.build_request(request.method, url, headers=passed_on, content=body)
        try:
            answer = await client.send(asked, stream=True)
        except httpx2.HTTPError:
            await refuse(scope, receive, send, 503, _GONE)
            return
        kind = answer.headers.get("content-type")
        said = StreamingResponse(answer.aiter_raw(), answer.status_code, media_type=kind)
        if kind is None:
            del said.headers["content-type"]
        said.headers.update({name: answer.headers[name] for name in _HANDED_BACK if name in answer.headers})
        try:
            await said(scope, receive, send)
        finally:
            await answer.aclose()


def asking(scope: Scope) -> dict[str, str]:
    """Headers that hand on who asks."""
    holder: Holder = scope["user"]
    return {_NAME: holder.name, _SCOPES: ",".join(holder.scopes)}


def handed_on(headers: Headers) -> Holder | None:
    """Who asks, by the headers that `asking` made."""
    if (name := headers.get(_NAME)) is None:
        return None
    scopes = headers.get(_SCOPES, "").split(",")
    return Holder(name, frozenset(one for one in SCOPES if one in scopes))


def asked_by_a_node(scope: Scope) -> bool:
    """Whether another node asks, as the guard has found."""
    return "offhook.node" in scope


async def _join(peer: Peer, scope: Scope, receive: Receive, send: Send) -> None:
    """Two WebSockets, until one is closed."""
    try:
        async with asyncio.timeout(CONNECT_S):
            there = await peer.connect(f"{scope['path']}?{scope['query_string'].decode()}", asking(scope))
    except InvalidStatus as refused:
        said = json.loads(refused.response.body or b"{}")
        await refuse(scope, receive, send, refused.response.status_code, said.get("detail", _GONE))
        return
    except (OSError, WebSocketException):  # also where it took too long
        await refuse(scope, receive, send, 503, _GONE)
        return

    async def hear() -> None:
        async for data in there:
            kind = "text" if isinstance(data, str) else "bytes"
            await send({"type": "websocket.send", kind: data})

    async def say() -> None:
        while (message := await receive())["type"] == "websocket.receive":
            await there.send(message["text"] if message.get("text") is not None else message["bytes"])

    async with there:
        await receive()  # the handshake
        await send({"type": "websocket.accept"})
        hearing, saying = asyncio.create_task(hear()), asyncio.create_task(say())
        try:
            await asyncio.wait({hearing, saying}, return_when=asyncio.FIRST_COMPLETED)
            if not saying.done():
                code = 1011 if there.close_code in _NEVER_SENT else there.close_code
                await send({"type": "websocket.close", "code": code, "reason": there.close_reason or ""})
        finally:
            for task in (hearing, saying):
                task.cancel()
            await asyncio.gather(hearing, saying, return_exceptions=True)


class AskedByAnother:
    """In the process that has the calls: whoever asks is who the first one found them to be.

    Where it doesn't say, it asks itself. Nobody else reaches the socket that this stands behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and (holder := handed_on(Headers(scope=scope))):
            scope["user"] = holder
        await self._app(scope, receive, send)
