"""The bundled models' answers and acts, asked of llama.cpp's own endpoint.

Its OpenAI endpoint runs a template engine over the conversation and a parser over every token, which take
time before the first token, and what the small models write of tools by themselves is not to be relied on.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

import httpx2
from openai.types.chat import ChatCompletionChunk

from models.errors import ModelAway, ModelFailed
from models.llm.acting import Acting
from models.llm.acts import Tool
from models.llm.brevity import Brevity
from models.llm.chatml import prompt, render
from models.llm.child import LlamaChild
from models.llm.chunks import completion_chunk, tool_call

LIMITS = httpx2.Timeout(None, connect=3.0)  # how long a token may take is the caller's to say
READ_DEADLINE_S = 30.0
PIECE = 64  # characters: some 15 tokens, 0.3 s of two cores
MOST_IN_PIECES = 800  # characters
# A history from which the beginning was cut is moved up, not read again. Only what is as it was for so many
# tokens: of shorter pieces, what stood before them elsewhere would tell.
CACHE = {"cache_prompt": True, "n_cache_reuse": 256}


async def chat(
    child: LlamaChild,
    params: Mapping[str, Any],
    *,
    acting: Acting | None = None,
    brevity: Brevity | None = None,
) -> AsyncGenerator[ChatCompletionChunk, None]:
    """Stream an answer to an OpenAI chat completion's parameters, or the call of a tool.

    `acting` chooses among the tools while the answer begins; without it they are left alone. `brevity` ends
    the answer early.
    Raises ModelFailed and httpx2.TransportError.
    """
    # What the pages say of the caller's words may stand behind them.
    last = next((one["role"] for one in reversed(params["messages"]) if one["role"] != "system"), "")
    if acting is None or not params.get("tools") or last != "user":
        async for chunk in _answer(child, params, brevity):
            yield chunk
        return
    afresh = copy.deepcopy(brevity)  # the answer that is given up for an act has been counted in `brevity`
    async with aclosing(_answer(child, params, brevity)) as answer:
        # The answer first: it is what the caller waits for most often. Both are read in the same batches.
        first = asyncio.ensure_future(anext(answer, None))
        try:
            tool = await acting.choose(params)
            if tool is None:
                if (begun := await first) is not None:
                    yield begun
                async for chunk in answer:
                    yield chunk
                return
        finally:
            first.cancel()
            with suppress(asyncio.CancelledError, ModelFailed, httpx2.TransportError):
                await first
    async with aclosing(_act(child, params, acting, tool, afresh)) as act:
        async for chunk in act:
            yield chunk


async def _act(
    child: LlamaChild, params: Mapping[str, Any], acting: Acting, tool: Tool, brevity: Brevity | None
) -> AsyncGenerator[ChatCompletionChunk, None]:
    """The call of the tool; where the caller hasn't said all it needs, a question for that."""
    arguments, ask = await acting.fill(params, tool)
    if ask:
        messages = [*params["messages"], {"role": "system", "content": ask}]
        async for chunk in _answer(child, {**params, "messages": messages}, brevity, begun=acting.asking):
            yield chunk
        return
    call = tool_call(tool.name, arguments)
    yield completion_chunk("bundled", params["model"], {"role": "assistant", "tool_calls": [call]})
    yield completion_chunk("bundled", params["model"], {}, finish_reason="tool_calls", tokens=(0, 0))


async def _answer(
    child: LlamaChild, params: Mapping[str, Any], brevity: Brevity | None, *, begun: str = ""
) -> AsyncGenerator[ChatCompletionChunk, None]:
    """`begun`: the words with which the answer begins."""
    request = {
        "prompt": prompt(params["messages"]) + begun,
        "n_predict": params.get("max_tokens", -1),
        "temperature": params.get("temperature", 0.0),
        "stream": True,
        **CACHE,
        **params.get("extra_body", {}),
    }
    async with child.http.stream("POST", f"{child.url}/completion", json=request, timeout=LIMITS) as answer:
        if answer.status_code == 503:
            raise ModelAway("The bundled language model is still loading.")
        if answer.status_code != 200:
            raise ModelFailed(f"The bundled language model answers HTTP {answer.status_code}.")
        if begun:
            yield _chunk(params["model"], {"content": brevity.take(begun) if brevity else begun})
        async for line in answer.aiter_lines():
            kind, _, data = line.partition(": ")
            if kind == "error":
                raise ModelFailed("The bundled language model failed.")
            if kind == "data":
                said = json.loads(data)
                if brevity is not None:
                    said = _brief(said, brevity)
                yield _chunk(params["model"], said)
                if said.get("stop"):
                    return  # which closes the response, and so stops the model


def _brief(said: Mapping[str, Any], brevity: Brevity) -> dict[str, Any]:
    """What the model said, as far as it is to be spoken, and with a stop where the answer is over."""
    text = brevity.take(said.get("content") or "")
    if said.get("stop"):
        text += brevity.finish(cut_off=said.get("stop_type") == "limit")
    return {**said, "content": text, "stop": said.get("stop") or brevity.over}


class SlotReader:
    """Has one call's slot read what comes before an answer, while the caller speaks.

    What differs from what the slot knows is rolled back to where it begins to.
    """

    def __init__(self, child: LlamaChild, slot: int) -> None:
        self._child = child
        self._slot = slot
        self._known: str | None = None  # what the slot has read for sure, and nothing behind it

    def forget(self) -> None:
        """The slot goes on with something else: an answer, or another primer."""
        self._known = None

    async def read(
        self,
        messages: Sequence[Mapping[str, Any]],
        words: str | None,
        *,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Read a conversation and the caller's `words` so far of the next turn; None where the conversation
        is whole: then up to the last token before the answer, which is evaluated with the answer's first.

        Piece by piece, as long as it is `wanted`: a request that is given up is worked on for up to a second.
        """
        if self._child.state != "ready":
            return
        text = prompt(messages)[:-1] if words is None else render(messages) + words
        known, self._known = self._known, ""
        # Only speed is lost if it fails: the answer then reads it all itself.
        with suppress(httpx2.HTTPError):
            for end in _pieces(text, "" if words is None or known is None else known):
                request = {"prompt": text[:end], "n_predict": 0, "id_slot": self._slot, **CACHE}
                await self._child.http.post(
                    f"{self._child.url}/completion", json=request, timeout=READ_DEADLINE_S
                )
                if not wanted():
                    break
            if self._known is not None:  # nothing else came meanwhile
                self._known = text[:end]


def _pieces(text: str, known: str) -> Iterator[int]:
    """Where each piece of what isn't known yet ends.

    A beginning alone has the slot forget what it has read behind it. So all is one piece where nothing is
    known for sure, and where much is new: then the history was cut, and is moved up.
    """
    at = len(os.path.commonprefix([known, text]))  # noqa: RUF071  # of any texts
    if known and len(text) - at <= MOST_IN_PIECES:
        while 0 < (at := text.find(" ", at + PIECE)) < len(text) - PIECE // 2:
            yield at
    yield len(text)


def _chunk(model: str, said: Mapping[str, Any]) -> ChatCompletionChunk:
    delta = {"content": said["content"]} if said.get("content") else {}
    if not said.get("stop"):
        return completion_chunk("bundled", model, delta)
    reason = "length" if said.get("stop_type") == "limit" else "stop"
    tokens = said.get("tokens_evaluated", 0), said.get("tokens_predicted", 0)
    cached = said.get("timings", {}).get("cache_n")
    return completion_chunk("bundled", model, delta, finish_reason=reason, tokens=tokens, cached=cached)
