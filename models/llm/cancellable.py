"""An HTTP transport whose requests may be cancelled at any moment."""

from __future__ import annotations

import asyncio

import httpx


class CancellableTransport(httpx.AsyncHTTPTransport):
    """Leaves no connection behind where a request is cancelled.

    httpcore 1.0.9 keeps that of a request which is cancelled as it connects for ever: 5 of 1,500, and after
    100 of them its pool is full.
    """

    def __init__(self) -> None:
        # Plain HTTP to loopback: no certificates to load.
        super().__init__(verify=False, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except asyncio.CancelledError:
            await self._close_orphans()
            raise

    async def _close_orphans(self) -> None:
        pool = self._pool
        wanted = {id(request.connection) for request in pool._requests}
        orphans = [one for one in pool.connections if id(one) not in wanted and not one.is_idle()]
        for orphan in orphans:
            pool._connections.remove(orphan)
            await orphan.aclose()
