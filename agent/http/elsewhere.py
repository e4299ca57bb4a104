"""Requests about calls that another process of this server has: that one answers them."""

from __future__ import annotations

import re

import httpx2
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.http.access import SCOPES, Holder
from agent.http.contracts import Elsewhere
from agent.http.problems import refuse

_OF_A_CALL = re.compile(r"/api/v1/sessions/(?P<id>[^/]+)(?:/|$)")
_PASSED_ON = ("accept", "content-type")  # who asks, and by what name, was looked at here
_NAME, _SCOPES = "x-offhook-name", "x-offhook-scopes"


class OthersCalls:
    """Hands them on, and the answers back."""

    def __init__(self, app: ASGIApp, elsewhere: Elsewhere) -> None:
        self._app = app
        self._elsewhere = elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        of_a_call = _OF_A_CALL.match(scope["path"]) if scope["type"] == "http" else None
        client = self._elsewhere.client(of_a_call["id"]) if of_a_call else None
        if client is None:
            await self._app(scope, receive, send)
            return
        request, headers = Request(scope, receive), Headers(scope=scope)
        passed_on = {name: headers[name] for name in _PASSED_ON if name in headers}
        holder: Holder = scope["user"]
        passed_on |= {_NAME: holder.name, _SCOPES: ",".join(holder.scopes)}
        url = httpx2.URL(path=scope["path"], query=scope["query_string"])
        asked = client.build_request(request.method, url, headers=passed_on, content=await request.body())
        try:
            answer = await client.send(asked, stream=True)
        except httpx2.HTTPError:
            gone = "The process that had the call doesn't answer. Try again."
            await refuse(scope, receive, send, 503, gone)
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


class AskedByAnother:
    """In the process that has the calls: whoever asks is who the first one found them to be.

    Where it doesn't say, it asks itself. Nobody else reaches the socket that this stands behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            if (name := headers.get(_NAME)) is not None:
                scopes = [one for one in SCOPES if one in headers[_SCOPES].split(",")]
                scope["user"] = Holder(name, frozenset(scopes))
        await self._app(scope, receive, send)
