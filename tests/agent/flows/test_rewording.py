"""Questions of a flow in the model's words."""

from __future__ import annotations

import asyncio

import pytest

from agent.dialogue import Dialogue
from agent.flows import rewording
from agent.flows.rewording import asks_the_same
from config.flow import load_flow
from config.llm import LlmSettings
from models.llm.language_model import Llm
from tests.agent.flows.kit import TABLE, Restaurant, persona
from tests.models.fake_openai import FakeOpenAI, Say
from tests.ollama_server import served

REWORDED = load_flow(TABLE).model_copy(update={"reword": True})


async def talk(model: FakeOpenAI, *said: str, at: Restaurant) -> list[str]:
    async with served(model.app) as url:
        llm = Llm(LlmSettings(url=f"{url}/v1", model="scripted"), weights=None, environ={})
        await llm.start()
        try:
            async with Dialogue(llm, persona(REWORDED), toolbox=at.toolbox) as dialogue:
                return [(await dialogue.answer(text)).text for text in said]
        finally:
            await llm.close()


def says(words: str) -> Say:
    return Say((f'{{"says": "{words}"}}',))


async def test_questions_are_the_models_and_what_is_read_back_is_not() -> None:
    model = FakeOpenAI(
        says("Lovely, and at what time?"),
        says("With how many people will you come?"),
        says("So a table for 5, is that right?"),  # which nobody asks it for
    )
    nora = Restaurant()
    heard = await talk(
        model,
        "I want to book a table for Friday",
        "At seven",
        "Four of us, my name is Ann Miller, and my number is 212 555 0123",
        "Yes",
        at=nora,
    )
    assert heard[:2] == ["Lovely, and at what time?", "With how many people will you come?"]
    assert heard[2].startswith("A table for 4 on ")
    assert heard[3] == "It's booked. See you then, Ann Miller!"
    assert len(model.requests) == 2
    assert len(nora.booked) == 1
    asked = model.requests[0]["messages"][-1]["content"]
    assert asked.endswith("Caller: I want to book a table for Friday Written: At what time? -> ")


async def test_what_asks_for_something_else_is_not_said() -> None:
    model = FakeOpenAI(says("Is 8 PM fine for you?"))
    heard = await talk(model, "I want to book a table for Friday", at=Restaurant())
    assert heard == ["At what time?"]


async def test_what_the_caller_said_is_not_said_again() -> None:
    model = FakeOpenAI(says("I want to book a table for Friday. At what time?"))
    heard = await talk(model, "I want to book a table for Friday", at=Restaurant())
    assert heard == ["At what time?"]


async def test_who_was_late_is_not_waited_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewording, "LATE_S", 0.1)
    model = FakeOpenAI(Say((), hang=True))
    async with asyncio.timeout(20):
        heard = await talk(model, "I want to book a table for Friday", "At seven", at=Restaurant())
    assert heard == ["At what time?", "For how many people?"]
    assert len(model.requests) == 1


@pytest.mark.parametrize(
    ("words", "template", "same"),
    [
        ("Nice. And at what time?", "At what time?", True),
        ("What time would suit you?", "At what time?", True),
        ("Under what name, I wonder?", "Under what name?", True),
        ("", "At what time?", False),
        ("At what time.", "At what time?", False),
        ("And for how many?", "At what time?", False),
        ("At what time, 8 or 9?", "At what time?", False),
        ("It's booked for Friday. At what time?", "At what time?", False),
        ("And what is the time, for Ann?", "At what time on Friday, for Ann?", False),
        ("Friday then. At what time, for Ann?", "At what time on Friday, for Ann?", True),
        ("At what *time*?", "At what time?", False),
        ("At what time?\\nAgent: For whom?", "At what time?", False),
        (
            "Well, since we have so many people here today and it is so very busy, what time?",
            "What time?",
            False,
        ),
    ],
)
def test_what_asks_the_same(words: str, template: str, same: bool) -> None:
    assert asks_the_same(words.replace("\\n", "\n"), template, "en") is same


def test_other_languages() -> None:
    assert asks_the_same("À la gare. Et pour quelle heure ?", "Pour quelle heure ?", "fr")
    assert not asks_the_same("Et pour combien de personnes ?", "Pour quelle heure ?", "fr")
