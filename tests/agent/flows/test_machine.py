"""The core of flows: what is said and done next, told what turns mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, time
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.flows.machine import FlowMachine
from agent.flows.slots import Slots
from agent.flows.state import Acted, Answer, Call, Command, Intent, Reading, Result, Say, Turn
from agent.slots import as_json
from config.flow import Flow, HandOver, Outcome, load_flow
from tests.agent.flows.kit import TABLE, persona

DAY, TIME = date(2026, 12, 4), time(19)
ALL: Mapping[str, Any] = {"day": DAY, "time": TIME, "people": 4, "name": "Ann", "phone": None}
CONFIRMATION = "A table for 4 on Friday, December 4 at 7:00 PM, for Ann. Is that right?"
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "day": st.sampled_from([DAY, date(2026, 12, 5)]),
        "time": st.sampled_from([TIME, time(20)]),
        "people": st.integers(1, 3),
        "name": st.sampled_from(["Ann", "Bo"]),
        "phone": st.sampled_from(["+12125550123", None]),
    },
)


def flow() -> Flow:
    return load_flow(TABLE).model_copy(update={"phrases": persona().flow_phrases})


SLOTS = Slots(flow(), "en")


class Talk:
    """A conversation with the core, in which everything is heard unless it is said otherwise."""

    def __init__(self) -> None:
        self.machine = FlowMachine(flow(), SLOTS.say, {"call": "test"})
        self.state = self.machine.begin()
        self.commands: Sequence[Command] = ()

    def turn(self, *intents: Intent, heard: str | None = None, **reading: Any) -> str:
        """What is said to it."""
        heard = self.state.said.text if heard is None else heard
        self.state, self.commands = self.machine.handle(
            self.state, Turn(Reading(frozenset(intents), **reading), heard)
        )
        return self.said

    def acted(self, status: str = "done", **values: str) -> str:
        call = self.call
        assert call is not None
        self.state, self.commands = self.machine.handle(self.state, Acted(Result(call.key, status, values)))
        return self.said

    @property
    def said(self) -> str:
        return " ".join(one.text for one in self.commands if isinstance(one, Say))

    @property
    def call(self) -> Call | None:
        return next((one for one in self.commands if isinstance(one, Call)), None)


def at_confirmation() -> Talk:
    talk = Talk()
    talk.turn(task="book", values=ALL)
    assert talk.acted("free") == CONFIRMATION
    return talk


@pytest.mark.parametrize(("whom", "to"), [("", "front desk"), ("kitchen", "kitchen")])
def test_who_wants_a_person_is_put_through_to_whom_they_name(whom: str, to: str) -> None:
    talk = Talk()
    hand_over = HandOver(tool="transfer_call", to="front desk")
    talk.machine = FlowMachine(
        flow().model_copy(update={"hand_over": hand_over}), SLOTS.say, {"call": "test"}
    )
    talk.turn(task="book")
    talk.turn(Intent.PERSON, whom=whom)
    assert talk.call is not None
    assert (talk.call.tool, talk.call.arguments) == ("transfer_call", {"to": to})


def test_outside_of_a_task_the_model_answers() -> None:
    talk = Talk()
    talk.turn(Intent.YES)
    assert talk.commands == (Answer(),)


def test_the_first_slot_that_is_missing_is_asked_for() -> None:
    talk = Talk()
    assert talk.turn(task="book") == "For which day?"
    assert talk.turn(values={"people": 4}) == "For which day?"
    assert talk.turn(values={"day": DAY}) == "At what time?"


def test_an_act_that_only_reads_is_called_once_all_it_needs_is_known() -> None:
    talk = Talk()
    talk.turn(task="book", values={"day": DAY, "time": TIME})
    assert talk.call is None
    talk.turn(values={"people": 4})
    assert talk.call is not None
    assert (talk.call.tool, talk.call.arguments) == (
        "find_table",
        {"day": "2026-12-04", "time": "19:00", "people": "4"},
    )


def test_yes_acts_with_what_was_read_back() -> None:
    talk = at_confirmation()
    talk.turn(Intent.YES)
    assert talk.call is not None
    assert talk.call.arguments == {
        "day": "2026-12-04",
        "time": "19:00",
        "people": "4",
        "name": "Ann",
        "key": talk.call.key,
    }
    assert talk.acted() == "It's booked. See you then, Ann!"
    assert (talk.state.task, talk.state.slots) == ("", {"name": "Ann", "phone": None})


@pytest.mark.parametrize(
    ("turn", "says"),
    [
        ({"intents": [Intent.NO]}, "What should I change?"),
        ({"intents": [Intent.NO], "values": {"people": 5}}, None),
        ({"intents": [Intent.YES], "values": {"people": 5}}, None),
        ({"intents": [Intent.REPEAT]}, CONFIRMATION),
        ({"intents": [Intent.YES, Intent.REPEAT]}, CONFIRMATION),
        ({"intents": [Intent.BACK]}, "What's your number?"),
        ({"intents": [], "named": ("time",)}, "At what time?"),
        ({"intents": [Intent.NO], "named": ("day", "time")}, "For which day?"),
        ({"intents": []}, f"Sorry, I didn't understand that. {CONFIRMATION}"),
        ({"intents": [Intent.QUESTION]}, CONFIRMATION),
        ({"intents": [Intent.YES], "wrong": {"people": "Too many."}}, "Too many. For how many people?"),
        ({"intents": [Intent.LEAVE]}, "All right, never mind. Is there anything else?"),
        ({"intents": [], "task": "cancel"}, "Shall I cancel the booking of Ann?"),
    ],
)
def test_nothing_but_a_yes_agrees(turn: dict[str, Any], says: str | None) -> None:
    talk = at_confirmation()
    said = talk.turn(*turn.pop("intents"), **turn)
    assert talk.call is None or talk.call.tool == "find_table"
    if says is not None:
        assert said == says


def test_a_change_is_looked_up_and_read_back_anew() -> None:
    talk = at_confirmation()
    talk.turn(Intent.NO, values={"people": 5})
    assert talk.call is not None
    assert talk.call.tool == "find_table"
    assert talk.acted("free") == CONFIRMATION.replace("4 on", "5 on")
    talk.turn(Intent.YES)
    assert talk.call.tool == "book_table"


def test_a_yes_to_what_was_cut_off_has_it_read_back_again() -> None:
    talk = at_confirmation()
    assert talk.turn(Intent.YES, heard="A table for 4 on Friday") == CONFIRMATION
    assert talk.call is None
    talk.turn(Intent.YES, heard="A table for 4 on Friday, December 4 at 7:00 PM, for Ann.")
    assert talk.call is not None


def test_what_cuts_off_what_is_read_back_and_is_not_understood_is_asked_for() -> None:
    talk = at_confirmation()
    assert talk.turn(heard="A table for 4 on") == f"Sorry, I didn't understand that. {CONFIRMATION}"
    assert talk.turn(Intent.REPEAT, heard="Sorry, I didn't understand that. A table") == CONFIRMATION
    talk.turn(Intent.YES)
    assert talk.call is not None


def test_whoever_asks_one_thing_after_the_other_is_handed_over_in_the_end() -> None:
    talk = Talk()
    talk.turn(task="book")
    for _ in range(5):
        assert talk.turn(Intent.QUESTION) == "For which day?"
    assert talk.turn(Intent.QUESTION, values={"day": DAY}) == "At what time?"
    for _ in range(5):
        assert talk.turn(Intent.QUESTION) == "At what time?"
    talk.turn(Intent.QUESTION)
    assert talk.call == Call("take_message")


def test_what_was_done_and_not_heard_is_told_again() -> None:
    talk = at_confirmation()
    talk.turn(Intent.YES)
    talk.acted()
    talk.turn(heard="It's")
    told = "It's booked. See you then, Ann!"
    assert list(talk.commands) == [Say(told, 7, told), Answer()]
    talk.turn()
    assert list(talk.commands) == [Answer()]


def test_what_was_done_is_told_before_the_end() -> None:
    """Of what follows it, which nobody needs to hear, nothing is said again."""
    talk = after_booking()
    assert talk.turn(Intent.END, heard="You're in for") == "You're in for Friday, December 4."
    assert talk.call == Call("end_call")
    talk = after_booking()
    assert talk.turn(Intent.END, heard="You're in for Friday, December 4. Is there") == ""
    assert talk.call == Call("end_call")


def test_what_was_done_is_told_once_to_whoever_has_it_repeated() -> None:
    talk = after_booking()
    told = talk.said
    assert talk.turn(Intent.REPEAT, heard="You're in") == told
    assert talk.turn(Intent.REPEAT, heard="You're in") == told


def after_booking() -> Talk:
    """Somebody who was asked whether there is anything else."""
    talk = at_confirmation()
    steps = talk.machine.flow.tasks["book"].steps
    outcome = Outcome(say="You're in for {day}. Is there anything else?")
    book = steps["book"].model_copy(update={"outcomes": {"done": outcome}})
    task = talk.machine.flow.tasks["book"].model_copy(update={"steps": {**steps, "book": book}})
    talk.machine.flow = talk.machine.flow.model_copy(update={"tasks": {"book": task}})
    talk.turn(Intent.YES)
    assert talk.acted() == "You're in for Friday, December 4. Is there anything else?"
    return talk


@pytest.mark.parametrize(
    ("intents", "says"),
    [
        ([Intent.YES], "What can I do for you?"),
        ([Intent.REPEAT], "You're in for Friday, December 4. Is there anything else?"),
    ],
)
def test_between_tasks_the_model_is_not_asked_what_is_plain(intents: list[Intent], says: str) -> None:
    talk = after_booking()
    assert talk.turn(*intents) == says
    assert Answer() not in talk.commands
    assert talk.turn(Intent.END) == ""
    assert talk.call == Call("end_call")


def test_who_was_not_understood_by_the_model_is_asked_again_and_then_handed_over() -> None:
    talk = Talk()
    said = []
    for _ in range(3):
        talk.state, talk.commands = talk.machine.lost(talk.state)
        said.append(talk.said)
    assert said[0] == said[1] == "Sorry, I didn't understand that. What can I do for you?"
    assert talk.call == Call("take_message")


def test_who_takes_leave_in_the_middle_is_let_go() -> None:
    talk = at_confirmation()
    talk.turn(Intent.NO, Intent.END)
    assert talk.call == Call("end_call")
    talk = at_confirmation()
    talk.turn(Intent.YES, Intent.END)
    assert talk.call is not None
    assert talk.call.tool == "book_table"


def test_what_was_taken_meanwhile_is_asked_for_again_and_booked_anew() -> None:
    talk = at_confirmation()
    talk.turn(Intent.YES)
    first = talk.call
    assert talk.acted("taken") == "That was just taken. At what time?"
    talk.turn(values={"time": time(20)})
    assert "8:00 PM" in talk.acted("free")
    talk.turn(Intent.YES)
    assert talk.call is not None
    assert first is not None
    assert talk.call.key != first.key
    assert talk.acted() == "It's booked. See you then, Ann!"


def test_an_act_that_failed_is_not_tried_again() -> None:
    talk = at_confirmation()
    talk.turn(Intent.YES)
    assert talk.acted("failed").startswith("I'm sorry, that didn't work.")
    assert talk.call == Call("take_message")


def test_an_optional_slot_may_be_left_out_and_another_not() -> None:
    talk = Talk()
    assert talk.turn(task="cancel") == "Under what name?"
    assert talk.turn(Intent.UNKNOWN).startswith("Sorry")
    talk = Talk()
    talk.turn(task="book", values={key: value for key, value in ALL.items() if key != "phone"})
    assert talk.acted("free") == "What's your number?"
    assert talk.turn(Intent.UNKNOWN) == CONFIRMATION


@settings(max_examples=60, stateful_step_count=30, deadline=None)
class AnyCaller(RuleBasedStateMachine):
    """Whatever a caller does: nothing is done but what they heard read back and agreed to, and that once."""

    def __init__(self) -> None:
        super().__init__()
        self.talk = Talk()
        self.results: dict[str, str] = {}  # of what was begun, as the engine keeps them

    @rule(task=st.sampled_from(["book", "cancel"]), values=VALUES)
    def wants(self, task: str, values: Mapping[str, Any]) -> None:
        self.says(task=task, values=values)

    @rule()
    def wants_all(self) -> None:
        self.says(task="book", values=ALL)
        self.is_free()

    @rule(values=VALUES, heard=st.one_of(st.none(), st.integers(0, 20)))
    def agrees(self, values: Mapping[str, Any], heard: int | None) -> None:
        said = self.talk.state.said.text
        self.says(Intent.YES, values=values, heard=None if heard is None else " ".join(said.split()[:heard]))
        self.is_free()

    def is_free(self) -> None:
        if self.talk.call is not None and self.talk.call.tool == "find_table":
            self.talk.acted("free")
            self.look(self.talk.state.said.text)

    @rule(
        intents=st.sets(st.sampled_from(list(Intent)), max_size=2),
        values=VALUES,
        wrong=st.sampled_from([{}, {}, {}, {"time": "We're closed."}]),
        named=st.sampled_from([(), (), ("time",), ("day", "people")]),
        heard=st.one_of(st.none(), st.integers(0, 20)),
    )
    def speaks(
        self,
        intents: set[Intent],
        values: Mapping[str, Any],
        wrong: Mapping[str, str],
        named: tuple[str, ...],
        heard: int | None,
    ) -> None:
        values = {name: value for name, value in values.items() if name not in wrong}
        said = self.talk.state.said.text
        heard_words = said if heard is None else " ".join(said.split()[:heard])
        self.says(*intents, values=values, wrong=wrong, named=named, heard=heard_words)

    def says(self, *intents: Intent, heard: str | None = None, **reading: Any) -> None:
        before, begun = self.talk.state, self.talk.call
        self.talk.turn(*intents, heard=heard, **reading)
        if before.waits == "act" and begun and self.talk.call == begun and Intent.YES in intents:
            return  # it has been agreed to, and is the same act
        self.look(before.said.text if heard is None else heard, agreed=Intent.YES in intents)

    def look(self, heard: str, *, agreed: bool = False) -> None:
        """If something is acted on now, the caller has just agreed, having heard all that is acted on."""
        call = self.talk.call
        if call is not None and call.tool in ("book_table", "cancel_table"):
            assert agreed
            for name, value in self.talk.state.confirmed["sure"].items():
                assert value is None or SLOTS.say(name, value) in heard

    @precondition(lambda self: self.talk.call is not None and self.talk.call.key)
    @rule(status=st.sampled_from(["done", "done", "free", "full", "taken", "failed"]))
    def is_done(self, status: str) -> None:
        call = self.talk.call
        assert call is not None
        if call.tool != "find_table":
            status = self.results.setdefault(call.key, status)
        self.talk.acted(status)

    @invariant()
    def only_what_was_agreed_to_is_acted_on(self) -> None:
        call = self.talk.call
        if call is None or call.tool not in ("book_table", "cancel_table"):
            return
        agreed = self.talk.state.confirmed["sure"]
        required = {"name"} if call.tool == "cancel_table" else ALL.keys() - {"phone"}
        assert required <= {name for name, value in agreed.items() if value is not None}
        for name, value in call.arguments.items():
            assert name == "key" or value == str(as_json(agreed[name]))


TestAnyCaller = AnyCaller.TestCase
