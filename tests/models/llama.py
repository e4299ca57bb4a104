"""A llama.cpp process for as long as a test needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from models.llm.child import LlamaChild


@asynccontextmanager
async def ready(child: LlamaChild) -> AsyncIterator[LlamaChild]:
    await child.start()
    try:
        await child.wait_ready(60)
        yield child
    finally:
        await child.close()
