"""Lets a library that is made for httpx use an httpx2 client.

The `ollama` package asks through httpx, whose connection pool keeps a place for every request that is
cancelled while it waits for its connection; with a hundred of them nothing is asked any more. httpx2 has
mended that (pydantic/httpx2#983).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import httpx2


class OverHttpx2(httpx.AsyncBaseTransport):
    """`client` stays its owner's to close."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = httpx2.Request(
            request.method,
            str(request.url),
            headers=request.headers.raw,
            content=await request.aread(),
            extensions=dict(request.extensions),
        )
        with _as_httpx():
            answer = await self._client.send(asked, stream=True)
        return httpx.Response(answer.status_code, headers=answer.headers.raw, stream=_Body(answer))


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpx2.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for data in self._answer.aiter_raw():
                yield data

    async def aclose(self) -> None:
        await self._answer.aclose()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Its errors have the same names."""
    try:
        yield
    except httpx2.TransportError as error:
        kind = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise kind(str(error)) from error
