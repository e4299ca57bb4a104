"""What a model calls in one conversation, run and noted."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import FunctionCallResultProperties
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams, LLMService

from agent.conversation import Conversation, ToolCall
from agent.tools.tool import Arguments, CallFacts, Outcome
from agent.tools.toolbox import Toolbox
from config.persona import Persona

GIVEN_UP = "It was given up when the caller spoke or the call was over."


class ToolRunner:
    """Offers a persona's tools to the language model of a conversation, and runs what it calls.

    Interruptions cancel a tool, or let it finish, as it is declared; `finish` waits for those.
    """

    def __init__(
        self,
        service: LLMService[Any],
        context: LLMContext,
        toolbox: Toolbox,
        call: CallFacts,
        conversation: Conversation,
    ) -> None:
        self._service = service
        self._context = context
        self._toolbox = toolbox
        self._conversation = conversation
        self._call = call
        self._box = Toolbox()
        self._running: set[asyncio.Task[Outcome]] = set()

    def become(self, persona: Persona) -> None:
        """Offer this persona's from now on."""
        self._call = replace(self._call, persona=persona.name, language=persona.language)
        self._box = self._toolbox.of(persona)
        self._context.set_tools(ToolsSchema(standard_tools=[tool.schema for tool in self._box.tools]))
        for tool in self._box.tools:
            self._service.register_function(
                tool.name, self._use, cancel_on_interruption=tool.on_interruption == "cancel"
            )

    async def finish(self) -> None:
        """Returns when all are over that an ending call doesn't end; each has its own deadline."""
        if self._running:
            await asyncio.wait(self._running)

    async def _use(self, params: FunctionCallParams) -> None:
        outcome = await self._run(params.function_name, params.arguments)
        await params.result_callback(
            dict(outcome.told), properties=FunctionCallResultProperties(run_llm=outcome.answers)
        )

    async def call(self, name: str, arguments: Arguments) -> Outcome:
        """Run a tool for code, whether the model is offered it or not; nothing cancels it."""
        box = self._box if self._box.tool(name) else self._toolbox
        return await asyncio.shield(self._begin(box, name, arguments))

    def _begin(self, box: Toolbox, name: str, arguments: Arguments) -> asyncio.Task[Outcome]:
        called = self._conversation.tool_called(name, arguments)
        running = asyncio.create_task(
            box.call(name, arguments, call=self._call), name=f"tool-{self._call.id}"
        )
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        running.add_done_callback(lambda done: self._note(called, done))
        return running

    async def _run(self, name: str, arguments: Arguments) -> Outcome:
        tool = self._box.tool(name)
        running = self._begin(self._box, name, arguments)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            if tool is None or tool.on_interruption == "cancel":
                running.cancel()
            raise

    def _note(self, called: ToolCall, done: asyncio.Task[Outcome]) -> None:
        given_up = Outcome(error=GIVEN_UP, seconds=time.time() - called.at)
        outcome = given_up if done.cancelled() else done.result()
        self._conversation.tool_done(
            called, result=outcome.result, error=outcome.error or None, seconds=outcome.seconds
        )
