"""Which of a call's tools the bundled Qwen takes callers' words for."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from agent.briefing import brief
from config.keypad import Keypad
from config.persona import load_persona
from models.llm.acting import Acting, ActSlot
from models.llm.child import LlamaChild
from models.llm.primers import Primers

pytestmark = [
    pytest.mark.models,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.usefixtures("patient"),
]

WHO = load_persona("restaurant").model_copy(
    update={
        "tools": ("transfer_call", "take_message", "ask_for_keys"),
        "transfer_to": ("reception", "kitchen", "manager"),
        "keypad": (Keypad(name="booking number", prompt="Please enter your booking number, then hash."),),
    }
)
TOOLS = list(brief(WHO).tools)


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def acting(qwen: LlamaChild) -> Acting:
    told = brief(WHO)
    acting = Acting(ActSlot(Primers(qwen), 1), examples=told.examples, primer=told.primer)
    await acting.prime(TOOLS)
    return acting


def call(said: str) -> dict[str, Any]:
    greeting = {"role": "assistant", "content": WHO.greeting}
    messages = [*brief(WHO).primer, greeting, {"role": "user", "content": said}]
    return {"model": "m", "messages": messages, "tools": TOOLS, "max_tokens": 30}


@pytest.mark.parametrize(
    ("said", "tool", "arguments"),
    [
        ("Could you put me through to the kitchen please?", "transfer_call", {"to": "kitchen"}),
        ("I'd like to speak to the manager.", "transfer_call", {"to": "manager"}),
        ("Reception, please.", "transfer_call", {"to": "reception"}),
        ("No robots, get me a person.", "transfer_call", {}),
        ("Can I leave a message for Nora?", "take_message", {}),
        ("Can I type in my booking number?", "ask_for_keys", {}),
        ("When do you open on Sunday?", None, {}),
        ("Do you have a kitchen?", None, {}),
        ("What's the manager's name?", None, {}),
        ("Please call plus thirty-three one forty-four for me.", None, {}),
    ],
)
async def test_what_is_done(acting: Acting, said: str, tool: str | None, arguments: dict[str, str]) -> None:
    chosen = await acting.choose(call(said))
    assert (chosen and chosen.name) == tool
    if chosen:
        assert (await acting.fill(call(said), chosen))[0] == arguments
