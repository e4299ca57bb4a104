"""What the bundled Qwen does about callers' words that none of its examples has."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio

from models.llm import acts, bundled
from models.llm.acting import Acting, ActSlot
from models.llm.child import LlamaChild
from models.llm.primers import Primers

pytestmark = [
    pytest.mark.models,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.usefixtures("patient"),
]

NOW = datetime(2026, 3, 11, 15, 20)


def tool(name: str, description: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


TOOLS = [
    tool("end_call", "Hang up. Use it when the caller says goodbye or asks to end the call."),
    tool("transfer_to_human", "Put the caller through to a member of staff."),
    tool("take_message", "Take a message for a colleague.", message={"type": "string"}),
    tool(
        "book_table",
        "Book a table.",
        date={"type": "string", "format": "date"},
        time={"type": "string", "format": "time"},
        people={"type": "integer"},
    ),
]


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def acting(qwen: LlamaChild) -> Acting:
    acting = Acting(ActSlot(Primers(qwen), 1), now=lambda: NOW)
    await acting.prime(TOOLS)
    return acting


def call(*turns: str) -> dict[str, Any]:
    """A conversation that ends with the caller's words."""
    roles = ("user", "assistant") if len(turns) % 2 else ("assistant", "user")
    messages = [{"role": roles[n % 2], "content": turn} for n, turn in enumerate(turns)]
    system = {"role": "system", "content": "You answer the telephone of Restaurant Sole, in one sentence."}
    return {"model": "m", "messages": [system, *messages], "tools": TOOLS, "max_tokens": 30}


@pytest.mark.parametrize(
    ("turns", "wanted"),
    [
        (["wonderful that will be all then"], "end_call"),
        (["We close at ten.", "perfect bye bye"], "end_call"),
        (["is there someone I could talk to about this"], "transfer_to_human"),
        (["Is Anna in?", "She isn't. Shall I take a message for her?", "oh yes please do"], "take_message"),
        (["how late does your phone line close"], None),
        (["goodbye sounds so final doesn't it"], None),
        (["we had that corner table last year and loved it"], None),
        (["good afternoon"], None),
        (["are your tables made of wood"], None),
        (["what do you do with messages people leave"], None),
        (["thanks that's useful and do you take cards"], None),
    ],
)
async def test_tools_are_chosen_and_small_talk_is_answered(
    acting: Acting, turns: list[str], wanted: str | None
) -> None:
    chosen = await acting.choose(call(*turns))
    assert (chosen.name if chosen else None) == wanted


async def test_a_table_is_booked_with_what_the_caller_said(qwen: LlamaChild, acting: Acting) -> None:
    conversation = call(
        "a table for friday please", "At what time?", "half past seven and there are four of us"
    )
    chunks = [one async for one in bundled.chat(qwen, conversation, acting=acting)]
    assert chunks[0].choices[0].delta.tool_calls is not None
    (called,) = chunks[0].choices[0].delta.tool_calls
    assert called.function is not None
    assert called.function.name == "book_table"
    assert json.loads(called.function.arguments or "") == {"date": "2026-03-13", "time": "19:30", "people": 4}


async def test_without_what_is_missing_no_tool_is_called(qwen: LlamaChild, acting: Acting) -> None:
    stream = bundled.chat(qwen, call("I'd like to reserve a table"), acting=acting)
    chunks = [one async for one in stream]
    assert not any(one.choices[0].delta.tool_calls for one in chunks)
    assert "".join(one.choices[0].delta.content or "" for one in chunks)


async def test_a_message_is_in_the_caller_s_words(acting: Acting) -> None:
    said = "please tell anna that the wine comes on monday"
    message = next(one for one in acts.tools_of(TOOLS) if one.name == "take_message")
    values, _ = await acting.fill(call(said), message)
    assert "wine comes on monday" in values["message"]
