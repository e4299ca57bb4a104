"""Work that doesn't wait for its reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def ahead(source: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """What `source` yields, drawn from it as soon as it comes, however slowly it is read here.

    A source that holds a place or a model thus holds it no longer than its work takes; what isn't read yet is
    kept. Closing this closes the source, at whatever it is.
    """
    drawn: asyncio.Queue[tuple[T] | None] = asyncio.Queue()

    async def draw() -> None:
        async with aclosing(source):
            async for item in source:
                drawn.put_nowait((item,))

    drawing = asyncio.create_task(draw(), name="ahead")
    drawing.add_done_callback(lambda _: drawn.put_nowait(None))
    try:
        while (item := await drawn.get()) is not None:
            yield item[0]
        await drawing  # raises what the source raised
    finally:
        if not drawing.done():
            drawing.cancel()
            await asyncio.wait({drawing})
