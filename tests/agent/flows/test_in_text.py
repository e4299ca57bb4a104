"""Flows in a conversation in text, behind the real service and context, with a scripted model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from agent.dialogue import Dialogue
from tests.agent.conversation_kit import Outcome
from tests.agent.flows.kit import Restaurant, persona
from tests.agent.scripted_llm import ScriptedLlm


async def talk(*said: str, at: Restaurant, replies: dict[str, str] | None = None) -> Sequence[str]:
    """What is answered, turn by turn."""
    llm = cast(Any, ScriptedLlm(replies or {}, Outcome(), None))
    async with Dialogue(llm, persona(), toolbox=at.toolbox) as dialogue:
        return [" ".join((await dialogue.answer(text)).text.split()) for text in said]


async def test_a_table_is_asked_for_read_back_and_booked() -> None:
    nora = Restaurant()
    heard = await talk(
        "Hi, I'd like to book a table.", "Tomorrow.", "At seven", "Four", "Ann Miller.", "No", "Yes.", at=nora
    )
    assert heard[:5] == [
        "For which day?",
        "At what time?",
        "For how many people?",
        "Under what name?",
        "What's your number?",
    ]
    assert heard[5].startswith("A table for 4 on ")
    assert heard[5].endswith(" at 7:00 PM, for Ann Miller. Is that right?")
    assert heard[6] == "It's booked. See you then, Ann Miller!"
    assert len(nora.asked) == 1
    assert [(one["time"], one["people"], one["name"]) for one in nora.booked] == [
        ("19:00", "4", "Ann Miller")
    ]
    assert "phone" not in nora.booked[0]


async def test_what_is_said_at_once_is_not_asked_for() -> None:
    nora = Restaurant()
    heard = await talk(
        "A table for four on Friday at seven please, my name is Ann.", "I don't know.", "Yes", at=nora
    )
    assert heard[0] == "What's your number?"
    assert "for 4 on Friday" in heard[1]
    assert len(nora.booked) == 1


async def test_a_correction_is_read_back_anew() -> None:
    nora = Restaurant()
    heard = await talk(
        "A table for four on Friday at seven please, my name is Ann, 212 555 0123.",
        "No, Saturday.",
        "Actually make it five people.",
        "Yes, that's right.",
        at=nora,
    )
    assert "Saturday" in heard[1]
    assert heard[2].startswith("A table for 5 on Saturday")
    assert heard[3] == "It's booked. See you then, Ann!"
    assert [one["people"] for one in nora.booked] == ["5"]


async def test_a_question_is_answered_by_the_model_and_the_flow_goes_on() -> None:
    nora = Restaurant()
    heard = await talk(
        "I want to book a table",
        "Do you have a car park?",
        "Friday",
        at=nora,
        replies={"Do you have a car park?": "There is one behind the house."},
    )
    assert heard[1] == "There is one behind the house. For which day?"
    assert heard[2] == "At what time?"


async def test_who_is_not_understood_three_times_is_handed_over() -> None:
    heard = await talk("Book a table please", "Blue.", "Green.", "Yellow.", at=Restaurant())
    assert heard[1] == "Sorry, I didn't understand that. Which day is it for, please?"
    assert heard[3].startswith("I'd rather leave this to somebody here.")


async def test_a_time_that_is_full_is_asked_for_again() -> None:
    nora = Restaurant(full=("19:00",))
    heard = await talk("A table for two on Friday at seven.", "Then at nine.", "Ann", at=nora)
    assert heard[0] == "At 7:00 PM we're full; nine would be possible. At what time?"
    assert heard[1] == "Under what name?"
    assert [one["time"] for one in nora.asked] == ["19:00", "21:00"]
