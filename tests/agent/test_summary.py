from __future__ import annotations

from typing import Any, cast

import pytest

from agent.records.tables import Call, Turn
from agent.summary import summarize
from tests.models.fake_openai import FakeOpenAI, Refuse, Say, Step, scripted


def a_call(*said: tuple[Any, str], language: str = "fr-CA") -> Call:
    turns = [Turn(number=number, speaker=who, text=text) for number, (who, text) in enumerate(said)]
    return Call(id="a", language=language, turns=turns)


TALK = a_call(("agent", "Bonjour."), ("caller", "Une table pour deux."), ("agent", "C'est noté."))


async def summary(call: Call, *script: Step) -> tuple[str | None, FakeOpenAI]:
    async with scripted(*script) as (llm, fake):
        return await summarize(llm, call), fake


async def test_what_both_said_is_summed_up_in_their_language() -> None:
    text, fake = await summary(TALK, Say(("Une table ", "\n pour deux.")))
    assert text == "Une table pour deux."
    system, user = cast(list[dict[str, str]], fake.requests[-1]["messages"])
    assert system["content"].endswith("Write in French.")
    assert "Caller: Une table pour deux.\nAgent: C'est noté." in user["content"]


@pytest.mark.parametrize(
    "call",
    [a_call(), a_call(("agent", "Hello.")), a_call(("caller", "Hello?"))],
    ids=["none", "agent", "caller"],
)
async def test_where_nobody_talked_to_anybody_nothing_is_asked(call: Call) -> None:
    async with scripted(Say(("Nothing.",))) as (llm, fake):
        before = len(fake.requests)
        assert await summarize(llm, call) is None
        assert len(fake.requests) == before


async def test_a_model_that_fails_leaves_it_out() -> None:
    text, _ = await summary(TALK, *[Refuse(400)] * 6)
    assert text is None


async def test_of_a_long_call_the_end_is_summed_up() -> None:
    call = a_call(("agent", "Hello."), *[("caller", f"{number} " * 50) for number in range(500)])
    _, fake = await summary(call, Say(("Numbers.",)))
    user = cast(list[dict[str, str]], fake.requests[-1]["messages"])[-1]["content"]
    assert len(user) < 13_000
    assert "499" in user
    assert "Hello" not in user
