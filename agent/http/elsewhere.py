"""Requests about calls that another process of this server has: that one answers them."""

from __future__ import annotations

import asyncio
import json
import re

import httpx2
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.client import unix_connect
from websockets.exceptions import InvalidStatus, WebSocketException

from agent.http.access import SCOPES, Holder
from agent.http.contracts import Elsewhere
from agent.http.problems import ProblemError, refuse

_OF_A_CALL = re.compile(r"/api/v1/sessions/(?P<id>\w+)(?:/[\w/]+)?", re.ASCII)  # nothing that leads elsewhere
_PASSED_ON = ("accept", "content-type")  # who asks, and by what name, was looked at here
_GONE = "The process that had the call doesn't answer. Try again."
_NEVER_SENT = (None, 1005, 1006)  # RFC 6455 7.4.1: that there was no code, or no close
_NAME, _SCOPES = "x-offhook-name", "x-offhook-scopes"


class OthersCalls:
    """Hands them on, and the answers back."""

    def __init__(self, app: ASGIApp, elsewhere: Elsewhere) -> None:
        self._app = app
        self._elsewhere = elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        of_a_call = _OF_A_CALL.fullmatch(scope["path"]) if scope["type"] in ("http", "websocket") else None
        client = self._elsewhere.client(of_a_call["id"]) if of_a_call else None
        path = self._elsewhere.path(of_a_call["id"]) if of_a_call else None
        if client is None or path is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await _join(path, scope, receive, send)
        else:
            await self._ask(client, scope, receive, send)

    async def _ask(self, client: httpx2.AsyncClient, scope: Scope, receive: Receive, send: Send) -> None:
        request, headers = Request(scope, receive), Headers(scope=scope)
        passed_on = {name: headers[name] for name in _PASSED_ON if name in headers}
        passed_on |= _asking(scope)
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
        if length := answer.headers.get("content-length"):
            said.headers["content-length"] = length
        try:
            await said(scope, receive, send)
        finally:
            await answer.aclose()


def _asking(scope: Scope) -> dict[str, str]:
    holder: Holder = scope["user"]
    return {_NAME: holder.name, _SCOPES: ",".join(holder.scopes)}


async def _join(path: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Two WebSockets, until one is closed."""
    url = f"ws://localhost{scope['path']}?{scope['query_string'].decode()}"
    try:
        there = await unix_connect(path, url, additional_headers=_asking(scope), compression=None)
    except InvalidStatus as refused:
        said = json.loads(refused.response.body or b"{}")
        await refuse(scope, receive, send, refused.response.status_code, said.get("detail", _GONE))
        return
    except (OSError, WebSocketException):
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
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            if (name := headers.get(_NAME)) is not None:
                scopes = [one for one in SCOPES if one in headers[_SCOPES].split(",")]
                scope["user"] = Holder(name, frozenset(scopes))
        await self._app(scope, receive, send)
