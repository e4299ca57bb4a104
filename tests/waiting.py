"""Waits for what has no event: another thread's state, another process's, a peer's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[..., object], deadline_s: float = 30.0) -> None:
    """Raises TimeoutError if it doesn't come true."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
