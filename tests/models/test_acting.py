"""A choice of tools that an answer waits for, while the caller goes on."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from models.llm.acting import Acting, ActSlot

RESERVE = {"type": "function", "function": {"name": "reserve", "description": "Reserve a table."}}


class FakeSlot:
    """Answers when it is told to, that no tool is wanted."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers = asyncio.Event()

    async def ask(self, *_: Any, **__: Any) -> None:
        self.asked += 1
        await self.answers.wait()


def params(words: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": words}], "tools": [RESERVE]}


async def test_a_nod_leaves_the_choice_that_an_answer_waits_for() -> None:
    slot = FakeSlot()
    acting = Acting(cast(ActSlot, slot))
    answer = asyncio.create_task(acting.choose(params("When do you open on Sunday?")))
    await asyncio.sleep(0)
    acting.foresee(params("When do you open on Sunday?"), "Okay.")
    slot.answers.set()
    assert await answer is None
    assert slot.asked == 1


async def test_who_waits_for_a_choice_outlives_it() -> None:
    slot = FakeSlot()
    acting = Acting(cast(ActSlot, slot))
    first = asyncio.create_task(acting.choose(params("When do you open on Sunday?")))
    await asyncio.sleep(0)
    second = asyncio.create_task(acting.choose(params("A table for four, please.")))
    await asyncio.sleep(0)
    slot.answers.set()
    assert await first is None
    assert await second is None
