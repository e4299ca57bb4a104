"""Flows that a call changes while something of them is still to be done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest
from pipecat.processors.aggregators.llm_context import LLMContext

from agent.flows.guide import FlowGuide
from agent.tools.tool import CallFacts
from agent.tools.toolbox import Toolbox
from config.persona import Persona
from tests.agent.conversation_kit import PERSONA
from tests.agent.flows.kit import Restaurant, persona

ASKED = "A table for four on Friday at seven please."


@pytest.mark.parametrize("becomes", [PERSONA, persona()])
async def test_an_act_of_the_persona_before_is_done(becomes: Persona) -> None:
    nora = Restaurant()
    handlers: dict[str, Callable[[Any], Awaitable[None]]] = {}
    service = SimpleNamespace(register_function=handlers.__setitem__)
    runner = SimpleNamespace(
        call=lambda name, arguments, shown: nora.toolbox.call(name, arguments, call=CallFacts(id="test")),
        likely=AsyncMock(return_value=()),
    )
    guide = FlowGuide(
        cast(Any, service), LLMContext(), cast(Any, runner), CallFacts(id="test"), Toolbox().now
    )
    guide.become(persona())
    answer = service.guide([{"role": "user", "content": ASKED}], AsyncMock())
    (call,) = [one async for chunk in answer for one in chunk.choices[0].delta.tool_calls or ()]
    told = AsyncMock()

    guide.become(becomes)
    await handlers[call.function.name](SimpleNamespace(tool_call_id=call.id, result_callback=told))

    assert told.await_args is not None
    assert told.await_args.args[0]["status"] == "free"
    assert len(nora.asked) == 1
