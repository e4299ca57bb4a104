"""Carries a flow out in one conversation, in the place of the language model's own answers."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from openai.types.chat import ChatCompletionChunk

from agent.flows.hints import COMPARED, LIKELY, expected
from agent.flows.languages import NONE, lexicon
from agent.flows.machine import FAILED, FlowMachine, Next
from agent.flows.reading import TurnReader
from agent.flows.rewording import Rewording
from agent.flows.slots import Slots
from agent.flows.state import SECRET, Acted, Answer, Call, Command, Reading, Result, Say, State, Turn
from agent.flows.understanding import Understanding
from agent.slots import as_json
from agent.slots.words import code_of
from agent.tools.tool import Arguments, CallFacts, Outcome
from config.persona import Persona
from models.errors import ModelFailed
from models.expected import Expected
from models.llm import spoken
from models.llm.chunks import completion_chunk

Message = Mapping[str, Any]
Chunks = AsyncGenerator[ChatCompletionChunk, None]
Run = Callable[[str, Arguments, Arguments], Awaitable[Outcome]]  # given arguments, and as they are shown
Likely = Callable[[str, str], Awaitable[Sequence[str]]]  # of a tool, for an argument
NAME = "flow"  # of the model that answers
MOST_CHARACTERS = 2000  # of what an act brought

logger = logging.getLogger("offhook.call")


class Asks(Protocol):
    """The language model, as far as a flow asks it."""

    async def choose(self, lesson: str, line: str, options: Sequence[str]) -> str | None: ...
    async def copy(self, line: str, what: str, fields: Sequence[str]) -> Mapping[str, str]: ...
    async def reword(self, line: str, text: str) -> str: ...


class FlowEngine:
    """One persona's, in one conversation.

    Where the conversation stands follows from what the caller has said by now, as the context has it: each
    turn has its state, made from the state of the turns before it. So what is made ahead, or is taken back,
    moves nothing. Acts alone aren't taken back; they are begun once the turn stands, and each only once.
    """

    def __init__(
        self,
        persona: Persona,
        *,
        asks: Asks,
        run: Run,
        likely: Likely,
        call: CallFacts,
        now: Callable[[], datetime] = datetime.now,
        begun: bool = False,
    ) -> None:
        """`run` calls a tool, and `likely` tells what callers may say to give it an argument; `begun`: the
        conversation has had turns before this persona's."""
        assert persona.flow is not None
        self._language = persona.language
        self._flow = persona.flow.model_copy(update={"phrases": persona.flow_phrases})
        self._slots = Slots(self._flow, persona.language)
        words = lexicon(persona.language)
        self._reader = TurnReader(self._flow, self._slots, words, persona.transfer_to)
        self._understanding = Understanding(self._slots, asks, agrees=words is NONE)
        self._rewording = Rewording(asks, persona.language) if self._flow.reword else None
        self._machine = FlowMachine(self._flow, self._slots.say, facts_of(call))
        self._run = run
        self._likely = likely
        self._now = now
        self._states: dict[tuple[str, ...], list[State]] = {} if begun else {(): [self._machine.begin()]}
        self._calls: dict[str, Call] = {}  # by their keys
        self._acts: dict[str, asyncio.Task[Result]] = {}
        self._likely_words: dict[tuple[str, str], asyncio.Task[Sequence[str]]] = {}  # a tool's argument

    @property
    def tools(self) -> set[str]:
        """Those that it calls by itself."""
        return self._flow.acts

    def expected(self, messages: Sequence[Message]) -> Expected:
        """What is likely said next, as a recognizer is told it."""
        state = self._state(messages)
        told = expected(
            self._flow, state, self._language, partial(self._meaning, state), self._likely_in(state)
        )
        return replace(told, wanted=partial(self._is_wanted, state))

    def _likely_in(self, state: State) -> Sequence[str]:
        """What may be said for the slot that is asked for, as the tool knows that is given it; nothing as
        long as it looks that up."""
        fetched = [self._likely_words.get(one) for one in self._given(state)]
        return next((task.result() for task in fetched if task and task.done() and not task.exception()), ())

    def _look_up_likely(self, state: State) -> None:
        for tool, argument in self._given(state):
            if (tool, argument) not in self._likely_words:
                self._likely_words[tool, argument] = asyncio.ensure_future(self._likely(tool, argument))

    def _given(self, state: State) -> Iterator[tuple[str, str]]:
        """The tools of this task, and the argument of each, that are given the slot that is asked for."""
        if state.waits == "slot" and self._flow.slots[state.asked].kind in LIKELY:
            for step in self._flow.tasks[state.task].steps.values():
                for argument, text in step.arguments.items():
                    if step.act and step.reads and text == f"{{{state.asked}}}":
                        yield step.act, argument

    def _is_wanted(self, state: State, words: str) -> bool:
        """Whether they give this flow something to go on with, or numbers, where such are asked for."""
        reading = self._by_code(state, words)
        counts = state.waits == "slot" and self._flow.slots[state.asked].kind in COMPARED
        numbers = counts and any(map(str.isdigit, spoken.fold(words, code_of(self._language))))
        return bool(reading.task or reading.values or reading.named or numbers)

    def _meaning(self, state: State, words: str) -> Hashable | None:
        """What a recognizer may compare hearings by: the value that was asked for, or what they are else."""
        reading = self._by_code(state, words)
        wrong = reading.wrong.get(state.asked)
        kind = self._flow.slots[state.asked].kind
        if not reading.sure or (wrong and kind in ("phone", "date")):
            return None  # a digit that wasn't heard, or two days, of which the hint may have brought one
        return str(reading.values.get(state.asked)), wrong, reading.intents, reading.task

    def _state(self, messages: Sequence[Message]) -> State:
        return self._states.get(tuple(_said(messages)), [State()])[-1]

    def view(self, messages: Sequence[Message]) -> dict[str, Any]:
        """Where the conversation stands, as JSON has it: task, step, slots, and what it waits for."""
        state = self._state(messages)
        slots = {
            name: SECRET if self._flow.slots[name].secret else as_json(value)
            for name, value in state.slots.items()
        }
        return {
            "task": state.task,
            "step": state.step,
            "waits_for": state.asked or state.waits,
            "slots": slots,
        }

    def has(self, key: str) -> bool:
        """Whether the act of this key is one of its."""
        return key in self._calls

    async def act(self, key: str) -> Result:
        """What came of an act, which is begun only once. It goes on where nobody waits for it any more."""
        if key not in self._acts:
            call = self._calls[key]
            self._acts[key] = asyncio.create_task(self._acted(call), name=f"flow-{call.tool}")
        return await asyncio.shield(self._acts[key])

    async def _acted(self, call: Call) -> Result:
        outcome = await self._run(call.tool, call.arguments, call.shown)
        told = replace(outcome, result=outcome.whole).told
        status = FAILED if outcome.error else str(told.get("status", "done"))
        return Result(call.key, status, _sayable(told), _moments(told.get("offers")))

    async def answer(self, messages: Sequence[Message], ask: Callable[[], Chunks]) -> Chunks:
        """Say and do what is next; `ask` has the language model answer. Raises ModelFailed."""
        said = tuple(_said(messages))
        states = self._states.get(said, [])
        if messages[-1]["role"] == "tool" and states and states[-1].waits == "act":
            before = states[-1]
            state, commands = await self._behind_act(before)
        else:
            states = []
            before, words = self._before(said)
            heard = _heard(messages)
            if before.waits == "act" and self._awaited(before) in self._acts:
                before, _ = await self._behind_act(before)  # what it says wasn't heard yet
            reading = await self._read(before, words, messages)
            state, commands = self._machine.handle(before, Turn(reading, heard))
        state, commands = await self._reworded(state, commands, messages)
        self._states[said] = [*states, state]
        self._look_up_likely(state)
        if not state.task and commands[-1:] == (Answer(),):
            async for chunk in self._carried_out(commands[:-1], ask):
                yield chunk
            async for chunk in self._from_model(before, messages, words, ask):
                yield chunk
            return
        async for chunk in self._carried_out(commands, ask):
            yield chunk

    # States.

    def _before(self, said: Sequence[str]) -> tuple[State, str]:
        """The state before the turn that is answered, and its words, with any that were never answered."""
        for known in range(len(said) - 1, -1, -1):
            if states := self._states.get(tuple(said[:known])):
                return states[-1], " ".join(said[known:])
        return State(), said[-1] if said else ""

    async def _behind_act(self, state: State) -> tuple[State, Sequence[Command]]:
        return self._machine.handle(state, Acted(await self.act(self._awaited(state))))

    def _awaited(self, state: State) -> str:
        return self._machine.awaited(state).key

    async def _read(self, state: State, words: str, messages: Sequence[Message]) -> Reading:
        reading = self._by_code(state, words)
        if reading.sure:
            return reading
        return await self._understanding.read(state, self._machine.readable(state), messages, self._now())

    def _by_code(self, state: State, words: str) -> Reading:
        return self._reader.read(state, self._machine.readable(state), words, self._now())

    # Answers.

    async def _from_model(
        self, before: State, messages: Sequence[Message], words: str, ask: Callable[[], Chunks]
    ) -> Chunks:
        """The model's answer, or the task that it finds to be asked for."""
        try:
            async with aclosing(ask()) as answer:
                async for chunk in answer:
                    if (task := self._begins(chunk)) is None:
                        yield chunk
                        continue
                    reading = self._reader.read(before, (), words, self._now(), task=task)
                    state, commands = self._machine.handle(before, Turn(reading, before.said.text))
                    break
                else:
                    return
        except ModelFailed as error:
            logger.info("a turn between tasks wasn't understood: %s", error)
            state, commands = self._machine.lost(before)
        state, commands = await self._reworded(state, commands, messages)
        self._states[tuple(_said(messages))] = [state]
        self._look_up_likely(state)
        async for chunk in self._carried_out(commands, ask):
            yield chunk

    async def _reworded(self, state: State, commands: Sequence[Command], messages: Sequence[Message]) -> Next:
        """With the questions in the model's words, where the flow has them so."""
        if self._rewording is None:
            return state, tuple(commands)
        said = list(commands)
        for place, one in enumerate(commands):
            if isinstance(one, Say) and one.asks:
                said[place] = replace(one, text=await self._rewording.reworded(one.text, messages))
        return self._machine.spoken(state, said)

    async def _carried_out(self, commands: Sequence[Command], ask: Callable[[], Chunks]) -> Chunks:
        spoken = False
        for command in commands:
            match command:
                case Say(text):
                    yield completion_chunk(NAME, NAME, {"content": f" {text}" if spoken else text})
                    spoken = True
                case Call() as call:
                    self._calls[call.key] = call
                    yield _tool_call(call)
                case Answer():
                    try:
                        async with aclosing(ask()) as answer:
                            async for chunk in answer:
                                if chunk.choices and chunk.choices[0].delta.content:
                                    yield completion_chunk(
                                        NAME, NAME, {"content": chunk.choices[0].delta.content}
                                    )
                                    spoken = True
                    except ModelFailed as error:
                        logger.info("a question in a flow wasn't answered: %s", error)
        yield completion_chunk(NAME, NAME, {}, finish_reason="stop")

    def _begins(self, chunk: ChatCompletionChunk) -> str | None:
        """The task that the model calls, if it does."""
        calls = chunk.choices[0].delta.tool_calls if chunk.choices else None
        name = calls[0].function.name if calls and calls[0].function else None
        return name if name in self._flow.tasks else None


