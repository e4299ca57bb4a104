"""What a model calls in one conversation: asked about, run and noted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    FunctionCallResultProperties,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams, LLMService

from agent.conversation import Conversation, ToolCall
from agent.tools.confirmation import Confirmation
from agent.tools.tool import WRONG, Arguments, CallFacts, Outcome, Tool, ToolFailed, WrongArguments
from agent.tools.toolbox import Toolbox
from config.persona import Persona

GIVEN_UP = "It was given up when the caller spoke or the call was over."
ASKING = "Not done: the caller is asked first, and it is done when they agree."
TOO_MANY = "Not done: the call has used too many tools."
MOST_WRONG = 2  # calls with wrong arguments about one turn of the caller's; then the model has only words
MOST_CALLS = 8  # about one turn of theirs

logger = logging.getLogger("offhook.tools")


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
        *,
        confirmation: Confirmation,
        wait: Callable[[], Awaitable[None]] | None = None,
        may_run: Callable[[], bool] = lambda: True,
        on_silent: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`wait` is run while a tool is, and says something where that takes long. `may_run` is asked before
        each, and `on_silent` called behind one of which the model has nothing to say."""
        self._service = service
        self._context = context
        self._toolbox = toolbox
        self._call = call
        self._conversation = conversation
        self._confirmation = confirmation
        self._wait = wait
        self._may_run = may_run
        self._on_silent = on_silent
        self._box = Toolbox()
        self._running: set[asyncio.Task[Outcome]] = set()

    @property
    def busy(self) -> bool:
        """Whether one runs."""
        return bool(self._running)

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
        """Returns when all are over that the end of a call doesn't end; each has its own deadline."""
        if self._running:
            await asyncio.wait(self._running)

    # What the model isn't asked.

    def decided(self, messages: Sequence[Any]) -> tuple[str, Mapping[str, Any]] | None:
        """What the caller has agreed to with their last words."""
        last = messages[-1] if messages else None
        if not (isinstance(last, dict) and last.get("role") == "user"):
            return None
        agreed = self._confirmation.agreed(messages)
        return (agreed.name, agreed.arguments) if agreed else None

    def offers_tools(self, messages: Sequence[Any]) -> bool:
        """Whether the model may call any: not once it has called too many, or with wrong arguments."""
        told = _told_since_caller(messages)
        wrong = sum(f'"error": "{WRONG}' in one for one in told)
        return wrong < MOST_WRONG and len(told) < MOST_CALLS

    # Pipecat.

    async def _use(self, params: FunctionCallParams) -> None:
        name, arguments = params.function_name, params.arguments
        if not self._may_run():
            await params.result_callback(
                {"error": TOO_MANY},
                properties=FunctionCallResultProperties(run_llm=False, on_context_updated=self._on_silent),
            )
            return
        tool = self._box.tool(name)
        if tool and tool.confirm and not self._confirmation.take(name, arguments, params.context.messages):
            await self._ask(tool, params)
            return
        outcome = await self._run(tool, name, arguments)
        await params.result_callback(
            dict(outcome.told),
            properties=FunctionCallResultProperties(
                run_llm=outcome.answers, on_context_updated=None if outcome.answers else self._on_silent
            ),
        )

    async def _ask(self, tool: Tool, params: FunctionCallParams) -> None:
        try:
            tool.check(params.arguments)
        except WrongArguments as error:
            await params.result_callback({"error": f"{WRONG}{error}"})
            return
        question = self._confirmation.ask(tool, params.arguments, params.context.messages)
        await params.result_callback(
            {"status": ASKING}, properties=FunctionCallResultProperties(run_llm=False)
        )
        for frame in (
            LLMFullResponseStartFrame(),
            LLMTextFrame(question),
            LLMFullResponseEndFrame(),
        ):
            await params.llm.push_frame(frame)

    async def call(self, name: str, arguments: Arguments, shown: Arguments) -> Outcome:
        """Run a tool for code, whether the model is offered it or not; nothing cancels it.

        `shown` are the arguments as they are noted.
        """
        if not self._may_run():
            return Outcome(error=TOO_MANY)
        box = self._box if self._box.tool(name) else self._toolbox
        with self._begun(box, name, arguments, shown) as running:
            return await asyncio.shield(running)

    async def likely(self, name: str, argument: str) -> Sequence[str]:
        """What callers are likely to say for an argument of this tool, the likeliest first."""
        tool = self._toolbox.tool(name)
        try:
            return await tool.likely[argument]() if tool and argument in tool.likely else ()
        except ToolFailed as error:
            logger.info("what %s %s may be given isn't known: %s", argument, name, error)
            return ()

    async def _run(self, tool: Tool | None, name: str, arguments: Arguments) -> Outcome:
        with self._begun(self._box, name, arguments, arguments) as running:
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                if tool is None or tool.on_interruption == "cancel":
                    running.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await running
                raise

    @contextlib.contextmanager
    def _begun(
        self, box: Toolbox, name: str, arguments: Arguments, shown: Arguments
    ) -> Iterator[asyncio.Task[Outcome]]:
        """It runs, is noted, and somebody says so meanwhile if it takes long."""
        clock = asyncio.get_running_loop().time
        began, called = clock(), self._conversation.tool_called(name, shown)
        running = asyncio.create_task(
            box.call(name, arguments, call=self._call), name=f"tool-{self._call.id}"
        )
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        running.add_done_callback(lambda done: self._note(called, done, clock() - began))
        waiting = asyncio.ensure_future(self._wait()) if self._wait else None
        try:
            yield running
        finally:
            if waiting:
                waiting.cancel()

    def _note(self, called: ToolCall, done: asyncio.Task[Outcome], seconds: float) -> None:
        outcome = Outcome(error=GIVEN_UP) if done.cancelled() else done.result()
        self._conversation.tool_done(
            called, result=outcome.result, error=outcome.error or None, seconds=seconds
        )


def _told_since_caller(messages: Sequence[Any]) -> list[str]:
    """What the model was told of tools since the caller's last turn."""
    told: list[str] = []
    for message in reversed(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role == "user":
            break
        if role == "tool":
            told.append(str(message.get("content")))
    return told
