"""A call's flow, whichever of its personas answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from openai.types.chat import ChatCompletionChunk
from pipecat.frames.frames import FunctionCallResultProperties
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams

from agent.flows.engine import FlowEngine, act_key
from agent.tools.runner import ToolRunner
from agent.tools.tool import CallFacts
from config.persona import Persona
from models.expected import NOTHING, Expected
from models.llm.service import CallLlmService

Chunks = AsyncGenerator[ChatCompletionChunk, None]


class FlowGuide:
    """Has a persona's flow answer in the place of the language model `service`, if it has one."""

    def __init__(
        self,
        service: CallLlmService,
        context: LLMContext,
        runner: ToolRunner,
        call: CallFacts,
        now: Callable[[], datetime],
    ) -> None:
        """By `now` is read what callers say of days and times."""
        self._now = now
        self._service = service
        self._context = context
        self._runner = runner
        self._call = call
        self._engine: FlowEngine | None = None
        # All that there were, some of whose acts may still be to be done.
        self._engines: list[FlowEngine] = []
        service.guide = self._answer

    def become(self, persona: Persona) -> None:
        """Go by this persona's from now on."""
        if persona.flow is None:
            self._engine = None
            return
        self._engine = FlowEngine(
            persona,
            asks=self._service,
            run=self._runner.call,
            likely=self._runner.likely,
            call=self._call,
            now=self._now,
            begun=any(message["role"] == "user" for message in self._messages),
        )
        self._engines.append(self._engine)
        for name in self._engine.tools:
            self._service.register_function(name, self._use)

    @property
    def view(self) -> Mapping[str, Any] | None:
        """Where the conversation stands in its flow; None where it has none."""
        return self._engine.view(self._messages) if self._engine else None

    @property
    def expected(self) -> Expected:
        """What is likely said next, as a recognizer is told it."""
        return self._engine.expected(self._messages) if self._engine else NOTHING

    @property
    def _messages(self) -> Sequence[Mapping[str, Any]]:
        return [message for message in self._context.messages if isinstance(message, dict)]

    def _answer(self, messages: Sequence[Mapping[str, Any]], ask: Callable[[], Chunks]) -> Chunks:
        return self._engine.answer(messages, ask) if self._engine else ask()

    async def _use(self, params: FunctionCallParams) -> None:
        """Interruptions don't end an act; what came of it is told behind them."""
        key = act_key(params.tool_call_id)
        engine = next(one for one in reversed(self._engines) if one.has(key))
        result = await engine.act(key)
        await params.result_callback(
            {"status": result.status, **result.values}, properties=FunctionCallResultProperties(run_llm=True)
        )
