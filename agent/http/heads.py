"""HEAD, by which monitors and load balancers look whether something is there."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

ENDLESS = "/events"


class Heads:
    """Answers it as GET, without the body, which the server leaves out; but not where that never ends."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD" and not scope["path"].endswith(ENDLESS):
            scope = {**scope, "method": "GET"}  # the server goes by its own
        await self._app(scope, receive, send)
