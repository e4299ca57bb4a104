"""A llama.cpp process for as long as a test needs it, and one that isn't there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from models.llm.child import LlamaChild

Answer = Callable[[httpx2.Request], Any]


@asynccontextmanager
async def ready(child: LlamaChild) -> AsyncIterator[LlamaChild]:
    await child.start()
    try:
        await child.wait_ready(60)
        yield child
    finally:
        await child.close()


@asynccontextmanager
async def answered_by(answer: Answer) -> AsyncIterator[LlamaChild]:
    """Without a process: `answer` stands for its server."""
    child = LlamaChild(Path("none.gguf"))
    await child.http.aclose()
    child.http, child.url = httpx2.AsyncClient(transport=httpx2.MockTransport(answer)), "http://llama"
    child.state = "ready"
    try:
        yield child
    finally:
        await child.close()
