"""Tools in whole conversations, on a virtual clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema

from agent.tools.runner import ASKING, GIVEN_UP
from agent.tools.tool import WRONG, Arguments, CallFacts, Tool, WrongArguments
from agent.tools.toolbox import Toolbox
from config.persona import Persona
from config.primer import lessons
from config.settings import Settings
from tests.agent.conversation_kit import PERSONA, Outcome, Says, answers, callers, converse
from tests.agent.scripted_llm import ScriptedEndpoint

FILLER = lessons("en").filler
BOOKS = Says(2.0, 3.5, "Book me a table for four.")
CALL = '!book_table{"people":4}'
ASKS = PERSONA.model_copy(update={"tools": ("book_table",)})


@dataclass
class Booking:
    """A tool that takes `seconds`, and notes what it was given, and what became of it."""

    seconds: float = 0.1
    options: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, str] = field(default_factory=lambda: {"booked": "yes"})
    begun: list[Arguments] = field(default_factory=list)
    done: list[Arguments] = field(default_factory=list)
    calls: list[CallFacts] = field(default_factory=list)

    async def _run(self, arguments: Arguments, call: CallFacts) -> Mapping[str, str]:
        self.begun.append(arguments)
        self.calls.append(call)
        await asyncio.sleep(self.seconds)
        self.done.append(arguments)
        return self.result

    @staticmethod
    def _check(arguments: Arguments) -> Arguments:
        if not isinstance(arguments.get("people"), int):
            raise WrongArguments("people: missing")
        return arguments

    def converse(self, script: list[Says], replies: dict[str, str], **how: Any) -> Outcome:
        schema = FunctionSchema("book_table", "Book a table.", {"people": {"type": "integer"}}, ["people"])
        tool = Tool(schema, self._run, check=self._check, **self.options)
        persona: Persona = how.pop("persona", ASKS)
        settings = Settings.model_validate({"call": {"idle_prompt_s": how.pop("idle_prompt_s", 60)}})
        return converse(script, replies, persona=persona, toolbox=Toolbox([tool]), settings=settings, **how)


BOOKED = json.dumps({"booked": "yes"})
TOLD = {BOOKED: "Your table is booked."}


def told(outcome: Outcome, context: int = -1) -> list[str]:
    """What the model was told of tools, when it was asked the last time, or another."""
    return [one["content"] for one in outcome.contexts[context] if one["role"] == "tool"]


def test_the_model_answers_from_what_a_tool_returns() -> None:
    booking = Booking()
    outcome = booking.converse([BOOKS], {BOOKS.text: CALL, **TOLD})
    assert answers(outcome) == [PERSONA.greeting, "Your table is booked."]
    assert booking.done == [{"people": 4}]
    (call,) = outcome.tool_calls
    assert (call.name, call.arguments, call.result, call.error) == (
        "book_table",
        {"people": 4},
        {"booked": "yes"},
        None,
    )
    assert call.seconds == pytest.approx(0.1, abs=0.01)
    facts = booking.calls[0]
    assert (facts.caller, facts.called, facts.persona, facts.language) == ("caller", "agent", "Test", "en")
    assert outcome.left == []


def test_the_model_answers_also_where_a_tool_returns_nothing() -> None:
    booking = Booking(result={})
    outcome = booking.converse([BOOKS], {BOOKS.text: CALL, json.dumps({"result": {}}): "It is done."})
    assert answers(outcome) == [PERSONA.greeting, "It is done."]


def test_a_slow_tool_is_bridged_and_a_quick_one_is_not() -> None:
    quick, slow = Booking(0.5), Booking(4.0)
    for booking, moments in ((quick, 0), (slow, 1)):
        outcome = booking.converse([BOOKS], {BOOKS.text: CALL, **TOLD})
        assert [text for _, text in outcome.spoken].count(FILLER) == moments
        assert answers(outcome)[-1] == "Your table is booked."


def test_a_slow_tool_is_bridged_behind_words_too() -> None:
    outcome = Booking(6.0).converse([BOOKS], {BOOKS.text: f"Let me see. {CALL}", **TOLD})
    said = [text for _, text in outcome.spoken]
    assert said.count(FILLER) == 1
    assert said.index("Let me see.") < said.index(FILLER) < said.index("Your table is")


def test_a_tool_may_take_longer_than_an_answer() -> None:
    booking = Booking(28.0, {"timeout_s": 60.0})
    outcome = booking.converse([BOOKS], {BOOKS.text: CALL, **TOLD}, lasts=40)
    assert answers(outcome)[-1] == "Your table is booked."


INTERRUPTS = Says(7.0, 9.0, "What's the weather like today?")
WEATHER = {INTERRUPTS.text: "It is sunny."}


def test_an_interruption_cancels_a_tool_that_may_be() -> None:
    booking = Booking(5.0, {"on_interruption": "cancel"})
    outcome = booking.converse([BOOKS, INTERRUPTS], {BOOKS.text: CALL, **TOLD, **WEATHER})
    assert (len(booking.begun), booking.done) == (1, [])
    assert [call.error for call in outcome.tool_calls] == [GIVEN_UP]
    assert answers(outcome)[-1] == "It is sunny."
    assert told(outcome) == ["CANCELLED"]
    assert outcome.left == []


def test_an_interruption_lets_a_tool_finish_that_must() -> None:
    booking = Booking(5.0)
    outcome = booking.converse([BOOKS, INTERRUPTS], {BOOKS.text: CALL, **TOLD, **WEATHER})
    assert len(booking.begun) == len(booking.done) == 1
    assert [call.result for call in outcome.tool_calls] == [{"booked": "yes"}]
    assert "It is sunny." in answers(outcome)
    # What came of it is told later, and not as if the caller had said it.
    later = [one for one in outcome.contexts[-1] if "booked" in str(one.get("content"))]
    assert [one["role"] for one in later] == ["system"]
    assert outcome.left == []


@pytest.mark.parametrize("start", [5.3, 5.6, 5.9])
def test_a_tool_is_cancelled_in_the_words_before_it(start: float) -> None:
    booking = Booking(5.0, {"on_interruption": "cancel"})
    over = Says(start, start + 2.0, INTERRUPTS.text)
    replies = {BOOKS.text: f"Let me see what there is for you. {CALL}", **TOLD, **WEATHER}
    outcome = booking.converse([BOOKS, over], replies)
    assert (len(booking.begun), booking.done) == (1, [])
    assert answers(outcome)[-1] == "It is sunny."
    assert told(outcome) == ['"CANCELLED"']


@pytest.mark.parametrize("start", [6.42, 6.46, 6.5])
def test_what_a_tool_has_done_is_known_though_the_words_before_it_are_talked_over(start: float) -> None:
    over = Says(start, start + 2.0, INTERRUPTS.text)
    replies = {BOOKS.text: f"I will book that for you right now. {CALL}", **TOLD, **WEATHER}
    outcome = Booking().converse([BOOKS, over], replies)
    assert callers(outcome) == [BOOKS.text, over.text]
    assert "booked" in str(outcome.contexts[-1])


def test_a_turn_that_goes_on_forgets_nothing_of_a_tool_that_was_called_before() -> None:
    more = Says(10.1, 11.0, "in Rome, I mean.")
    whole = f"{INTERRUPTS.text} {more.text}"
    replies = {BOOKS.text: CALL, INTERRUPTS.text: "!slow It is sunny.", **TOLD}
    outcome = Booking(5.0).converse([BOOKS, INTERRUPTS, more], replies)
    assert callers(outcome) == [BOOKS.text, whole]
    assert "booked" in str(outcome.contexts[-1])


@pytest.mark.parametrize("first", ["", "Let me see."])
@pytest.mark.parametrize("takes_s", [1.0, 5.0])
def test_a_cough_over_a_tool_or_behind_it_costs_no_answer(first: str, takes_s: float) -> None:
    booking = Booking(takes_s, {"on_interruption": "cancel"})
    replies = {BOOKS.text: f"{first} {CALL}", BOOKED: "!slow Your table is booked."}
    outcome = booking.converse([BOOKS, Says(6.7, 7.1, "")], replies)
    assert answers(outcome)[-1] == "Your table is booked."
    assert len(booking.done) == 1


def test_what_comes_of_a_tool_that_needs_no_answer_isnt_waited_for() -> None:
    outcome = Booking(options={"answers": False}).converse([BOOKS], {BOOKS.text: CALL}, lasts=50)
    assert [text for _, text in outcome.spoken] == [PERSONA.greeting]


@pytest.mark.parametrize("first", ["", "Let me see."])
def test_who_says_nothing_behind_such_a_tool_is_asked_whether_they_are_there(first: str) -> None:
    booking = Booking(2.0, {"answers": False})
    outcome = booking.converse([BOOKS], {BOOKS.text: f"{first} {CALL}"}, lasts=30, idle_prompt_s=12)
    assert answers(outcome)[-1] == PERSONA.idle_prompts[0]


@pytest.mark.parametrize(("ends", "done"), [("cancel", 0), ("finish", 1)])
def test_a_caller_who_hangs_up_over_a_tool(ends: str, done: int) -> None:
    booking = Booking(3.0, {"on_interruption": ends})
    outcome = booking.converse([BOOKS], {BOOKS.text: CALL}, lasts=6.5)
    assert (len(booking.begun), len(booking.done)) == (1, done)
    assert [call.error for call in outcome.tool_calls] == [None if done else GIVEN_UP]
    assert outcome.left == []


def test_a_tool_is_called_though_music_goes_on() -> None:
    booking = Booking()
    booking.converse([BOOKS, Says(4.5, 30.0, "")], {BOOKS.text: CALL, **TOLD}, lasts=25)
    assert booking.done == [{"people": 4}]


def test_half_a_turn_calls_no_tool() -> None:
    half = Says(2.0, 3.5, "Book me a table for four")
    more = Says(4.0, 5.0, "no, for five.")
    whole = f"{half.text} {more.text}"
    booking = Booking()
    outcome = booking.converse([half, more], {half.text: CALL, whole: '!book_table{"people":5}', **TOLD})
    assert callers(outcome) == [whole]
    assert booking.begun == [{"people": 5}]
    assert outcome.discarded + outcome.false_starts > 0  # it was answered ahead, or too early


CONFIRMED = {"confirm": "Shall I book a table for {people}?"}
QUESTION = "Shall I book a table for 4?"


def confirming(reply: str, **replies: str) -> tuple[Booking, Outcome]:
    says = Says(9.0, 10.0, reply)
    booking = Booking(options=CONFIRMED)
    return booking, booking.converse([BOOKS, says], {BOOKS.text: CALL, **TOLD, **replies})


@pytest.mark.parametrize("reply", ["Yes.", "Um, yes, please do.", "That's right, thank you."])
def test_a_yes_has_it_done_without_asking_the_model(reply: str) -> None:
    booking, outcome = confirming(reply)
    assert answers(outcome) == [PERSONA.greeting, QUESTION, "Your table is booked."]
    assert booking.begun == [{"people": 4}]
    assert outcome.tools == ["book_table"]
    assert told(outcome) == [json.dumps({"status": ASKING}), BOOKED]
    assert outcome.left == []


@pytest.mark.parametrize("reply", ["No.", "Yes, but for five.", "Thanks.", "What time is it?", "Yes or no."])
def test_anything_else_does_not(reply: str) -> None:
    booking, outcome = confirming(reply)
    assert answers(outcome) == [PERSONA.greeting, QUESTION, "Okay then."]
    assert booking.begun == []
    assert outcome.tools == []


def test_a_model_that_calls_it_for_a_no_only_has_the_caller_asked_again() -> None:
    booking, outcome = confirming("Certainly not.", **{"Certainly not.": CALL})
    assert answers(outcome) == [PERSONA.greeting, QUESTION, QUESTION]
    assert booking.begun == []


def test_only_the_next_turn_agrees_and_only_once() -> None:
    no, yes = Says(9.0, 10.0, "Wait a little."), Says(14.0, 15.0, "Yes.")
    booking = Booking(options=CONFIRMED)
    booking.converse([BOOKS, no, yes], {BOOKS.text: CALL, **TOLD}, lasts=22)
    assert booking.begun == []
    first, second = Says(9.0, 10.0, "Yes."), Says(16.0, 17.0, "Yes, yes.")
    booking.converse([BOOKS, first, second], {BOOKS.text: CALL, **TOLD}, lasts=24)
    assert booking.begun == [{"people": 4}]


def test_a_yes_agrees_to_a_question_that_was_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedEndpoint, "kind", "bundled")
    again, yes = Says(9.0, 10.0, "Could you repeat that?"), Says(15.0, 16.0, "Yes.")
    booking = Booking(options=CONFIRMED)
    outcome = booking.converse([BOOKS, again, yes], {BOOKS.text: CALL, **TOLD}, lasts=22)
    assert answers(outcome) == [PERSONA.greeting, QUESTION, QUESTION, "Your table is booked."]
    assert booking.begun == [{"people": 4}]


def test_a_question_that_was_cut_off_is_said_again_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedEndpoint, "kind", "bundled")
    over, yes = Says(6.2, 7.2, "Sorry, what did you say?"), Says(13.0, 14.0, "Yes.")
    booking = Booking(options=CONFIRMED)
    outcome = booking.converse([BOOKS, over, yes], {BOOKS.text: CALL, **TOLD}, lasts=20)
    assert outcome.turns[2] == ("agent", "Shall I book", True)
    assert answers(outcome)[2:] == [QUESTION, "Your table is booked."]
    assert booking.begun == [{"people": 4}]


def test_a_yes_that_goes_on_is_none() -> None:
    yes, more = Says(9.0, 9.6, "Yes."), Says(10.2, 11.5, "But for five.")
    booking = Booking(options=CONFIRMED)
    outcome = booking.converse([BOOKS, yes, more], {BOOKS.text: CALL, **TOLD})
    assert callers(outcome)[-1] == "Yes. But for five."
    assert booking.begun == []


def test_a_yes_to_a_question_that_was_not_heard_is_none() -> None:
    over = Says(5.6, 6.8, "Yes, please do.")
    booking = Booking(options=CONFIRMED)
    outcome = booking.converse([BOOKS, over], {BOOKS.text: CALL, over.text: CALL, **TOLD}, lasts=16)
    assert answers(outcome) == [PERSONA.greeting, "Shall I", QUESTION]
    assert booking.begun == []


def test_wrong_arguments_are_told_once_more_and_then_answered_in_words() -> None:
    booking = Booking()
    wrong = json.dumps({"error": f"{WRONG}people: missing"})
    outcome = booking.converse([BOOKS], {BOOKS.text: "!book_table", wrong: "!book_table"})
    assert booking.begun == []
    assert [call.error for call in outcome.tool_calls] == [f"{WRONG}people: missing"] * 2
    assert outcome.offered == [["end_call", "book_table"]] * 2 + [[]] * 2
    assert answers(outcome) == [PERSONA.greeting, PERSONA.again]  # it insisted, and was asked twice for words
