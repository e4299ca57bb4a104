"""Ollama's documented HTTP API, as far as offhook uses it.

The native `/api/chat` and not `/v1`, because only it takes `num_ctx` and `keep_alive`: Ollama loads a
model again when a request asks for another context size than the one it is loaded with.
Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
from openai.types.chat import ChatCompletionChunk

from models.errors import ModelAway, ModelFailed
from models.llm.chunks import completion_chunk

FOREVER = -1  # keep_alive: never unload


@dataclass(frozen=True)
class PullProgress:
    """`total` is 0 where Ollama doesn't tell a size."""

    status: str
    done: int
    total: int


def named(model: str, names: Sequence[str]) -> str | None:
    """The name under which `names` has `model`; Ollama's tag is 'latest' where none is given."""
    wanted = (model,) if ":" in model.rpartition("/")[2] else (model, f"{model}:latest")
    return next((name for name in names if name in wanted), None)


class Ollama:
    def __init__(self, url: str, http: httpx2.AsyncClient) -> None:
        """`url` is the server's root, without /api or /v1."""
        self.url = url.rstrip("/")
        self._http = http

    async def version(self, *, timeout_s: float) -> str | None:
        """None if no Ollama answers there."""
        try:
            answer = await self._http.get(f"{self.url}/api/version", timeout=timeout_s)
            version = answer.json()["version"] if answer.status_code == 200 else None
        except (httpx2.TransportError, ValueError, KeyError, TypeError):
            return None
        return version if isinstance(version, str) else None

    async def models(self, *, timeout_s: float = 3.0) -> list[str]:
        tags = await self._ask("GET", "/api/tags", None, timeout_s)
        return [str(model["name"]) for model in tags.get("models", [])]

    async def capabilities(self, model: str, *, timeout_s: float = 3.0) -> frozenset[str]:
        """What the model can do: 'completion', 'tools', 'thinking', ..."""
        shown = await self._ask("POST", "/api/show", {"model": model}, timeout_s)
        return frozenset(shown.get("capabilities") or ())

    async def load(self, model: str, *, num_ctx: int, timeout_s: float) -> None:
        """Load the model with this context size and keep it."""
        request = {"model": model, "keep_alive": FOREVER, "options": {"num_ctx": num_ctx}, "stream": False}
        await self._ask("POST", "/api/generate", request, timeout_s)

    async def device(self, model: str, *, timeout_s: float = 3.0) -> str:
        """What a loaded model runs on: cpu, gpu, or both; empty where Ollama doesn't tell."""
        try:
            running = await self._ask("GET", "/api/ps", None, timeout_s)
        except ModelFailed:
            return ""
        for loaded in running.get("models", []):
            if loaded.get("name") == model and "size_vram" in loaded:
                on_gpu = loaded["size_vram"]
                return "cpu" if not on_gpu else "gpu" if on_gpu >= loaded.get("size", 0) else "cpu and gpu"
        return ""

    async def pull(self, model: str) -> AsyncGenerator[PullProgress, None]:
        """Download a model. Raises ModelFailed with Ollama's own reason."""
        # Layers can be gigabytes, but a minute without any news is a stall.
        async for line in self._stream("/api/pull", {"model": model, "stream": True}, httpx2.Timeout(60.0)):
            if "error" in line:
                raise ModelFailed(f"Ollama at {self.url}: {line['error']}")
            yield PullProgress(
                str(line.get("status", "")), int(line.get("completed", 0)), int(line.get("total", 0))
            )

    async def chat(self, request: Mapping[str, Any]) -> AsyncGenerator[ChatCompletionChunk, None]:
        """Stream an answer, as chunks of an OpenAI chat completion."""
        calls = 0
        async for line in self._stream("/api/chat", request, httpx2.Timeout(None, connect=3.0)):
            if "error" in line:  # what it says may repeat what the caller said
                raise ModelFailed(f"Ollama at {self.url} failed in mid-answer.")
            model, message = line.get("model", ""), line.get("message", {})
            for call in message.get("tool_calls") or ():
                yield completion_chunk("ollama", model, {"tool_calls": [openai_tool_call(call, calls)]})
                calls += 1
            if message.get("content"):
                yield completion_chunk("ollama", model, {"content": message["content"]})
            if line.get("done"):
                reason = "length" if line.get("done_reason") == "length" else "stop"
                tokens = line.get("prompt_eval_count", 0), line.get("eval_count", 0)
                yield completion_chunk("ollama", model, {}, finish_reason=reason, tokens=tokens)

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, timeout_s: float
    ) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, self.url + path, json=body, timeout=timeout_s)
        except httpx2.TransportError as error:
            raise ModelAway(f"Ollama at {self.url} doesn't answer: {type(error).__name__}.") from error
        if answer.status_code != 200:
            raise self._refusal(answer.status_code, _reason(answer))
        result: dict[str, Any] = answer.json()
        return result

    async def _stream(
        self, path: str, body: Mapping[str, Any], limits: httpx2.Timeout
    ) -> AsyncGenerator[dict[str, Any], None]:
        try:
            async with self._http.stream("POST", self.url + path, json=body, timeout=limits) as answer:
                if answer.status_code != 200:  # the reason may repeat what the caller said
                    raise self._refusal(answer.status_code, f"HTTP {answer.status_code}")
                async for text in answer.aiter_lines():
                    yield json.loads(text)
        except httpx2.TransportError as error:
            raise ModelAway(f"Ollama at {self.url} broke off: {type(error).__name__}.") from error

    def _refusal(self, status: int, reason: str) -> ModelFailed:
        return (ModelAway if status == 503 else ModelFailed)(f"Ollama at {self.url}: {reason}")


