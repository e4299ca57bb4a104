"""What a slot of the bundled server is asked to read while the caller speaks, piece by piece."""

from __future__ import annotations

import json
from typing import Any

import httpx2

from models.llm.bundled import PIECE, SlotReader
from models.llm.chatml import prompt, render
from tests.models.llama import answered_by

SYSTEM = [{"role": "system", "content": "You answer the telephone for the library in Harwick. " * 4}]
WORDS = "when do you close in the evening"
PAGES = {"role": "system", "content": "Our pages say:\n- " + "On weekdays the doors close at eight. " * 4}


class Slot:
    """What is asked of a server that knows all that was asked of it before."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        asked: dict[str, Any] = json.loads(request.content)
        assert (asked["n_predict"], asked["id_slot"]) == (0, 3)
        self.prompts.append(asked["prompt"])
        return httpx2.Response(200, json={})


async def test_what_is_known_for_sure_is_gone_on_from_in_pieces() -> None:
    slot = Slot()
    async with answered_by(slot) as child:
        reader = SlotReader(child, 3)
        await reader.read(SYSTEM, "when do")
        assert slot.prompts == [render(SYSTEM) + "when do"]  # of which it may know more than a piece
        slot.prompts.clear()
        await reader.read([*SYSTEM, PAGES], WORDS)
    assert len(slot.prompts) > 2
    assert slot.prompts[-1] == render([*SYSTEM, PAGES]) + WORDS
    read = len(render(SYSTEM)) - len("<|im_start|>user\n")
    for text in slot.prompts:
        assert slot.prompts[-1].startswith(text)
        assert PIECE // 2 < len(text) - read < 2 * PIECE
        read = len(text)


async def test_what_nobody_wants_any_more_is_left_and_gone_on_from() -> None:
    slot = Slot()
    async with answered_by(slot) as child:
        reader = SlotReader(child, 3)
        await reader.read(SYSTEM, "when do")
        await reader.read([*SYSTEM, PAGES], "when do you", wanted=lambda: False)
        assert len(slot.prompts) == 2
        await reader.read([*SYSTEM, PAGES], WORDS)
    assert slot.prompts[2].startswith(slot.prompts[1])
    assert len(slot.prompts[2]) - len(slot.prompts[1]) < 2 * PIECE


async def test_what_may_be_answered_is_read_at_once() -> None:
    slot = Slot()
    whole = [*SYSTEM, {"role": "user", "content": WORDS}, PAGES]
    async with answered_by(slot) as child:
        reader = SlotReader(child, 3)
        await reader.read(SYSTEM, "when do")
        await reader.read(whole, None)
    assert slot.prompts[1:] == [prompt(whole)[:-1]]


async def test_behind_an_answer_nothing_is_known_for_sure() -> None:
    slot = Slot()
    async with answered_by(slot) as child:
        reader = SlotReader(child, 3)
        await reader.read(SYSTEM, "when do")
        reader.forget()
        await reader.read([*SYSTEM, PAGES], WORDS)
        assert len(slot.prompts) == 2

        def forgets() -> bool:  # an answer comes while a piece is read
            reader.forget()
            return True

        await reader.read([*SYSTEM, PAGES], f"{WORDS} on", wanted=forgets)
        await reader.read([*SYSTEM, PAGES, PAGES], WORDS)
    assert slot.prompts[-1] == render([*SYSTEM, PAGES, PAGES]) + WORDS
    assert len(slot.prompts) == 4


async def test_what_fails_costs_only_speed() -> None:
    async with answered_by(lambda _: httpx2.Response(500)) as child:
        reader = SlotReader(child, 3)
        await reader.read(SYSTEM, WORDS)
        child.state = "restarting"
        await reader.read(SYSTEM, WORDS)
