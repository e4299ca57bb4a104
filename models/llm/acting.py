"""Asking the bundled model which tool a caller wants and with what arguments."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx2
from loguru import logger
from pydantic_core import from_json

from models.llm import acts, slots
from models.llm.act_examples import ASKING, FILLED
from models.llm.acts import ActExample, Tool
from models.llm.primers import Primers
from models.llm.understand import DEADLINE_S, Question

# Then it is an answer in words. A busy machine needs some seconds, in which the caller is told to wait: a
# wish that is talked past costs them more.
CHOICE_S = 8.0
FILL_S = 15.0
FILL_TOKENS = 160


class ActSlot:
    """The child's slot in which all calls choose: it knows which prefix has been read in it."""

    def __init__(self, primers: Primers, slot: int) -> None:
        self._child = primers.child
        self._slot = slot
        self._primers = primers
        self._turn = asyncio.Lock()
        self._holds = ""
        self._lives = self._child.restarts

    async def prime(self, prefix: str) -> None:
        """Read a prefix, so that no call waits for that. Does nothing where the model isn't there."""
        async with self._turn:
            await self._hold(prefix)

    async def ask(self, prefix: str, line: str, deadline_s: float, **how: Any) -> dict[str, Any] | None:
        """What the model makes of `line` behind the prefix; None where it doesn't answer in time."""
        request = {"prompt": prefix + line, "temperature": 0.0, "cache_prompt": True, "id_slot": self._slot}
        try:
            async with asyncio.timeout(deadline_s), self._turn:
                await self._hold(prefix)
                answer = await self._child.http.post(
                    f"{self._child.url}/completion", json=request | how, timeout=deadline_s
                )
                answer.raise_for_status()
                said: dict[str, Any] = answer.json()
                return said
        except (httpx2.HTTPError, TimeoutError, ValueError) as error:
            logger.info(f"No tool was chosen: {type(error).__name__}")
            return None

    async def _hold(self, prefix: str) -> None:
        if self._lives != self._child.restarts:  # a new process has an empty slot
            self._lives, self._holds = self._child.restarts, ""
        if self._holds != prefix:
            self._holds = ""
            await self._primers.prime(self._slot, prefix)
            self._holds = prefix


