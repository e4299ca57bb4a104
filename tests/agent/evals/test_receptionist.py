"""The receptionist's callers with a scripted language model: all of them are right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from agent.evals.callers import Caller, CallerSet, Line, load_caller_sets
from agent.evals.desk import in_text
from config.calendar import CalendarSettings
from config.persona import load_persona
from tests.agent.conversation_kit import Outcome
from tests.agent.scripted_llm import ScriptedLlm

FOLDER = Path(__file__).parents[3] / "evals" / "receptionist"
SETS = load_caller_sets(FOLDER, ["callers", "held_out"])  # the strangers are to stay such
CALLERS = [(found, caller) for found in SETS for caller in found.callers]
# What a model does where code leaves it to one: the task that is asked for, and answers from the facts.
REPLIES = {
    "much is": "A check-up costs sixty dollars.",
    "Saturday": "We are closed on Saturdays and Sundays.",
    "how long": "An appointment takes half an hour.",
    "cards": "We take cards and cash.",
    "reschedule|change": "!change_appointment",
    "cancel": "!drop_appointment",
    "dentist|appointment": "!make_appointment",
}


class _Replies(dict[str, str]):
    """By the first pattern that is in the caller's words."""

    def get(self, words: str, default: Any = None) -> Any:
        found = (reply for pattern, reply in self.items() if re.search(pattern, words, re.IGNORECASE))
        return next(found, default)


def scripted() -> Any:
    return ScriptedLlm(_Replies(REPLIES), Outcome(), None)


def test_there_are_thirty() -> None:
    assert len(CALLERS) >= 30


@pytest.mark.parametrize(
    ("found", "caller"), CALLERS, ids=[f"{found.file.stem}-{caller.name}" for found, caller in CALLERS]
)
async def test_each_caller_reaches_the_right_entry(found: CallerSet, caller: Caller) -> None:
    result = await in_text(scripted(), found, caller, load_persona(found.persona), CalendarSettings())
    assert not result.failures, result.turn.answer


def _cut_into(caller: Caller, topic: str) -> Caller:
    """The same caller, who breaks into what the agent says to the answer to that, and has it repeated."""
    if topic == "opens":
        return caller.model_copy(update={"opens": _broken(caller.opens)})
    lines = tuple(_broken(line) for line in caller.answers[topic])
    return caller.model_copy(update={"answers": {**caller.answers, topic: lines}})


def _broken(line: Line) -> Line:
    return line.model_copy(update={"breaks_in": "Sorry, what did you say?"})


@pytest.mark.parametrize("topic", ["opens", "day", "time", "name", "phone", "confirm"])
async def test_whoever_interrupts_is_booked_once(topic: str) -> None:
    found = next(found for found in SETS if found.file.stem == "callers")
    plain = next(caller for caller in found.callers if caller.name == "plain")
    answers = {**plain.answers, "confirm": (Line(says="Yes, please."),)}
    caller = _cut_into(plain.model_copy(update={"answers": answers}), topic)
    result = await in_text(scripted(), found, caller, load_persona(found.persona), CalendarSettings())
    assert not result.failures, result.turn.answer


async def test_whose_number_is_not_understood_keys_it_in() -> None:
    found = next(found for found in SETS if found.file.stem == "callers")
    plain = next(caller for caller in found.callers if caller.name == "plain")
    short = (Line(says="Two one two, five five five, one nine nine."),)  # without what was an oh
    caller = plain.model_copy(update={"answers": {**plain.answers, "phone": short}})
    result = await in_text(scripted(), found, caller, load_persona(found.persona), CalendarSettings())
    assert not result.failures, result.turn.answer
    assert "DTMF: 2125550199#" in [words for words, _ in result.said]
