"""Who answers one caller, and who does where that fails."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from loguru import logger
from openai.types.chat import ChatCompletionChunk

from config.llm import LlmSettings
from models.errors import ModelFailed, ModelOverloaded
from models.llm.acting import Acting
from models.llm.brevity import Brevity
from models.llm.chunks import completion_chunk
from models.llm.clean import Cleaner, speakable
from models.llm.cleaned import cleaned
from models.llm.endpoint import Endpoint
from models.llm.stream import opened

ATTEMPTS = 2


class Chain:
    """One call's. It begins with the first endpoint that is well and has room.

    One that fails is left for the rest of the call: a caller isn't kept waiting twice, nor handed to and fro.
    The next call begins with the first again. `close` it, so that it counts no longer.
    """

    def __init__(self, endpoints: Sequence[Endpoint], settings: LlmSettings) -> None:
        """`endpoints`, the best first, may grow."""
        self._endpoints = endpoints
        self._settings = settings
        well = [one for one in endpoints if one.state == "ready"]
        roomy = [one for one in well if not one.full]
        self._first = next(iter((*roomy, *well, *endpoints)), None)
        self._left: set[Endpoint] = set()
        self._counted: Endpoint | None = None
        self._said = False
        self._count(self._first)

    @property
    def current(self) -> Endpoint:
        """Who will be asked first. Raises ModelFailed where nobody is there."""
        return self._candidates()[0]

    def close(self) -> None:
        self._count(None)

    async def answer(
        self,
        params: Mapping[str, Any],
        *,
        keep: int,
        slot: int | None = None,
        acting: Acting | None = None,
        brevity: Callable[[], Brevity] | None = None,
        again: str = "",
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """Stream an answer to an OpenAI chat completion's parameters, whoever gives it.

        An endpoint that is late or fails before its first token is left to the next; once words were said,
        nothing is asked again. One that says nothing at all is asked a second time. `again` is said where
        that was in vain, or where the rest of an answer is lost; without it that is a failure.
        Raises ModelFailed, ModelLate among them.
        """
        self._said = False
        for attempt in range(ATTEMPTS):
            try:
                async with aclosing(self._asked(params, keep, slot, acting, brevity)) as chunks:
                    async for chunk in chunks:
                        self._said = self._said or _counts(chunk)
                        yield chunk
            except ModelFailed as error:
                if not (self._said and again):
                    raise
                # Half an answer is no reason to hang up: the caller asks again, perhaps of another model.
                logger.warning(f"An answer was lost: {error}")
                yield completion_chunk("lost", "", {"content": f" {again}"})
                return
            if self._said:
                return
            logger.info(f"The language model said nothing, {attempt + 1} of {ATTEMPTS} times.")
        if not again:
            raise ModelFailed("The language model said nothing.")
        yield completion_chunk("lost", "", {"content": again})

    async def _asked(
        self,
        params: Mapping[str, Any],
        keep: int,
        slot: int | None,
        acting: Acting | None,
        brevity: Callable[[], Brevity] | None,
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """The answer of whoever gives one."""
        candidates = self._candidates()
        for endpoint in candidates:
            last = endpoint is candidates[-1]
            patience_s = self._settings.first_token_timeout_s
            if not last:
                patience_s = min(patience_s, self._settings.fallback_after_s)
            fitted = endpoint.fit(params, keep=keep, slot=slot)
            asked_at = time.monotonic()
            endpoint.awaited.append(asked_at)
            try:
                begun = await opened(
                    partial(self._begin, endpoint, fitted, acting, brevity),
                    timeout_s=patience_s,
                    again=last,
                    wait_ready=endpoint.wait_ready,
                )
            except ModelFailed as error:
                endpoint.failed(error)
                if last:
                    raise
                self._leave(endpoint, error)
                continue
            finally:
                endpoint.awaited.remove(asked_at)
            async with aclosing(begun.rest(gap_s=self._settings.first_token_timeout_s)) as rest:
                try:
                    async for chunk in rest:
                        yield chunk
                except ModelFailed as error:
                    endpoint.failed(error)
                    if not last:
                        self._leave(endpoint, error)
                    raise
            return

    def _begin(
        self,
        endpoint: Endpoint,
        params: dict[str, Any],
        acting: Acting | None,
        brevity: Callable[[], Brevity] | None,
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        tools = [tool["function"]["name"] for tool in params.get("tools") or ()]
        cleaner = Cleaner(tools, thinks_first=endpoint.thinks_first)
        stream = endpoint.chat(params, acting=acting, brevity=brevity() if brevity else None)
        return cleaned(stream, cleaner, tools)

    def _candidates(self) -> list[Endpoint]:
        """Those from the first on that haven't been left, the well ones if there are any."""
        if self._first is None:
            raise ModelFailed("No language model is there.")
        later = list(self._endpoints)[list(self._endpoints).index(self._first) :]
        others = [one for one in later if one not in self._left] or later[-1:]
        return [one for one in others if one.state == "ready"] or others

    def _leave(self, endpoint: Endpoint, error: ModelFailed) -> None:
        logger.warning(f"The next language model answers: {error}")
        if isinstance(error, ModelOverloaded):
            return  # it may have room for the next turn
        self._left.add(endpoint)
        self._count(next(iter(self._candidates()), None))

    def _count(self, endpoint: Endpoint | None) -> None:
        if self._counted is not None:
            self._counted.calls -= 1
        if endpoint is not None:
            endpoint.calls += 1
        self._counted = endpoint


def _counts(chunk: ChatCompletionChunk) -> bool:
    """Whether it says or does anything."""
    if not chunk.choices:
        return False
    delta = chunk.choices[0].delta
    return bool(delta.tool_calls) or speakable(delta.content or "")
