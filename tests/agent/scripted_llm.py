"""A fake language model: scripted replies, in scripted time, behind the real per-call service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk

from config.settings import LlmSettings
from models.llm.brief import Brief
from models.llm.chunks import completion_chunk
from models.llm.endpoint import LlmEndpoint
from models.llm.service import CallLlmService

if TYPE_CHECKING:
    from models.llm.language_model import Llm
    from tests.agent.conversation_kit import Outcome

FIRST_TOKEN_S = 0.05
TOKEN_S = 0.01
SLOW_S = 3.0  # longer than any caller's second thought in these conversations


class ScriptedLlm:
    """`replies` go by the caller's last words; a reply of "!end_call" calls that tool, "!fail" fails,
    "!slow ..." takes three seconds more, and so does what stands behind " !pause "."""

    def __init__(self, replies: dict[str, str], outcome: Outcome, completeness: Any) -> None:
        self.completeness = completeness
        self._replies = replies
        self._outcome = outcome
        self.settings = LlmSettings()
        self.endpoint = LlmEndpoint(
            url="http://fake", model="fake", kind="openai", why="A test.", supports_tools=True
        )
        self.client = cast(AsyncOpenAI, None)
        self.slots = _NoSlots()
        self.judges_itself = self.reads_along = False
        self.tools = any(reply == "!end_call" for reply in replies.values())

    def service(self, call_id: str, brief: Brief) -> CallLlmService:
        return CallLlmService(cast("Llm", self), brief, call_id=call_id)

    def acting(self, *_: Any) -> None:
        return None

    def fit(self, params: dict[str, Any], *, slot: int | None, keep: int) -> dict[str, Any]:
        self._primer = keep
        return params

    async def wait_ready(self, timeout_s: float) -> None:
        return

    async def chat(
        self, params: dict[str, Any], acting: Any = None, brevity: Any = None
    ) -> AsyncIterator[ChatCompletionChunk]:
        messages = params["messages"]
        # Without the persona's examples.
        self._outcome.contexts.append([dict(message) for message in [messages[0], *messages[self._primer :]]])
        return self._stream(self._replies.get(messages[-1]["content"], "Okay then."))

    async def _stream(self, reply: str) -> AsyncIterator[ChatCompletionChunk]:
        await asyncio.sleep(FIRST_TOKEN_S)
        if reply.startswith("!slow "):
            await asyncio.sleep(SLOW_S)
            reply = reply.removeprefix("!slow ")
        if reply == "!fail":
            raise RuntimeError("the fake model was told to fail")
        if reply == "!end_call":
            function = {"name": "end_call", "arguments": "{}"}
            call = {"index": 0, "id": "1", "type": "function", "function": function}
            yield completion_chunk("fake", "fake", {"tool_calls": [call]})
            return
        for word in reply.split():
            if word == "!pause":
                await asyncio.sleep(SLOW_S)
                continue
            yield completion_chunk("fake", "fake", {"content": f"{word} "})
            await asyncio.sleep(TOKEN_S)
        yield completion_chunk("fake", "fake", {}, finish_reason="stop")


class _NoSlots:
    def take(self) -> None:
        return None

    def give_back(self, slot: int) -> None:
        return
