"""What code makes of turns, in a booking of a table."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import pytest

from agent.flows.lexicon import lexicon
from agent.flows.reading import TurnReader
from agent.flows.slots import Slots
from agent.flows.state import Intent, Reading, State
from config.flow import Flow
from tests.agent.flows.test_machine import flow

NOW = datetime(2026, 12, 2, 10)  # a Wednesday
SLOTS = ("day", "time", "people", "name", "phone")


def read(
    words: str, *, asked: str = "", waits: Any = "slot", partly: str = "", of: Flow | None = None
) -> Reading:
    told = of or flow()
    reader = TurnReader(told, Slots(told, "en"), lexicon("en"))
    state = State(task="book", step="what", waits=waits, asked=asked, partly=partly)
    return reader.read(state, [name for name in told.slots if name in told.tasks["book"].slots], words, NOW)


@pytest.mark.parametrize(
    ("asked", "words", "values"),
    [
        ("day", "Friday", {"day": date(2026, 12, 4)}),
        (
            "day",
            "uh, Friday at seven, for four people",
            {"day": date(2026, 12, 4), "time": time(19), "people": 4},
        ),
        ("time", "seven", {"time": time(19)}),
        ("time", "Half past seven on Saturday", {"time": time(19, 30), "day": date(2026, 12, 5)}),
        ("people", "four", {"people": 4}),
        ("people", "Just the two of us", {"people": 2}),
        ("name", "Ann Miller", {"name": "Ann Miller"}),
        ("name", "My name is Ann", {"name": "Ann"}),
        ("phone", "212 555 0123", {"phone": "+12125550123"}),
        ("", "No, Tuesday", {"day": date(2026, 12, 8)}),
        ("", "actually make it five people", {"people": 5}),
    ],
)
def test_values(asked: str, words: str, values: dict[str, Any]) -> None:
    assert read(words, asked=asked, waits="slot" if asked else "yes").values == values


@pytest.mark.parametrize(
    ("words", "intents"),
    [
        ("Yes", {Intent.YES}),
        ("Yes, that's right.", {Intent.YES}),
        ("That's correct", {Intent.YES}),
        ("Sounds good", {Intent.YES}),
        ("No", {Intent.NO}),
        ("No, that's wrong", {Intent.NO}),
        ("That's not right", {Intent.NO}),
        ("Sorry?", {Intent.REPEAT}),
        ("Could you repeat that?", {Intent.REPEAT}),
        ("What did you say?", {Intent.REPEAT}),
        ("Go back, please", {Intent.BACK}),
        ("I don't know", {Intent.UNKNOWN}),
        ("No idea", {Intent.UNKNOWN}),
        ("Never mind", {Intent.LEAVE}),
        ("Cancel that", {Intent.LEAVE}),
        ("Can I talk to a real person?", {Intent.PERSON}),
        ("Do you have a car park?", {Intent.QUESTION}),
        ("what's on the menu", {Intent.QUESTION}),
    ],
)
def test_intents(words: str, intents: set[Intent]) -> None:
    for asked in ("", "day", "name"):
        assert read(words, asked=asked, waits="slot" if asked else "yes") == Reading(frozenset(intents))


@pytest.mark.parametrize("words", ["My wife's birthday is coming up", "The weather is nice"])
def test_what_code_cannot_tell_is_left_to_the_model(words: str) -> None:
    assert not read(words, asked="time").sure


def test_another_task_is_asked_for_in_so_many_words() -> None:
    assert read("I want to cancel my booking", asked="day").task == "cancel"
    assert read("I want to book a table", asked="day").task == ""


def test_what_can_not_be_is_said_to_be_wrong() -> None:
    assert read("At eleven at night", asked="time").wrong == {"time": "We're open from noon to ten."}
    assert read("For twelve people", asked="people").wrong == {"people": "We have tables for up to eight."}


def test_what_is_not_complete_is_completed_by_what_comes_next() -> None:
    told = flow()
    open_all_day = told.slots["time"].model_copy(update={"minimum": None, "maximum": None})
    told = told.model_copy(update={"slots": {**told.slots, "time": open_all_day}})
    first = read("seven", asked="time", of=told)
    assert first.wrong == {"time": "Do you mean 7:00 AM or 7:00 PM?"}
    assert read("in the evening", asked="time", partly=first.partly, of=told).values == {"time": time(19)}


def test_what_is_only_asked_for_is_not_taken_in_passing() -> None:
    told = flow()
    booked = told.slots["day"].model_copy(update={"only_asked": True})
    task = told.tasks["book"]
    steps = {**task.steps, "what": task.steps["what"].model_copy(update={"collect": (*SLOTS, "booked")})}
    told = told.model_copy(
        update={
            "slots": {**told.slots, "booked": booked},
            "tasks": {"book": task.model_copy(update={"steps": steps})},
        }
    )
    assert read("Friday", asked="time", of=told).values == {"day": date(2026, 12, 4)}
    assert read("Friday", asked="booked", of=told).values == {"booked": date(2026, 12, 4)}


@pytest.mark.parametrize(
    ("language", "words", "intent"),
    [
        ("fr", "Oui, c'est ça.", Intent.YES),
        ("fr", "Non", Intent.NO),
        ("fr", "Vous pouvez répéter ?", Intent.REPEAT),
        ("es", "Sí, está bien", Intent.YES),
        ("es", "No lo sé", Intent.UNKNOWN),
        ("it", "Sì, va bene", Intent.YES),
        ("it", "Lasci stare", Intent.LEAVE),
        ("pt", "Não", Intent.NO),
        ("pt", "Quero falar com alguém", Intent.PERSON),
    ],
)
def test_other_languages(language: str, words: str, intent: Intent) -> None:
    assert intent in lexicon(language).intents(words)