def _reason(answer: httpx2.Response) -> str:
    """Why Ollama refused a request that holds nothing of a conversation."""
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"


def openai_tool_call(call: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Ollama gives a call whole, its arguments as an object; OpenAI's are a string of JSON."""
    function = call.get("function", {})
    return {
        "index": index,
        "id": call.get("id") or f"call_{index}",
        "type": "function",
        "function": {
            "name": function.get("name", ""),
            "arguments": json.dumps(function.get("arguments") or {}),
        },
    }


def chat_request(
    params: Mapping[str, Any], *, num_ctx: int, max_tokens: int, temperature: float, think: bool | None
) -> dict[str, Any]:
    """Ollama's /api/chat request for the parameters of an OpenAI chat completion.

    `think` is left out where it is None: Ollama refuses it for models that can't think.
    """
    request: dict[str, Any] = {
        "model": params["model"],
        "messages": [ollama_message(message, params["messages"]) for message in params["messages"]],
        "stream": True,
        "keep_alive": FOREVER,
        "options": {"num_ctx": num_ctx, "num_predict": max_tokens, "temperature": temperature},
    }
    if isinstance(params.get("tools"), list) and params["tools"]:
        request["tools"] = params["tools"]
    if think is not None:
        request["think"] = think
    return request


def ollama_message(message: Mapping[str, Any], conversation: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    content = message.get("content") or ""
    if not isinstance(content, str):
        content = " ".join(str(part.get("text", "")) for part in content)
    result: dict[str, Any] = {"role": message["role"], "content": content}
    if message.get("tool_calls"):
        result["tool_calls"] = [
            {
                "function": {
                    "name": call["function"]["name"],
                    "arguments": json.loads(call["function"]["arguments"] or "{}"),
                }
            }
            for call in message["tool_calls"]
        ]
    if message["role"] == "tool":
        result["tool_name"] = tool_name(str(message.get("tool_call_id", "")), conversation)
    return result


def tool_name(call_id: str, conversation: Sequence[Mapping[str, Any]]) -> str:
    """The tool that a result answers: OpenAI names the call, Ollama the tool."""
    for message in conversation:
        for call in message.get("tool_calls") or ():
            if call.get("id") == call_id:
                return str(call["function"]["name"])
    return ""
