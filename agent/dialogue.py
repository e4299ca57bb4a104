"""A conversation in text with the one who answers calls.

Context, language model, tools and what is kept of a cut answer are a call's own; only its sound is missing.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    InterruptionFrame,
    LLMFullResponseStartFrame,
    LLMMessagesAppendFrame,
    LLMTextFrame,
    MetricsFrame,
)
from pipecat.metrics.metrics import LLMUsageMetricsData
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies
from pipecat.workers.runner import WorkerRunner

from agent.briefing import brief
from agent.conversation import Conversation, ToolCall
from agent.pipeline import llm_service
from agent.tools.builtin import END_CALL
from agent.tools.tool import Arguments, CallFacts, Done, Tool
from agent.tools.toolbox import Toolbox
from agent.turn.words import is_one_of
from config.persona import Persona
from config.settings import Settings
from models.errors import ModelFailed
from models.expected import Expected
from models.llm.language_model import Llm
from models.pool import ModelPool
from models.speech_text import Chunks

ANSWER_DEADLINE_S = 180.0
INTERRUPTION_DEADLINE_S = 2.0
END_DEADLINE_S = 5.0
_count = itertools.count(1)


def noted(schema: FunctionSchema, result: str | None = None) -> Tool:
    """A tool that is only noted. With a `result` the model goes on and answers in words."""

    async def run(_: Arguments, __: CallFacts) -> Done:
        return Done(result or "done", answers=result is not None)

    return Tool(schema, run)


class _Declared(Toolbox):
    """Of which every persona has all, in the place of those of the same names."""

    def __init__(self, declared: Sequence[Tool], toolbox: Toolbox) -> None:
        super().__init__(declared, now=toolbox.now)
        self._others = toolbox

    def tool(self, name: str) -> Tool | None:
        return super().tool(name) or self._others.tool(name)

    def of(self, persona: Persona) -> Toolbox:
        others = (tool for tool in self._others.of(persona).tools if tool.name not in self.names)
        return Toolbox([*others, *self.tools])


@dataclass
class Reply:
    """One answer, complete once `Dialogue.ask` has come to its end. Times are from the question on."""

    text: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    interrupted: bool = False
    first_token_ms: float | None = None
    first_clause_ms: float | None = None  # when the voice would have begun
    total_ms: float = 0.0
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int | None = None  # None where the server doesn't tell
    sources: Sequence[str] = ()  # passages of the persona's pages

    @property
    def tokens_per_s(self) -> float | None:
        """How fast the answer was written, once it had begun."""
        if self.first_token_ms is None or self.tokens < 2 or self.total_ms <= self.first_token_ms:
            return None
        return (self.tokens - 1) / (self.total_ms - self.first_token_ms) * 1000


class _Done:
    pass


class _Reader(FrameProcessor):
    """Sees what the language model makes at once: its answer on one side of it, its errors on the other."""

    def __init__(self, dialogue: Dialogue) -> None:
        super().__init__(enable_direct_mode=True)
        self._dialogue = dialogue

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        # Function calls are announced both ways, and an error only upstream.
        if direction is FrameDirection.DOWNSTREAM or isinstance(frame, ErrorFrame):
            self._dialogue.saw(frame)
        await self.push_frame(frame, direction)


class Dialogue:
    """Use it as a context manager; ask one thing after the other.

    With `tools`, those are offered besides the persona's, which are of `toolbox`; all are noted in the
    replies. The greeting is part of the conversation, as in a call.
    """

    def __init__(
        self, llm: Llm, persona: Persona, *, tools: Sequence[Tool] = (), toolbox: Toolbox | None = None
    ) -> None:
        self.reply = Reply()
        self.ended = False  # the agent has hung up
        self._persona = persona
        self._events: asyncio.Queue[str | _Done] = asyncio.Queue()
        self._error: ModelFailed | None = None
        self._answer_due = self._answering = False
        self._running: set[str] = set()  # calls of tools, by their ids
        self._asked_at = 0.0
        context = LLMContext([{"role": "assistant", "content": text} for text in persona.opening])
        self._service, self._tools, self._flow = llm_service(
            llm,
            context,
            persona,
            call=CallFacts(id=f"text-{next(_count)}", transport="text", act=self._act),
            toolbox=_Declared(tools, toolbox or Toolbox()),
            conversation=Conversation(),
            on_recalled=self._recalled,
        )
        # The default strategies would load a turn detector.
        strategies = LLMUserAggregatorParams(user_turn_strategies=ExternalUserTurnStrategies())
        aggregators = LLMContextAggregatorPair(context, user_params=strategies)
        assistant = aggregators.assistant()
        assistant.add_event_handler("on_assistant_turn_stopped", self._on_answered)
        self._worker = PipelineWorker(
            Pipeline([aggregators.user(), _Reader(self), self._service, _Reader(self), assistant]),
            params=PipelineParams(enable_metrics=True, enable_usage_metrics=True),
            enable_rtvi=False,
            enable_turn_tracking=False,
            idle_timeout_secs=None,
            cancel_timeout_secs=END_DEADLINE_S,
        )
        self._runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
        self._task: asyncio.Task[None] | None = None
        self.context = context

    async def __aenter__(self) -> Self:
        await self._service.get_tools_ready(self.context)
        await self._runner.add_workers(self._worker)
        self._task = asyncio.create_task(self._runner.run(), name="dialogue")
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._task is not None
        await self._worker.queue_frame(EndFrame())
        _, stuck = await asyncio.wait({self._task}, timeout=END_DEADLINE_S)
        if stuck:
            await self._runner.cancel()
            await asyncio.wait({self._task}, timeout=END_DEADLINE_S)
        await self._tools.finish()

    async def begin_to_speak(self) -> None:
        """Have the model know that the caller begins to speak, as in a call."""
        await self._service.read_ahead(self.context)

    async def hear(self, words: str, *, over: bool = False) -> None:
        """Have the model know what is being said, as in a call: `words` so far of the next turn; `over` where
        these may be all."""
        if over:
            await self._service.get_ready(self.context, words)
        await self._service.end_probability(self.context, words)

    async def ask(self, text: str) -> AsyncGenerator[str, None]:
        """Say `text`; yields the answer as it is written, and leaves it in `reply`.

        A caller's goodbye and the model's hanging up are answered with the persona's goodbye, and set
        `ended`. Raises ModelFailed.
        """
        self.reply = Reply()
        self._events = asyncio.Queue()  # whatever an interrupted answer may still tell isn't of this one
        self._asked_at = asyncio.get_running_loop().time()
        self._answer_due, self._running = True, set()
        if is_one_of(text, self._persona.goodbye_words):
            self.reply.tool_calls.append(ToolCall(END_CALL.name))
            self._hang_up()
        else:
            message: LLMContextMessage = {"role": "user", "content": text}
            await self._worker.queue_frame(LLMMessagesAppendFrame([message], run_llm=True))
            chunks = Chunks(language=self._persona.language)
            while not isinstance(event := await self._next(), _Done):
                yield event
                if self.reply.first_clause_ms is None and [piece async for piece in chunks.aggregate(event)]:
                    self.reply.first_clause_ms = self._elapsed_ms()
            self.reply.total_ms = self._elapsed_ms()
            if self.reply.first_clause_ms is None and self.reply.text:
                self.reply.first_clause_ms = self.reply.total_ms
        if self.ended:
            said = f" {self._persona.goodbye}" if self.reply.text else self._persona.goodbye
            self.reply.text += said
            yield said

    async def answer(self, text: str) -> Reply:
        """The whole answer at once. Raises ModelFailed."""
        async for _ in self.ask(text):
            pass
        return self.reply

    @property
    def flow(self) -> Mapping[str, Any] | None:
        """Where it stands in the persona's flow; None where it has none."""
        return self._flow.view

    @property
    def expected(self) -> Expected:
        """What a recognizer would be told to expect of the next turn."""
        return self._flow.expected

    async def interrupt(self) -> None:
        """Stop the answer. What was written of it stays in the conversation."""
        self.reply.interrupted = True
        await self._worker.queue_frame(InterruptionFrame())
        # An answer that hadn't begun leaves nothing behind that could tell of its end.
        asyncio.get_running_loop().call_later(INTERRUPTION_DEADLINE_S, self._give_up, self.reply)

    def saw(self, frame: Frame) -> None:
        """Take note of what the language model made."""
        reply = self.reply
        if isinstance(frame, LLMTextFrame):
            if reply.first_token_ms is None:
                reply.first_token_ms = self._elapsed_ms()
            reply.text += frame.text
            self._events.put_nowait(frame.text)
        elif isinstance(frame, FunctionCallsStartedFrame):
            for call in frame.function_calls:
                reply.tool_calls.append(ToolCall(call.function_name, call.arguments))
                self._running.add(call.tool_call_id)
                if call.function_name == END_CALL.name:
                    self._hang_up()
        elif isinstance(frame, FunctionCallResultFrame):
            self._running.discard(frame.tool_call_id)
            self._answer_due |= bool(frame.properties and frame.properties.run_llm)
            self._look()
        elif isinstance(frame, LLMFullResponseStartFrame):
            self._answering, self._answer_due = True, False
        elif isinstance(frame, ErrorFrame):
            error = frame.exception
            self._error = error if isinstance(error, ModelFailed) else ModelFailed(frame.error)
        elif isinstance(frame, MetricsFrame):
            for data in frame.data:
                if isinstance(data, LLMUsageMetricsData):
                    reply.tokens += data.value.completion_tokens
                    reply.prompt_tokens += data.value.prompt_tokens
                    if (cached := data.value.cache_read_input_tokens) is not None:
                        reply.cached_tokens = (reply.cached_tokens or 0) + cached

    async def _next(self) -> str | _Done:
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                event = await self._events.get()
        except TimeoutError:
            raise ModelFailed(f"The language model wrote nothing for {ANSWER_DEADLINE_S:.0f} s.") from None
        if isinstance(event, _Done) and self._error is not None:
            error, self._error = self._error, None
            raise error
        return event

    async def _act(self, *_: object) -> Done:
        """There is no call to do anything with."""
        return Done("done")

    def _give_up(self, reply: Reply) -> None:
        if reply is self.reply and not reply.total_ms:
            self._events.put_nowait(_Done())

    def _recalled(self, sources: Sequence[str]) -> None:
        self.reply.sources = sources

    def _hang_up(self) -> None:
        self.ended = True

    async def _on_answered(self, *_: object) -> None:
        self._answering = False
        if self._flow.view is not None:  # the model reads along, as in a call: it is seldom asked
            await self._service.read_ahead(self.context)
        self._look()

    def _look(self) -> None:
        """Whether that was all."""
        if self.reply.interrupted or not (self._answering or self._answer_due or self._running):
            self._events.put_nowait(_Done())

    def _elapsed_ms(self) -> float:
        return (asyncio.get_running_loop().time() - self._asked_at) * 1000


def text_pool(settings: Settings, personas: Sequence[Persona]) -> ModelPool:
    """A pool for `start_llm`: what `personas` need to answer in text."""
    return ModelPool(
        settings,
        voices=[persona.voice for persona in personas],
        languages=[persona.language for persona in personas],
        briefs=[brief(persona) for persona in personas],
    )
