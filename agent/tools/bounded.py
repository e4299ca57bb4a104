"""HTTP whose answers are read only as far as they may be long."""

from __future__ import annotations

import asyncio

import httpx2
from pydantic_core import from_json

from agent.tools.http import tls
from agent.tools.relay import refusal

END_S = 3.0  # that the end of a session may take, for which nobody wants to wait


class BoundedTransport(httpx2.AsyncHTTPTransport):
    """For an MCP server: what is longer, or packed and might unpack to any length, becomes an error.

    Streams of events pass as they are; whoever reads them bounds each event.
    """

    def __init__(self, max_bytes: int) -> None:
        super().__init__(verify=tls(), trust_env=False)
        self._max_bytes = max_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        async with asyncio.timeout(END_S if request.method == "DELETE" else None):
            return await self._answer(request)

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["Accept-Encoding"] = "identity"
        answer = await super().handle_async_request(request)
        packed = answer.headers.get("Content-Encoding", "identity").lower() != "identity"
        if answer.headers.get("Content-Type", "").startswith("text/event-stream") and not packed:
            return answer
        body = bytearray()
        try:
            async for chunk in answer.aiter_raw():
                body += chunk
                if packed or len(body) > self._max_bytes:
                    return self._refused(request)
        finally:
            await answer.aclose()
        return httpx2.Response(answer.status_code, headers=answer.headers, content=bytes(body))

    def _refused(self, request: httpx2.Request) -> httpx2.Response:
        asked = from_json(request.content or b"{}")
        if "id" not in asked:
            return httpx2.Response(502)
        return httpx2.Response(200, json=refusal(asked["id"], self._max_bytes))
