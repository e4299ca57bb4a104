"""An answer's stream with deadlines, begun again while nobody has heard of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

import httpx2
from loguru import logger
from openai.types.chat import ChatCompletionChunk

from models.errors import ModelAway, ModelFailed, ModelLate, ModelOverloaded
from models.llm.cleaned import THINKING

Chunks = AsyncGenerator[ChatCompletionChunk, None]

FIRST_PAUSE_S = 0.1
THINKING_S = 30.0  # longer than that nobody listens to fillers
LONGEST_PAUSE_S = 2.0


@dataclass
class Retries:
    """When to ask a server again that didn't answer: sooner at first, and never before it wants to be."""

    deadline: float
    _pause_s: float = field(default=FIRST_PAUSE_S)

    def after(self, error: Exception, now: float) -> float | None:
        """Seconds to wait; None where the deadline, or the error, leaves no sense in it."""
        if not isinstance(error, (ModelAway, httpx2.TransportError)):
            return None
        pause_s, self._pause_s = self._pause_s, min(LONGEST_PAUSE_S, 2 * self._pause_s)
        if isinstance(error, ModelOverloaded) and error.retry_after_s is not None:
            pause_s = max(pause_s, error.retry_after_s)
        return pause_s if now + pause_s < self.deadline else None


class Opened:
    """An answer that has begun: what has come of it, and what is to come."""

    def __init__(self, chunks: Chunks, begun: list[ChatCompletionChunk]) -> None:
        self._chunks = chunks
        self._begun = begun

    async def rest(self, *, gap_s: float) -> Chunks:
        """All of it, from its beginning on. Raises ModelFailed, ModelLate where nothing comes for `gap_s`."""
        try:
            for chunk in self._begun:
                yield chunk
            while True:
                try:
                    async with asyncio.timeout(gap_s):
                        chunk = await anext(self._chunks)
                except StopAsyncIteration:
                    return
                if chunk.id != THINKING:
                    yield chunk
        except TimeoutError:
            raise ModelLate(f"The language model stopped for {gap_s:.1f} s in mid-answer.") from None
        except httpx2.TransportError as error:
            raise ModelFailed(_broke_off(type(error).__name__)) from None
        except ModelAway as error:
            raise ModelFailed(_broke_off(str(error))) from None
        finally:
            await self._chunks.aclose()  # which is what has the server stop


async def opened(
    begin: Callable[[], Chunks],
    *,
    timeout_s: float,
    again: bool = True,
    wait_ready: Callable[[float], Awaitable[None]] | None = None,
) -> Opened:
    """Begin an answer and wait for its first token, retries included.

    `again` is whether to begin anew on trouble, as long as that may help; `wait_ready(remaining_s)` waits
    until it makes sense. Raises ModelFailed, ModelLate where no token comes in time.
    """
    retries = Retries(time.monotonic() + timeout_s)
    while True:
        try:
            return await _first(begin(), retries.deadline)
        except TimeoutError:
            raise ModelLate(f"The language model gave no first token within {timeout_s:.1f} s.") from None
        except (ModelFailed, httpx2.TransportError) as error:
            pause_s = retries.after(error, time.monotonic()) if again else None
            if pause_s is None:
                if isinstance(error, ModelFailed):
                    raise
                raise ModelAway(f"The language model doesn't answer: {type(error).__name__}.") from None
            logger.info(f"Asking the language model again: {type(error).__name__}")
            await asyncio.sleep(pause_s)
            if wait_ready is not None:
                await wait_ready(retries.deadline - time.monotonic())


async def _first(chunks: Chunks, deadline: float) -> Opened:
    """The answer, once there is a first chunk that says anything."""
    begun: list[ChatCompletionChunk] = []
    try:
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(deadline - time.monotonic()) as patience:
            async for chunk in chunks:
                if chunk.id == THINKING:  # it lives, and will come to an end
                    patience.reschedule(began + THINKING_S)
                    continue
                begun.append(chunk)
                if _says_something(chunk):
                    break
    except BaseException:
        await chunks.aclose()
        raise
    return Opened(chunks, begun)


def _broke_off(how: str) -> str:
    return f"The language model broke off in mid-answer: {how}"


def _says_something(chunk: ChatCompletionChunk) -> bool:
    if not chunk.choices:
        return False
    choice = chunk.choices[0]
    return bool(choice.finish_reason or choice.delta.content or choice.delta.tool_calls)
