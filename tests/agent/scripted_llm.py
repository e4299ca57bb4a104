"""A fake language model: scripted replies, in scripted time, behind the real per-call service."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, cast

from openai.types.chat import ChatCompletionChunk

from config.llm import LlmSettings
from models.errors import ModelFailed
from models.llm.brief import Brief
from models.llm.chain import Chain
from models.llm.chunks import completion_chunk
from models.llm.endpoint import Endpoint
from models.llm.service import CallLlmService

if TYPE_CHECKING:
    from models.llm.language_model import Llm
    from tests.agent.conversation_kit import Outcome

FIRST_TOKEN_S = 0.05
TOKEN_S = 0.01
SLOW_S = 3.0  # longer than any caller's second thought in these conversations
THOUGHT_S = 1.0
USES = re.compile(r"!(\w+_\w+)(\{.*\})?")  # a tool


class ScriptedEndpoint(Endpoint):
    """`replies` go by the caller's last words: what is written, word by word, among which

    - "!fail" fails, "!hang" never goes on, and "!pause" takes three seconds, as "!slow" does;
    - "!role" is a chunk without words, "!end_call" calls that tool, and
      `!transfer_call{"to":"x"}` one with arguments;
    - "!think" is a second of thoughts.
    """

    kind = "openai"
    url = "http://fake"
    model = "fake"
    state = "ready"
    supports_tools = True
    why = "A test."

    def __init__(self, replies: dict[str, str], outcome: Outcome) -> None:
        super().__init__()
        self._replies = replies
        self._outcome = outcome

    def fit(self, params: Mapping[str, Any], *, keep: int, slot: int | None) -> dict[str, Any]:
        return {**params, "keep": keep}

    async def wait_ready(self, timeout_s: float) -> None:
        return

    async def close(self) -> None:
        return

    async def chat(
        self, params: Mapping[str, Any], *, acting: Any = None, brevity: Any = None
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        messages = params["messages"]
        # Without the persona's examples.
        said = [messages[0], *messages[params["keep"] :]]
        self._outcome.contexts.append([dict(message) for message in said])
        self._outcome.offered.append([tool["function"]["name"] for tool in params.get("tools", ())])
        self._outcome.beginning = [dict(message) for message in messages[: params["keep"]]]
        await asyncio.sleep(FIRST_TOKEN_S)
        for word in self._replies.get(messages[-1]["content"], "Okay then.").split():
            match word:
                case "!fail":
                    raise ModelFailed("the fake model was told to fail")
                case "!hang":
                    await asyncio.Event().wait()
                case "!pause" | "!slow":
                    await asyncio.sleep(SLOW_S)
                case "!role":
                    yield completion_chunk("fake", "fake", {"role": "assistant", "content": ""})
                case "!think":
                    yield completion_chunk("fake", "fake", {"reasoning": "Hm."})
                    await asyncio.sleep(THOUGHT_S)
                case tool if match := USES.fullmatch(tool):
                    function = {"name": match[1], "arguments": match[2] or "{}"}
                    call = {"index": 0, "id": "1", "type": "function", "function": function}
                    yield completion_chunk("fake", "fake", {"tool_calls": [call]})
                case _:
                    yield completion_chunk("fake", "fake", {"content": f"{word} "})
                    await asyncio.sleep(TOKEN_S)
        yield completion_chunk("fake", "fake", {}, finish_reason="stop")


class ScriptedLlm:
    def __init__(self, replies: dict[str, str], outcome: Outcome, completeness: Any) -> None:
        self.completeness = completeness
        self.settings = LlmSettings()
        self.endpoint = ScriptedEndpoint(replies, outcome)
        self.slots = _NoSlots()
        self.judges_itself = self.reads_along = False
        self.tools = any(USES.fullmatch(word) for reply in replies.values() for word in reply.split())
        self.accepting = True, ""

    def service(self, call_id: str, brief: Brief, **asks: Any) -> CallLlmService:
        return CallLlmService(cast("Llm", self), brief, call_id=call_id, **asks)

    def chain(self) -> Chain:
        return Chain([self.endpoint], self.settings)

    def acting(self, *_: Any) -> None:
        return None


class _NoSlots:
    def take(self) -> None:
        return None

    def give_back(self, slot: int) -> None:
        return
