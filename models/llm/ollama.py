"""Ollama's documented HTTP API, as far as offhook uses it, through the `ollama` package.

The native `/api/chat` and not `/v1`, because only it takes `num_ctx` and `keep_alive`: Ollama loads a
model again when a request asks for another context size than the one it is loaded with.
Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import httpx
import httpx2
import ollama
from openai.types.chat import ChatCompletionChunk

from models.errors import ModelAway, ModelFailed, ModelOverloaded
from models.llm.chunks import completion_chunk
from models.llm.over_httpx2 import OverHttpx2
from models.llm.where import same_machine

FOREVER = -1  # keep_alive: never unload
CONNECT_S = 3.0
QUESTION_S = 5.0  # for what it answers from memory
PULL_STALL_S = 60.0  # layers can be gigabytes, but so long without any news is a stall
LATER_STATUS = frozenset({429, 502, 503, 504})


def named(model: str, names: Sequence[str]) -> str | None:
    """The name under which `names` has `model`; Ollama's tag is 'latest' where none is given."""
    wanted = (model,) if ":" in model.rpartition("/")[2] else (model, f"{model}:latest")
    return next((name for name in names if name in wanted), None)


class Ollama:
    """One server. Its methods raise ModelAway where it can't be reached or is too busy, and ModelFailed."""

    def __init__(self, url: str, http: httpx2.AsyncClient, *, api_key: str | None = None) -> None:
        """`url` is the server's root, without /api or /v1; `http` stays its owner's to close."""
        self.url = url.rstrip("/")
        self._client = ollama.AsyncClient(
            host=self.url,
            headers=_authorization(self.url, api_key),
            transport=OverHttpx2(http),
            timeout=httpx.Timeout(None, connect=CONNECT_S),
        )

    @property
    def fetched_by(self) -> str:
        """How the user fetches a model that this server doesn't have: the beginning of a command."""
        return "ollama pull" if same_machine(self.url) else "offhook models pull"

    async def models(self) -> list[str]:
        with self._told():
            async with asyncio.timeout(QUESTION_S):
                return [entry.model for entry in (await self._client.list()).models if entry.model]

    async def show(self, model: str) -> ollama.ShowResponse:
        with self._told():
            async with asyncio.timeout(QUESTION_S):
                return await self._client.show(model)

    async def running(self, model: str) -> ollama.ProcessResponse.Model | None:
        """How the model is loaded; None where it isn't."""
        with self._told():
            async with asyncio.timeout(QUESTION_S):
                loaded = (await self._client.ps()).models
        return next((one for one in loaded if model in (one.model, one.name)), None)

    async def load(self, model: str, *, num_ctx: int, timeout_s: float) -> None:
        """Load the model with this context size and keep it."""
        with self._told():
            async with asyncio.timeout(timeout_s):
                await self._client.generate(model, keep_alive=FOREVER, options={"num_ctx": num_ctx})

    async def pull(self, model: str) -> AsyncGenerator[ollama.ProgressResponse, None]:
        """Download a model. Raises ModelFailed with Ollama's own reason."""
        with self._told():
            progress = await self._client.pull(model, stream=True)
            while True:
                try:
                    async with asyncio.timeout(PULL_STALL_S):
                        line = await anext(progress)
                except StopAsyncIteration:
                    return
                yield line

    async def chat(self, request: Mapping[str, Any]) -> AsyncGenerator[ChatCompletionChunk, None]:
        """Stream an answer to what `chat_request` made, as chunks of an OpenAI chat completion."""
        calls = 0
        with self._told(private=True):
            answer = cast(AsyncIterator[ollama.ChatResponse], await self._client.chat(**request))
            async with aclosing(cast(AsyncGenerator[ollama.ChatResponse, None], answer)) as lines:
                async for line in lines:
                    model, message = line.model or "", line.message
                    for call in message.tool_calls or ():
                        yield completion_chunk(
                            "ollama", model, {"tool_calls": [openai_tool_call(call, calls)]}
                        )
                        calls += 1
                    if message.content:
                        yield completion_chunk("ollama", model, {"content": message.content})
                    if message.thinking:
                        yield completion_chunk("ollama", model, {"reasoning": message.thinking})
                    if line.done:
                        reason = "length" if line.done_reason == "length" else "stop"
                        tokens = line.prompt_eval_count or 0, line.eval_count or 0
                        yield completion_chunk("ollama", model, {}, finish_reason=reason, tokens=tokens)
                        return
        raise ModelFailed(f"Ollama at {self.url} broke off in mid-answer.")

    @contextmanager
    def _told(self, *, private: bool = False) -> Iterator[None]:
        """Has every failure be a ModelError; of a `private` request, one that doesn't repeat its content."""
        try:
            yield
        except ollama.ResponseError as error:
            status = error.status_code
            reason = f"HTTP {status}" if status > 0 else "it failed in mid-answer"
            busy = status in LATER_STATUS or (
                private and status == 500
            )  # outside of answers, 500 has a reason
            kind = ModelOverloaded if busy else ModelFailed
            raise kind(f"Ollama at {self.url}: {reason if private else error.error or reason}") from None
        except (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout):
            raise ModelAway(not_running(self.url)) from None
        except httpx.TransportError as error:
            raise ModelAway(
                f"Ollama at {self.url} broke the connection off: {type(error).__name__}."
            ) from None
        except TimeoutError:
            raise ModelAway(f"Ollama at {self.url} doesn't answer.") from None
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            # Of its parsers; their text holds what they read.
            raise ModelFailed(
                f"Ollama at {self.url} answers what isn't its API: {type(error).__name__}."
            ) from None


def not_running(url: str) -> str:
    """A sentence that says so of the Ollama at `url`, and what to do."""
    if same_machine(url):
        return f"Ollama isn't running at {url}: start it with 'ollama serve'."
    return f"Ollama at {url} can't be reached."


def _authorization(url: str, api_key: str | None) -> dict[str, str] | None:
    """The client leaves out a name and password that the URL has."""
    if api_key:
        return {"authorization": f"Bearer {api_key}"}
    parts = urlsplit(url)
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def openai_tool_call(call: ollama.Message.ToolCall, index: int) -> dict[str, Any]:
    """Ollama gives a call whole, its arguments as an object; OpenAI's are a string of JSON."""
    return {
        "index": index,
        "id": f"call_{index}",
        "type": "function",
        "function": {"name": call.function.name, "arguments": json.dumps(dict(call.function.arguments))},
    }


def chat_request(
    params: Mapping[str, Any], *, num_ctx: int, think: bool | str | None, max_tokens: int | None = None
) -> dict[str, Any]:
    """What the `ollama` client's `chat` takes, for the parameters of an OpenAI chat completion.

    `think` is left out where it is None: Ollama refuses it for models that can't think.
    """
    options = {"num_ctx": num_ctx, "num_predict": max_tokens or params["max_tokens"]}
    if (temperature := params.get("temperature")) is not None:
        options["temperature"] = temperature
    request: dict[str, Any] = {
        "model": params["model"],
        "messages": [ollama_message(message, params["messages"]) for message in params["messages"]],
        "stream": True,
        "keep_alive": FOREVER,
        "options": options,
    }
    if isinstance(params.get("tools"), list) and params["tools"]:
        request["tools"] = params["tools"]
    if schema := params.get("response_format"):
        request["format"] = schema["json_schema"]["schema"]
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
