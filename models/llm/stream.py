"""An answer's stream with deadlines, started again while nobody has heard of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import httpx2
import openai
from loguru import logger
from openai.types.chat import ChatCompletionChunk

from models.errors import ModelAway, ModelFailed

Chunks = AsyncIterator[ChatCompletionChunk]

RETRY_PAUSE_S = 0.1
TRANSPORT_ERRORS = (openai.APIConnectionError, httpx2.TransportError, ModelAway)
LATER_STATUS = frozenset({429, 502, 503})  # 503: llama.cpp while it loads


def may_retry(error: Exception) -> bool:
    """Whether the same request may do better in a moment."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in LATER_STATUS
    return isinstance(error, TRANSPORT_ERRORS)


async def answer(
    begin: Callable[[], Awaitable[Chunks]],
    *,
    timeout_s: float,
    wait_ready: Callable[[float], Awaitable[None]] | None = None,
) -> AsyncGenerator[ChatCompletionChunk, None]:
    """Stream what `begin` opens; open it again on trouble, until the first token is out.

    `timeout_s` bounds the wait for the first token, retries included, and afterwards every gap between
    two. `wait_ready(remaining_s)` waits until a retry makes sense. Raises ModelFailed.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            chunks, held = await _first(begin, deadline)
            break
        except TimeoutError:
            raise ModelFailed(f"The language model gave no first token within {timeout_s:.1f} s.") from None
        except (openai.APIError, *TRANSPORT_ERRORS) as error:
            if not may_retry(error):
                raise ModelFailed(f"The language model refused the request: {_kind(error)}.") from None
            remaining_s = deadline - time.monotonic()
            if remaining_s <= RETRY_PAUSE_S:
                raise ModelFailed(f"The language model didn't answer within {timeout_s:.1f} s.") from None
            logger.info(f"Asking the language model again: {type(error).__name__}")
            await asyncio.sleep(RETRY_PAUSE_S)
            if wait_ready is not None:
                await wait_ready(remaining_s - RETRY_PAUSE_S)
    try:
        for chunk in held:
            yield chunk
        while True:
            try:
                async with asyncio.timeout(timeout_s):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            yield chunk
    except TimeoutError:
        raise ModelFailed(f"The language model stopped for {timeout_s:.1f} s in mid-answer.") from None
    except (openai.APIError, *TRANSPORT_ERRORS) as error:
        raise ModelFailed(f"The language model broke off in mid-answer: {_kind(error)}.") from None
    finally:
        await _close(chunks)


async def _first(
    begin: Callable[[], Awaitable[Chunks]], deadline: float
) -> tuple[Chunks, list[ChatCompletionChunk]]:
    """The opened stream, and its chunks up to the first that says anything."""
    held: list[ChatCompletionChunk] = []
    chunks: Chunks | None = None
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            chunks = await begin()
            async for chunk in chunks:
                held.append(chunk)
                if _says_something(chunk):
                    break
    except BaseException:
        if chunks is not None:
            await _close(chunks)
        raise
    return chunks, held


def _kind(error: Exception) -> str:
    """What may be logged of an error. Its message may not, nor may it be a cause, which tracebacks show:
    servers repeat the request in it, and so what the caller said."""
    status = f" (HTTP {error.status_code})" if isinstance(error, openai.APIStatusError) else ""
    return f"{type(error).__name__}{status}"


def _says_something(chunk: ChatCompletionChunk) -> bool:
    if not chunk.choices:
        return False
    choice = chunk.choices[0]
    return bool(choice.finish_reason or choice.delta.content or choice.delta.tool_calls)


async def _close(chunks: Chunks) -> None:
    """Tell the server to stop: closing the response is what cancels a generation."""
    for name in ("close", "aclose"):  # a stream of the OpenAI client, a generator
        close = getattr(chunks, name, None)
        if close is not None:
            await close()
            return
