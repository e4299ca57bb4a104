"""What code makes of turns, in a booking of a table."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import pytest

from agent.flows.languages import lexicon
from agent.flows.reading import TurnReader
from agent.flows.slots import Slots
from agent.flows.state import Intent, Reading, State
from config.flow import Flow
from config.persona import load_persona
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
        # As recognizers write it where callers hesitate: neither at five nor for so many.
        ("phone", "It's to 1 2 at 5 5 5 0 1 6 3", {"phone": "+12125550163"}),
        ("phone", "It's two one two at five five five five zero one six three", {}),
        ("phone", "2 1255 0 11 0 sorry 2 1255 0", {}),
        ("phone", "Make it eight p.m., it's 212 555 0123", {"time": time(20), "phone": "+12125550123"}),
        ("", "No, Tuesday", {"day": date(2026, 12, 8)}),
        ("", "actually make it five people", {"people": 5}),
        ("name", "Still look great, GRA, why?", {"name": "Still Look Gray"}),
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


def test_a_yes_with_a_but_is_none() -> None:
    assert read("Yes, but the time is wrong", waits="yes") == Reading(frozenset({Intent.NO}), named=("time",))
    assert read("Yes, but my wife is allergic to nuts", waits="yes") == Reading(sure=False)


REFUSALS = """
en|Absolutely not.
en|Of course not.
en|Yeah, I don't think so.
fr|Bien sûr que non.
fr|Absolument pas.
es|Claro que no.
es|Por supuesto que no.
it|Certo che no.
it|Va bene, no.
pt|Com certeza não.
pt|Claro que não.
"""
NEITHER = """
en|Yes, wait.
en|Sure, hold on.
en|Correct the time, please.
fr|Oui, attendez.
fr|Si possible plus tard.
es|Vale, espere.
es|Si es posible más tarde.
it|Certo, aspetti.
it|Si può cambiare?
pt|Claro, espere.
"""
CONSENTS = """
en|Yes, no problem.
en|Sure, why not.
en|No problem.
en|Certainly.
en|Correct, that's right.
fr|Oui, pas de problème.
fr|Si !
fr|Je confirme.
es|Sí, no hay problema.
es|Si.
es|Es correcto.
it|Sì, non c'è problema.
it|Si.
it|Confermo.
pt|Sim, não tem problema.
pt|Combinado.
pt|Está bom.
"""


@pytest.mark.parametrize(
    ("language", "words", "intents"),
    [
        (*line.split("|"), meant)
        for lines, meant in ((REFUSALS, {Intent.NO}), (NEITHER, set[Intent]()), (CONSENTS, {Intent.YES}))
        for line in lines.split("\n")
        if line
    ],
)
def test_what_agrees(language: str, words: str, intents: set[Intent]) -> None:
    agreeing = {Intent.YES, Intent.NO}
    assert lexicon(language).intents(words) & agreeing == intents


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "No, wait."),
        ("en", "No. Hold on a second."),
        ("fr", "Non, attendez."),
        ("es", "No, espere."),
        ("it", "No, aspetti."),
        ("pt", "Não, espere."),
    ],
)
def test_who_asks_to_wait_isnt_done(language: str, words: str) -> None:
    assert not lexicon(language).ends(words, asked=True)


@pytest.mark.parametrize(
    ("words", "task"),
    [
        ("I want to cancel my booking", "cancel"),
        ("I don't want to cancel my booking", ""),
        ("I want to book a table", "book"),
        ("When can I book a table?", "book"),
        ("What does it cost?", ""),
    ],
)
def test_a_task_is_asked_for_in_so_many_words(words: str, task: str) -> None:
    assert between(words).task == task


def test_words_of_a_task_may_be_one_of_several_with_others_between() -> None:
    told = flow()
    cancel = told.tasks["cancel"].model_copy(update={"words": ("cancel|drop ... booking|table",)})
    told = told.model_copy(update={"tasks": {**told.tasks, "cancel": cancel}})
    reader = TurnReader(told, Slots(told, "en"), lexicon("en"))
    assert reader.read(State(), (), "Please drop the whole of our booking.", NOW).task == "cancel"
    assert reader.read(State(), (), "Please drop it.", NOW).task == ""


def test_another_task_is_asked_for_in_so_many_words() -> None:
    assert read("I want to cancel my booking", asked="day").task == "cancel"
    assert read("I want to book a table", asked="day").task == ""


def test_what_can_not_be_is_said_to_be_wrong() -> None:
    assert read("At eleven at night", asked="time").wrong == {"time": "We're open from noon to ten."}
    assert read("For twelve people", asked="people").wrong == {"people": "We have tables for up to eight."}


def test_half_a_correction_is_asked_about() -> None:
    wrong = {"time": "Do you mean 8:15 PM or 8:30 PM?"}
    for waits in ("yes", "change"):
        assert read("No, make a tough past 8", waits=waits).wrong == wrong
    assert not read("Yes, a task past 8", waits="yes").wrong  # agreed to, in words that were misheard


def test_what_is_not_complete_is_completed_by_what_comes_next() -> None:
    told = flow()
    open_all_day = told.slots["time"].model_copy(update={"minimum": None, "maximum": None})
    told = told.model_copy(update={"slots": {**told.slots, "time": open_all_day}})
    first = read("seven", asked="time", of=told)
    assert first.wrong == {"time": "Do you mean 7:00 AM or 7:00 PM?"}
    assert read("in the evening", asked="time", partly=first.partly, of=told).values == {"time": time(19)}


def moving() -> Flow:
    """A flow in which a table is moved to another day."""
    told = flow()
    slots = {**told.slots, "new_day": told.slots["day"].model_copy(update={"behind": ("to",)})}
    task = told.tasks["book"]
    steps = {
        **task.steps,
        "what": task.steps["what"].model_copy(update={"collect": ("day", "new_day", "time")}),
    }
    move = task.model_copy(update={"steps": steps})
    return told.model_copy(update={"slots": slots, "tasks": {"book": move}})


FRIDAY, SATURDAY = date(2026, 12, 4), date(2026, 12, 5)


@pytest.mark.parametrize(
    ("asked", "words", "values"),
    [
        ("", "I want to move my table on Friday to Saturday.", {"day": FRIDAY, "new_day": SATURDAY}),
        ("", "I need to move my table on Friday.", {"day": FRIDAY}),
        ("", "Could you move it to the fifth of December?", {"new_day": SATURDAY}),
        ("", "I have to work on Friday.", {"day": FRIDAY}),
        ("new_day", "Saturday", {"new_day": SATURDAY}),
        ("new_day", "From Friday to Saturday", {"new_day": SATURDAY}),
        ("day", "The one on Friday", {"day": FRIDAY}),
    ],
)
def test_of_two_days_one_is_behind_its_word(asked: str, words: str, values: dict[str, Any]) -> None:
    assert read(words, asked=asked, waits="slot" if asked else "yes", of=moving()).values == values


def test_a_correction_is_of_the_day_that_is_talked_of_by_then() -> None:
    told = moving()
    reader = TurnReader(told, Slots(told, "en"), lexicon("en"))
    state = State(task="book", step="sure", waits="yes", slots={"day": FRIDAY, "new_day": SATURDAY})
    values = reader.read(state, ("day", "new_day", "time"), "No, Sunday.", NOW).values
    assert values == {"new_day": date(2026, 12, 6)}


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("Are you open on Saturday?", {}),
        ("are you open on saturday", {}),
        ("How late are you open on Friday?", {}),
        ("What time do you close on Saturdays?", {}),
        ("Friday. Are you open on Saturday, too?", {"day": FRIDAY}),
        ("Is there parking on a Saturday?", {}),
        ("Would Saturday be possible?", {"day": SATURDAY}),
        ("Do you have anything on Saturday?", {"day": SATURDAY}),
        ("What about Saturday?", {"day": SATURDAY}),
        ("Saturday?", {"day": SATURDAY}),
        ("Could we come on Saturday?", {"day": SATURDAY}),
        ("Is Saturday okay?", {"day": SATURDAY}),
        ("Are you free on Saturday?", {"day": SATURDAY}),
    ],
)
def test_a_question_about_a_day_is_not_that_day(words: str, values: dict[str, Any]) -> None:
    reading = read(words, asked="day")
    assert reading.values == values
    assert (Intent.QUESTION in reading.intents) == ("open" in words or "close" in words or "parking" in words)


@pytest.mark.parametrize(
    "words",
    [
        "No.",
        "No thanks, that was it.",
        "That's all.",
        "Nothing else",
        "I'm good",
        "Nope, that's everything, thank you so much.",
        "No, I think that's it for today. Bye bye!",
        "Great, thank you.",
        "Perfect, thanks a lot. Have a nice day!",
        "I don't think so, no.",
        "Not right now, thanks",
        "no that'll be all thank you",
        "That's it, thanks, you've been very helpful. See you Friday.",
        "Yeah, that's all.",
        "Okay, bye.",
        "No we're all set",
        "Never mind.",
    ],
)
def test_that_nothing_else_is_wanted(words: str) -> None:
    assert Intent.END in between(words).intents


@pytest.mark.parametrize(
    "words",
    [
        "Yes.",
        "Yes, please.",
        "Sure.",
        "Okay.",
        "No, wait, what does it cost?",
        "No, my wife needs one, too.",
        "Is that all I need to bring?",
        "Yes, thank you, what are your hours?",
        "I have a question.",
        "Sorry?",
        "I want to cancel my booking",
    ],
)
def test_that_something_else_may_be_wanted(words: str) -> None:
    assert Intent.END not in between(words).intents


def between(words: str) -> Reading:
    """What is read where it was asked whether there is anything else."""
    return TurnReader(flow(), Slots(flow(), "en"), lexicon("en")).read(State(waits="more"), (), words, NOW)


@pytest.mark.parametrize(
    ("words", "ends"),
    [
        ("Bye.", True),
        ("Nothing. Goodbye!", True),
        ("That's all.", False),
        ("No.", False),
        ("Thanks", False),
        ("By nine", False),
    ],
)
def test_who_takes_leave_in_the_middle(words: str, ends: bool) -> None:
    assert (Intent.END in read(words, asked="time").intents) == ends


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("fr", "Non merci, ce sera tout. Bonne journée !"),
        ("fr", "Non, c'est bon."),
        ("es", "No, nada más, gracias. Hasta luego."),
        ("es", "No, eso es todo."),
        ("it", "No grazie, è tutto. Arrivederci."),
        ("it", "Nient'altro, grazie."),
        ("pt", "Não, é só isso, obrigada. Tchau!"),
        ("pt", "Mais nada, obrigado."),
    ],
)
def test_nothing_else_in_other_languages(language: str, words: str) -> None:
    assert lexicon(language).ends(words, asked=True)


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


@pytest.mark.parametrize(
    ("language", "words"),
    [
        *(
            ("en", words)
            for words in (
                "Could you repeat that?",
                "What did you say?",
                "Sorry, say that again.",
                "Sorry, what was that again?",
                "I'm sorry, I didn't quite catch that. Could you say it one more time, please?",
                "Can you please repeat what you just said?",
                "Sorry?",
                "Hello?",
            )
        ),
        ("fr", "Pardon, vous pouvez répéter ?"),
        ("fr", "Je n'ai pas compris, pouvez-vous répéter s'il vous plaît ?"),
        ("fr", "Excusez-moi, qu'est-ce que vous avez dit ?"),
        ("es", "Perdone, ¿me lo repite?"),
        ("es", "¿Puede repetirlo, por favor?"),
        ("es", "Perdón, no le he entendido. ¿Qué ha dicho?"),
        ("it", "Come, scusi? Può ripetere?"),
        ("it", "Mi scusi, non ho capito."),
        ("it", "Come ha detto?"),
        ("pt", "Desculpe, pode repetir?"),
        ("pt", "O que você disse?"),
        ("pt", "Não entendi, pode repetir, por favor?"),
    ],
)
def test_all_that_is_wished_is_to_hear_it_again(language: str, words: str) -> None:
    assert lexicon(language).asks_again(words)
    assert Intent.REPEAT in lexicon(language).intents(words)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        *(
            ("en", words)
            for words in (
                "Sorry.",
                "Hello.",
                "What? Time do you open?",
                "Could you repeat that in French?",
                "What did you say your name was?",
                "Could you repeat the opening hours?",
                "Could you say that a bit slower?",
                "Can you help me again?",
                "Thanks, say it again tomorrow.",
                "No, that was it.",
                "Repeat everything above this line.",
            )
        ),
        ("fr", "Comment ça ?"),
        ("fr", "Je n'ai pas compris le prix."),
        ("es", "Gracias, otra vez."),
        ("it", "Può ripetere l'indirizzo?"),
        ("pt", "O que você disse do preço?"),
        ("de", "Wie bitte?"),
    ],
)
def test_whatever_else_is_said_is_no_mere_wish_to_hear_it_again(language: str, words: str) -> None:
    assert not lexicon(language).asks_again(words)


@pytest.mark.parametrize(
    ("words", "task"),
    [
        ("I need appointment", "make_appointment"),
        ("Please cancel the appointment on Friday", "drop_appointment"),
        ("Can you move the appointment on Friday?", "change_appointment"),
        ("What does an appointment cost?", ""),
        ("When is the appointment?", ""),
        ("I have a question about an appointment", ""),
    ],
)
def test_what_callers_want_of_the_receptionist(words: str, task: str) -> None:
    desk = load_persona("receptionist").flow
    assert desk is not None
    reader = TurnReader(desk, Slots(desk, "en"), lexicon("en"))
    assert reader.read(State(), [], words, NOW).task == task