def _sayable(told: Mapping[str, Any]) -> Mapping[str, str]:
    """What may be said of it; of more than that, and than a model reads, the shortest."""
    values = {name: str(value) for name, value in told.items() if isinstance(value, str | int | float)}
    room, kept = MOST_CHARACTERS, set[str]()
    for name in sorted(values, key=lambda name: len(values[name])):
        room -= len(name) + len(values[name])
        if room >= 0:
            kept.add(name)
    return {name: value for name, value in values.items() if name in kept}


def _moments(offered: Any) -> tuple[datetime, ...]:
    """Of ISO 8601; none where a tool gives anything else."""
    try:
        return tuple(map(datetime.fromisoformat, offered or ()))
    except (TypeError, ValueError):
        return ()


def _tool_call(call: Call) -> ChatCompletionChunk:
    function = {"name": call.tool, "arguments": json.dumps(call.shown, ensure_ascii=False)}
    id = f"{NAME}_{call.key or secrets.token_hex(8)}"
    called = {"index": 0, "id": id, "type": "function", "function": function}
    return completion_chunk(NAME, NAME, {"tool_calls": [called]})


def facts_of(call: CallFacts) -> dict[str, str]:
    """What templates may name of a call."""
    return {
        "call": call.id,
        "caller": call.caller,
        "caller_name": call.caller_name,
        "called": call.called,
    }


def act_key(tool_call_id: str) -> str:
    """The key of the act whose call has this id."""
    return tool_call_id.removeprefix(f"{NAME}_")


def _said(messages: Sequence[Message]) -> list[str]:
    """What the caller has said, turn by turn."""
    return [_text(one) for one in messages if one["role"] == "user"]


def _heard(messages: Sequence[Message]) -> str:
    """What the caller heard of the agent between their last two turns."""
    heard: list[str] = []
    for one in reversed(messages[:-1]):
        if one["role"] == "user":
            break
        if one["role"] == "assistant":
            heard.insert(0, _text(one))
    return " ".join(filter(None, heard))


def _text(message: Message) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
