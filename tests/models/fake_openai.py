"""A fake OpenAI-compatible server that answers by script, for what a 135M model can't be made to do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from config.llm import LlmSettings
from models.llm.language_model import Llm
from models.llm.probe import QUESTION
from tests.ollama_server import served


@dataclass(frozen=True)
class Say:
    words: tuple[str, ...]
    hang: bool = False  # after the words, never go on; without any, not even a header comes
    break_off: bool = False  # after the words, drop the connection


@dataclass(frozen=True)
class CallTool:
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refuse:
    status: int
    said: str = ""
    retry_after: str | None = None


@dataclass(frozen=True)
class Raw:
    """Events as they are."""

    data: list[str]
    head: bytes = b""
    line_end: bytes = b"\n"
    done: bool = True
    pause_s: float = 0.0  # between two

    @property
    def ends(self) -> bool:
        """Whether it says so, as some servers never do."""
        return any('"finish_reason": "' in data for data in self.data)


@dataclass(frozen=True)
class Strict:
    """Refused with `said` as long as it is asked in a way that it `refuses`, and then answered."""

    said: str
    refuses: Callable[[dict[str, Any]], bool]
    answer: Say


Step = Say | CallTool | Refuse | Raw | Strict
Messages = Sequence[dict[str, Any]]


class FakeOpenAI:
    """Each request takes the next step of the script; the last one repeats.

    With `script_of` there is a script for each conversation, or for each of its turns.
    """

    def __init__(self, *script: Step, script_of: Callable[[Messages], list[Step]] | None = None) -> None:
        self._script = list(script)
        self.script_of = script_of
        self.requests: list[dict[str, Any]] = []
        self.refuses_trials = False
        self.tells_ends = True
        self.refuses_models: Refuse | None = None
        self.looks = 0  # at its models
        self.app = FastAPI()
        self.app.add_api_route("/v1/models", self.models, methods=["GET"], response_model=None)
        self.app.add_api_route("/v1/chat/completions", self.complete, methods=["POST"], response_model=None)

    async def models(self) -> Response | dict[str, Any]:
        self.looks += 1
        if self.refuses_models:
            return _refused(self.refuses_models, "models")
        return {"object": "list", "data": [{"id": "scripted", "object": "model"}]}

    async def complete(self, request: Request) -> Response:
        asked = await request.json()
        asked_for = asked.get("max_tokens", asked.get("max_completion_tokens"))
        trial = asked_for == 1 or asked["messages"] == [QUESTION]  # which isn't in the script
        if trial and not self.refuses_trials:
            return StreamingResponse(self._events(Say(("Hm",))), media_type="text/event-stream")
        self.requests.append(asked)
        script = self.script_of(asked["messages"]) if self.script_of else self._script
        step = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(step, Say) and step.hang and not step.words:
            await asyncio.Event().wait()
        if isinstance(step, Strict):
            step = Refuse(400, step.said) if step.refuses(asked) else step.answer
        if isinstance(step, Refuse):
            return _refused(step, asked)
        if isinstance(step, Raw):
            return StreamingResponse(self._raw(step), media_type="text/event-stream")
        return StreamingResponse(self._events(step), media_type="text/event-stream")

    async def _raw(self, step: Raw) -> AsyncIterator[bytes]:
        yield step.head
        for data in [*step.data, "[DONE]"] if step.done else step.data:
            yield b"data: " + data.encode() + 2 * step.line_end
            await asyncio.sleep(step.pause_s)

    async def _events(self, step: Say | CallTool) -> AsyncIterator[bytes]:
        yield event({"role": "assistant", "content": ""})
        if isinstance(step, CallTool):
            function = {"name": step.name, "arguments": json.dumps(step.arguments)}
            call = {"index": 0, "id": "call_1", "type": "function", "function": function}
            yield event({"tool_calls": [call]})
        else:
            for word in step.words:
                yield event({"content": word})
            if step.hang:
                await asyncio.Event().wait()
            if step.break_off:
                raise ConnectionResetError("scripted")
        yield event({}, finish_reason="stop" if self.tells_ends else None)
        yield b"data: [DONE]\n\n"


def _refused(step: Refuse, asked: object) -> Response:
    # As some servers do, it repeats what it was asked.
    error = {"error": {"message": step.said or f"Refused: {asked}"}}
    headers = {"Retry-After": step.retry_after} if step.retry_after else None
    return JSONResponse(error, status_code=step.status, headers=headers)


@asynccontextmanager
async def scripted(
    *script: Step, tells_ends: bool = True, **settings: Any
) -> AsyncIterator[tuple[Llm, FakeOpenAI]]:
    """The language model that all calls share, with such a server behind it."""
    fake = FakeOpenAI(*script)
    fake.tells_ends = tells_ends
    async with served(fake.app) as url:
        llm = Llm(LlmSettings(url=f"{url}/v1", model="scripted", **settings), weights=None, environ={})
        try:
            await llm.start()
            yield llm, fake
        finally:
            await llm.close()


def event(delta: dict[str, Any], *, finish_reason: str | None = None) -> bytes:
    chunk = {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