class Acting:
    """One call's choices.

    `language` is what the caller speaks, a BCP 47 tag; it may change in the call. `primer` are the messages
    with which prompts begin: what is said in its examples nobody said in the call.
    """

    def __init__(
        self,
        slot: ActSlot,
        *,
        language: str = "en",
        examples: Sequence[ActExample] = (),
        primer: Sequence[Mapping[str, Any]] = (),
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.language = language
        self._slot = slot
        self._examples = tuple(examples)
        self._primer = list(primer)
        self._now = now
        self._choosing: tuple[str, asyncio.Task[Tool | None]] | None = None
        self._awaited = 0  # by how many answers

    @property
    def asking(self) -> str:
        """How a question for what a tool is missing begins; "" in a language that code doesn't know."""
        return ASKING.get(self.language.partition("-")[0], "")

    async def prime(self, tools: Sequence[Mapping[str, Any]]) -> None:
        """Have the tools, as OpenAI describes them, read before the first call."""
        if any(acts.has_arguments(tool) for tool in acts.tools_of(tools)):
            await self._slot.prime(FILLED)
        await self._slot.prime(self.beginning(tools))

    def beginning(self, tools: Sequence[Mapping[str, Any]]) -> str:
        """What the slot knows before every question about these tools, as OpenAI describes them."""
        return self._prefix(acts.tools_of(tools))

    async def learn(self, lesson: str) -> None:
        """Have what questions of another kind begin with read before the first call."""
        await self._slot.prime(FILLED)
        await self._slot.prime(lesson)

    async def read_ahead(self, params: Mapping[str, Any], words: str = "") -> None:
        """Have the slot read the call and what the caller has said so far of the next turn."""
        tools = acts.tools_of(params.get("tools"))
        messages = [*self._call(params), {"role": "user", "content": words}]
        if any(tool.name != acts.END_CALL for tool in tools):  # that one is seldom asked about
            await self._ask(tools, acts.asking(acts.last_said(messages)), CHOICE_S, n_predict=0)

    def foresee(self, params: Mapping[str, Any], words: str) -> None:
        """Begin to choose, for a turn of `words` that may be over, unless an answer waits for another."""
        tools = acts.tools_of(params.get("tools"))
        if tools and not self._awaited and not acts.out_of_question(tools, words, self.language):
            messages = [*params["messages"], {"role": "user", "content": words}]
            self._choice({**params, "messages": messages})

    async def choose(self, params: Mapping[str, Any]) -> Tool | None:
        """The tool that the caller's last words ask for; None is an answer in words."""
        words = acts.last_words(params["messages"])
        if acts.out_of_question(acts.tools_of(params["tools"]), words, self.language):
            return None
        choosing = self._choice(params)
        self._awaited += 1
        try:
            await asyncio.wait({choosing})
        finally:
            self._awaited -= 1
        return None if choosing.cancelled() else choosing.result()

    async def close(self) -> None:
        if self._choosing is not None:
            self._choosing[1].cancel()
            await asyncio.wait({self._choosing[1]})
            self._choosing = None

    def _choice(self, params: Mapping[str, Any]) -> asyncio.Task[Tool | None]:
        """The choice for these words, begun only once: a speculation and what it becomes have the same."""
        messages = self._call(params)
        said = acts.question(messages)
        if self._choosing is None or self._choosing[0] != said:
            if self._choosing is not None:
                self._choosing[1].cancel()
            line, words = acts.asked(acts.last_said(messages)), acts.last_words(messages)
            choosing = asyncio.create_task(
                self._choose(acts.tools_of(params["tools"]), line, words), name="llm-act"
            )
            self._choosing = said, choosing
        return self._choosing[1]

    def _call(self, params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """What was said in the call itself."""
        messages, length = list(params["messages"]), len(self._primer)
        return messages[length:] if messages[:length] == self._primer else messages

    async def _choose(self, tools: Sequence[Tool], line: str, words: str) -> Tool | None:
        said = await self._ask(tools, line, CHOICE_S, n_predict=1, n_probs=acts.TOP_TOKENS)
        if said is None or (probability := acts.wanted(said)) < acts.THRESHOLD:
            return None
        said = await self._ask(tools, line, CHOICE_S, n_predict=16, grammar=acts.grammar(tools))
        name = said["content"].strip() if said is not None else ""
        tool = next((tool for tool in tools if tool.name == name), None)
        return acts.chosen(tool, probability, words, self.language)

    async def ask(self, question: Question) -> str:
        """What the model makes of a question of its own kind; "" where it doesn't answer in time."""
        said = await self._slot.ask(question.prefix, question.line, DEADLINE_S, **question.how)
        return str(said["content"]) if said is not None else ""

    async def fill(self, params: Mapping[str, Any], tool: Tool) -> tuple[dict[str, Any], str]:
        """The tool's arguments, and what to instruct the model to ask for where required ones are missing."""
        messages = self._call(params)[-acts.FILL_TURNS :]
        turns, now = acts.caller_turns(messages), self._now()
        values = slots.spotted(slots.typed(tool.parameters), turns, language=self.language, now=now)
        unread = slots.without(tool.parameters, values)
        if unread["properties"]:
            line = acts.fill(acts.question(messages, turns=acts.FILL_TURNS), tool)
            said = await self._slot.ask(
                FILLED, line, FILL_S, n_predict=FILL_TOKENS, json_schema=slots.copies(unread)
            )
            copied = _object(said["content"] if said is not None else "")
            values |= slots.arguments(copied, unread, turns, language=self.language, now=now)
        missing = slots.missing(values, tool.parameters)
        return values, acts.ask_for(tool, missing) if missing else ""

    def _prefix(self, tools: Sequence[Tool]) -> str:
        return acts.prefix(tools, self.language, self._examples)

    async def _ask(
        self, tools: Sequence[Tool], line: str, deadline_s: float, **how: Any
    ) -> dict[str, Any] | None:
        return await self._slot.ask(self._prefix(tools), line, deadline_s, **how)


def _object(text: str) -> dict[str, Any]:
    try:
        read = from_json(text, allow_partial="trailing-strings")  # it may be cut off
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
