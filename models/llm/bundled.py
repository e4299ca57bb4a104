"""The bundled models' answers and acts, asked of llama.cpp's own endpoint.

Its OpenAI endpoint runs a template engine over the conversation and a parser over every token, which take
time before the first token, and what the small models write of tools by themselves is not to be relied on.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
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
    if acting is None or not params.get("tools") or params["messages"][-1]["role"] != "user":
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
        async for chunk in _answer(child, {**params, "messages": messages}, brevity):
            yield chunk
        return
    call = tool_call(tool.name, arguments)
    yield completion_chunk("bundled", params["model"], {"role": "assistant", "tool_calls": [call]})
    yield completion_chunk("bundled", params["model"], {}, finish_reason="tool_calls", tokens=(0, 0))


async def _answer(
    child: LlamaChild, params: Mapping[str, Any], brevity: Brevity | None
) -> AsyncGenerator[ChatCompletionChunk, None]:
    request = {
        "prompt": prompt(params["messages"]),
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


async def read_ahead(
    child: LlamaChild, messages: Sequence[Mapping[str, Any]], words: str, *, slot: int, over: bool = False
) -> None:
    """Have `slot` read a conversation and the caller's words so far, while the caller speaks.

    `over` where these may be all: then up to where the answer begins. What differs from what the slot knows
    is rolled back to where it begins to. A request that is cancelled leaves what it has read by then.
    """
    if child.state != "ready":
        return
    said = {"role": "user", "content": words}
    text = prompt([*messages, said]) if over else render(messages) + words
    request = {"prompt": text, "n_predict": 0, "id_slot": slot, **CACHE}
    # Only speed is lost if it fails: the answer then reads it all itself.
    with suppress(httpx2.HTTPError):
        await child.http.post(f"{child.url}/completion", json=request, timeout=READ_DEADLINE_S)


def _chunk(model: str, said: Mapping[str, Any]) -> ChatCompletionChunk:
    delta = {"content": said["content"]} if said.get("content") else {}
    if not said.get("stop"):
        return completion_chunk("bundled", model, delta)
    reason = "length" if said.get("stop_type") == "limit" else "stop"
    tokens = said.get("tokens_evaluated", 0), said.get("tokens_predicted", 0)
    cached = said.get("timings", {}).get("cache_n")
    return completion_chunk("bundled", model, delta, finish_reason=reason, tokens=tokens, cached=cached)
