"""The bundled model's answers and acts, asked of llama.cpp's own endpoint.

Its OpenAI endpoint runs a template engine over the conversation and a parser over every token, which take
time before the first token, and what the small models write of tools by themselves is not to be relied on.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import Any

import httpx2
from openai.types.chat import ChatCompletionChunk

from models.errors import ModelAway, ModelFailed
from models.llm.acting import Acting
from models.llm.acts import Tool
from models.llm.chatml import prompt
from models.llm.child import LlamaChild
from models.llm.chunks import completion_chunk

LIMITS = httpx2.Timeout(None, connect=3.0)  # how long a token may take is the caller's to say


async def chat(
    child: LlamaChild, params: Mapping[str, Any], acting: Acting | None = None
) -> AsyncGenerator[ChatCompletionChunk, None]:
    """Stream an answer to an OpenAI chat completion's parameters, or the call of a tool.

    `acting` chooses among the tools while the answer begins; without it they are left alone.
    Raises ModelFailed and httpx2.TransportError.
    """
    if acting is None or not params.get("tools") or params["messages"][-1]["role"] != "user":
        async for chunk in _answer(child, params):
            yield chunk
        return
    async with aclosing(_answer(child, params)) as answer:
        # The answer first: it is what the caller waits for most often. Both are read in the same batches.
        first = asyncio.ensure_future(anext(answer, None))
        try:
            tool = await acting.choose(params)
            if tool is None:
                if (chunk := await first) is not None:
                    yield chunk
                async for chunk in answer:
                    yield chunk
                return
        finally:
            first.cancel()
            with suppress(asyncio.CancelledError, ModelFailed, httpx2.TransportError):
                await first
    async with aclosing(_act(child, params, acting, tool)) as act:
        async for chunk in act:
            yield chunk


async def _act(
    child: LlamaChild, params: Mapping[str, Any], acting: Acting, tool: Tool
) -> AsyncGenerator[ChatCompletionChunk, None]:
    """The call of the tool; where the caller hasn't said all it needs, a question for that."""
    arguments, ask = await acting.fill(params, tool)
    if ask:
        messages = [*params["messages"], {"role": "system", "content": ask}]
        async for chunk in _answer(child, {**params, "messages": messages}):
            yield chunk
        return
    call = {
        "index": 0,
        "id": f"call_{secrets.token_hex(8)}",
        "type": "function",
        "function": {"name": tool.name, "arguments": json.dumps(arguments, ensure_ascii=False)},
    }
    yield completion_chunk("bundled", params["model"], {"role": "assistant", "tool_calls": [call]})
    yield completion_chunk("bundled", params["model"], {}, finish_reason="tool_calls", tokens=(0, 0))


async def _answer(child: LlamaChild, params: Mapping[str, Any]) -> AsyncGenerator[ChatCompletionChunk, None]:
    request = {
        "prompt": prompt(params["messages"]),
        "n_predict": params.get("max_tokens", -1),
        "temperature": params.get("temperature", 0.0),
        "stream": True,
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
                yield _chunk(params["model"], json.loads(data))


def _chunk(model: str, said: Mapping[str, Any]) -> ChatCompletionChunk:
    delta = {"content": said["content"]} if said.get("content") else {}
    if not said.get("stop"):
        return completion_chunk("bundled", model, delta)
    reason = "length" if said.get("stop_type") == "limit" else "stop"
    tokens = said.get("tokens_evaluated", 0), said.get("tokens_predicted", 0)
    return completion_chunk("bundled", model, delta, finish_reason=reason, tokens=tokens)
