"""The bundled models' answers, asked of llama.cpp's own endpoint.

Its OpenAI endpoint runs a template engine over the conversation and a parser over every token, which take
time before the first token and which a model without tools has no use for.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import httpx2
from openai.types.chat import ChatCompletionChunk

from models.errors import ModelAway, ModelFailed
from models.llm.chatml import prompt, render
from models.llm.child import LlamaChild
from models.llm.chunks import completion_chunk

LIMITS = httpx2.Timeout(None, connect=3.0)  # how long a token may take is the caller's to say
READ_DEADLINE_S = 30.0
# A history from which the beginning was cut is moved up, not read again, where it is as it was for so long.
CACHE = {"cache_prompt": True, "n_cache_reuse": 32}


async def chat(child: LlamaChild, params: Mapping[str, Any]) -> AsyncGenerator[ChatCompletionChunk, None]:
    """Stream an answer to an OpenAI chat completion's parameters.

    Raises ModelFailed and httpx2.TransportError.
    """
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
                yield _chunk(params["model"], json.loads(data))


async def read_ahead(
    child: LlamaChild, messages: Sequence[Mapping[str, Any]], words: str, *, slot: int
) -> None:
    """Have `slot` read a conversation and the caller's words so far, while the caller speaks.

    What differs from what the slot knows is rolled back to where it begins to. A request that is cancelled
    leaves what it has read by then.
    """
    if child.state != "ready":
        return
    request = {"prompt": render(messages) + words, "n_predict": 0, "id_slot": slot, **CACHE}
    # Only speed is lost if it fails: the answer then reads it all itself.
    with contextlib.suppress(httpx2.HTTPError):
        await child.http.post(f"{child.url}/completion", json=request, timeout=READ_DEADLINE_S)


def _chunk(model: str, said: Mapping[str, Any]) -> ChatCompletionChunk:
    delta = {"content": said["content"]} if said.get("content") else {}
    if not said.get("stop"):
        return completion_chunk("bundled", model, delta)
    reason = "length" if said.get("stop_type") == "limit" else "stop"
    tokens = said.get("tokens_evaluated", 0), said.get("tokens_predicted", 0)
    cached = said.get("timings", {}).get("cache_n")
    return completion_chunk("bundled", model, delta, finish_reason=reason, tokens=tokens, cached=cached)
