"""Finds out whether a model's answers begin with thoughts that no tag opens: its template has opened them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from openai.types.chat import ChatCompletionChunk

from models.llm.clean import Cleaner

# So easy that who doesn't think has answered with a word or two.
QUESTION = {"role": "user", "content": "What is two plus two? Answer in one word."}
MOST_TOKENS = 400
DEADLINE_S = 20.0


async def thinks_first(
    chat: Callable[[Mapping[str, Any]], AsyncGenerator[ChatCompletionChunk, None]], model: str
) -> bool:
    """Ask, and see whether thoughts end in the answer that never began. Raises ModelFailed."""
    cleaner = Cleaner()
    params = {
        "model": model,
        "messages": [QUESTION],
        "stream": True,
        "temperature": 0.0,
        "max_tokens": MOST_TOKENS,
    }
    try:
        async with asyncio.timeout(DEADLINE_S), aclosing(chat(params)) as chunks:
            async for chunk in chunks:
                delta = chunk.choices[0].delta if chunk.choices else None
                content = delta.content if delta is not None else None
                cleaner.take(content if isinstance(content, str) else "")
                if cleaner.closed_unopened or cleaner.thinking or cleaner.ended:
                    break
    except TimeoutError:
        return False
    return cleaner.closed_unopened
