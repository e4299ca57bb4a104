"""The table in `agent.turn.machine`, cell by cell, and what holds whatever happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agent.answering import Answering
from agent.turn import commands
from agent.turn.commands import AskCompleteness, Command, Do, Purpose, Transcribe
from agent.turn.events import (
    AgentDone,
    Event,
    Heard,
    Judged,
    Plain,
    SpeechPausing,
    SpeechStarted,
    Tick,
    Typed,
)
from agent.turn.machine import TurnMachine
from agent.turn.speculation import Speculation
from agent.turn.utterance import State
from config.turn import TurnSettings
from models.transcript import Transcript
from tests.agent.conversation_kit import PERSONA

FRAME_S = 0.02
SURE_S = TurnSettings().sure_silence_ms / 1000
HANGING_S = TurnSettings().hanging_silence_ms / 1000


def words(text: str, *, logprob: float = -0.2, finished: float = 0.9) -> Transcript:
    return Transcript(text, "en", logprob, 0.01, 100.0, finished=finished)


class Call:
    """A machine, its clock, and what it wanted by now."""

    def __init__(self, *, uninterruptible: int = 0, turn: TurnSettings | None = None) -> None:
        self.speculation = Speculation()
        self.machine = TurnMachine(
            Answering([PERSONA.model_copy(update={"goodbye_words": ("goodbye",)})], turn or TurnSettings()),
            self.speculation,
            look_every_ms=40,
            uninterruptible=uninterruptible,
        )
        self.now = 10.0
        self.speech_end: float | None = None
        self.wanted: list[Command] = []

    @property
    def state(self) -> State:
        return self.machine.state

    def tell(self, event: Event) -> Sequence[Command]:
        wanted = self.machine.handle(event, self.now)
        self.wanted += wanted
        return wanted

    def starts(self) -> Sequence[Command]:
        self.speech_end = None
        return self.tell(SpeechStarted(self.now))

    def pauses(self) -> Sequence[Command]:
        self.speech_end = self.now
        return self.tell(SpeechPausing(self.now))

    def resumes(self) -> Sequence[Command]:
        self.speech_end = None
        return self.tell(Plain.SPEECH_RESUMED)

    def ticks(self, seconds: float, **line: Any) -> Sequence[Command]:
        wanted: list[Command] = []
        for _ in range(round(seconds / FRAME_S)):
            self.now += FRAME_S
            wanted += self.tell(Tick(**{"audio_s": 1.0, "speech_end": self.speech_end} | line))
        return wanted

    def hears(self, text: str | None, purpose: Purpose = Purpose.PAUSE, **more: Any) -> Sequence[Command]:
        """The latest question of that purpose is answered."""
        number = self.latest(Transcribe, purpose)
        return self.tell(Heard(number, None if text is None else words(text, **more)))

    def judges(self, completeness: float | None, purpose: Purpose = Purpose.PAUSE) -> Sequence[Command]:
        return self.tell(Judged(self.latest(AskCompleteness, purpose), completeness))

    def latest(self, kind: type[Any], purpose: Purpose) -> int:
        asked = [one for one in self.wanted if isinstance(one, kind) and one.purpose is purpose]
        return int(asked[-1].number)

    def asks(self, text: str, completeness: float = 0.99) -> Sequence[Command]:
        """A whole turn, to its end."""
        self.starts()
        self.ticks(0.5)
        self.pauses()
        self.hears(text)
        self.judges(completeness)
        return self.ticks(HANGING_S + 0.5)


def call_in(state: State) -> Call:
    call = Call()
    if state is State.QUIET:
        return call
    call.starts()
    if state in (State.FLOOR, State.FLOOR_PAUSED):
        call.ticks(0.3)
    if state in (State.VOICE_PAUSED, State.FLOOR_PAUSED):
        call.pauses()
    assert call.state is state
    return call


def kinds(wanted: Sequence[Command]) -> list[Any]:
    return [
        one if isinstance(one, Do) else (type(one), one.purpose) if hasattr(one, "purpose") else type(one)
        for one in wanted
    ]


ASK_PAUSE = (Transcribe, Purpose.PAUSE)
NOT_PAUSE = (commands.Dismiss, Purpose.PAUSE)
WHETHER_ALL = (AskCompleteness, Purpose.PAUSE)
Q, V, VP, F, FP = State


@pytest.mark.parametrize(
    ("state", "event", "wanted", "then"),
    [
        (Q, "starts", [], V),
        (V, "starts", [], V),
        (VP, "starts", [], VP),
        (F, "starts", [], F),
        (FP, "starts", [], FP),
        (Q, "pauses", [], Q),
        (V, "pauses", [ASK_PAUSE], VP),
        (VP, "pauses", [], VP),
        (F, "pauses", [ASK_PAUSE], FP),
        (FP, "pauses", [], FP),
        (Q, "resumes", [], Q),
        (V, "resumes", [], V),
        (VP, "resumes", [NOT_PAUSE], V),
        (F, "resumes", [], F),
        (FP, "resumes", [NOT_PAUSE], F),
    ],
)
def test_a_voice(state: State, event: str, wanted: list[Any], then: State) -> None:
    call = call_in(state)
    assert kinds(getattr(call, event)()) == wanted
    assert call.state is then


def test_a_sound_of_a_quarter_of_a_second_takes_the_floor() -> None:
    call = call_in(V)
    assert kinds(call.ticks(0.22)) == []
    assert kinds(call.ticks(0.06)) == [Do.TAKE_FLOOR, Do.READ_AHEAD]
    assert call.state is F


def test_a_shorter_one_does_with_words() -> None:
    call = call_in(VP)
    call.hears("Yes.")
    assert kinds(call.ticks(FRAME_S)) == [Do.TAKE_FLOOR, Do.READ_AHEAD, commands.Speculate]
    assert call.state is FP


@pytest.mark.parametrize("state", [VP, FP])
def test_a_sound_without_words_is_forgotten(state: State) -> None:
    call = call_in(state)
    assert kinds(call.hears("")) == []
    assert call.ticks(1.0)[-1] == commands.Drop(had_floor=state is FP)
    assert call.state is Q


def test_who_goes_on_speaking_is_looked_at_in_passing_and_answered_ahead() -> None:
    call = call_in(F)
    asked = call.ticks(0.6)
    assert kinds(asked) == [(Transcribe, Purpose.PASSING)]
    # Who is still speaking sounds so, whatever their words.
    assert kinds(call.hears("Where are you?", Purpose.PASSING, finished=0.02)) == [
        commands.Interim,
        (AskCompleteness, Purpose.PASSING),
    ]
    assert call.judges(0.99, Purpose.PASSING) == [commands.Speculate("Where are you?", ahead=True)]
    call.pauses()
    assert kinds(call.hears("Where are you")) == [WHETHER_ALL]  # it is being answered: nothing to get ready
    call.judges(0.99)
    assert [type(one) for one in call.ticks(SURE_S + 0.1)] == [commands.Commit]


def test_a_look_that_failed_costs_nothing() -> None:
    call = call_in(F)
    call.ticks(0.6)
    assert call.hears(None, Purpose.PASSING) == []
    assert call.state is F


def test_a_look_doesnt_outlive_the_speech_that_it_was_about() -> None:
    call = call_in(F)
    call.ticks(0.6)
    call.pauses()
    assert call.hears("Where are", Purpose.PASSING) == []


@pytest.mark.parametrize("state", [VP, FP])
def test_words_are_judged_and_their_answer_is_begun(state: State) -> None:
    call = call_in(state)
    assert kinds(call.hears("Where are you?")) == [commands.GetReady, WHETHER_ALL]
    begun = [commands.Speculate] if state is FP else [Do.TAKE_FLOOR, Do.READ_AHEAD, commands.Speculate]
    assert kinds(call.judges(0.99)) == begun
    (commit,) = [one for one in call.ticks(SURE_S + 0.1) if isinstance(one, commands.Commit)]
    assert (commit.text, commit.goodbye) == ("Where are you?", False)
    assert call.state is Q
    assert call.machine.awaits_answer


@pytest.mark.parametrize("state", [VP, FP])
def test_a_pause_that_was_none_is_void(state: State) -> None:
    call = call_in(state)
    call.hears("Where are")
    call.resumes()
    assert call.judges(0.99) == []
    assert not call.speculation.text
    call.pauses()
    assert kinds(call.hears("Where are you?")) == [commands.GetReady, WHETHER_ALL]


def test_what_was_begun_for_a_pause_is_withdrawn() -> None:
    call = call_in(FP)
    call.hears("Where are")
    call.judges(0.3)
    assert call.resumes() == [Do.WITHDRAW]
    assert not call.speculation.is_wanted("Where are")


@pytest.mark.parametrize("state", [V, VP])
def test_a_voice_over_the_agent_holds_it_and_words_take_the_floor(state: State) -> None:
    call = call_in(Q)
    call.asks("Tell me a story.")
    call.tell(Plain.AGENT_SOUNDS)
    call.ticks(5, agent_speaks=True)
    call.starts()
    assert kinds(call.ticks(0.4, agent_speaks=True)) == [Do.HOLD, (Transcribe, Purpose.OVERLAP)]
    if state is VP:
        call.pauses()
    assert call.state is state
    wanted = kinds(call.hears("Stop.", Purpose.OVERLAP))
    assert wanted[:2] == [Do.TAKE_FLOOR, Do.READ_AHEAD]
    assert call.state is (FP if state is VP else F)


def test_a_nod_lets_the_agent_go_on() -> None:
    call = call_in(Q)
    call.asks("Tell me a story.")
    call.tell(Plain.AGENT_SOUNDS)
    call.ticks(5, agent_speaks=True)
    call.starts()
    call.ticks(0.3, agent_speaks=True)
    call.pauses()
    call.hears("Mm-hmm.")
    assert Do.RESUME in call.ticks(0.5, agent_speaks=True)
    assert call.state is Q


def test_what_was_said_up_to_the_pause_counts_however_late_it_is_known() -> None:
    call = call_in(Q)
    call.asks("Tell me a story.")
    call.tell(Plain.AGENT_SOUNDS)
    call.ticks(5, agent_speaks=True)
    call.starts()
    call.ticks(0.9, agent_speaks=True)
    call.hears("Make that three book.", Purpose.OVERLAP, logprob=-0.6)
    call.pauses()
    assert Do.RESUME in call.ticks(0.8, agent_speaks=True)
    assert call.state is VP
    call.hears("Make that three o'clock.")
    assert Do.TAKE_FLOOR in call.ticks(FRAME_S, agent_speaks=True)


@pytest.mark.parametrize("state", [V, VP, F, FP])
def test_a_long_turn_is_settled_piece_by_piece(state: State) -> None:
    call = call_in(state)
    over_agent = {"agent_speaks": state in (V, VP), "echo": 1.0 if state in (V, VP) else 0.0}
    call.ticks(FRAME_S, audio_s=26.0, **over_agent)
    number = call.latest(Transcribe, Purpose.SPLIT)
    wanted = call.hears("A long beginning", Purpose.SPLIT)
    assert wanted[0] == commands.Settle(number, words("A long beginning"))
    assert commands.Interim("A long beginning") in wanted
    if state is FP:  # its question was about audio that is gone
        assert ASK_PAUSE in kinds(wanted)


@pytest.mark.parametrize("state", [VP, FP])
def test_where_the_recognizer_fails_it_was_no_turn(state: State) -> None:
    call = call_in(state)
    assert call.hears(None) == [commands.Drop(had_floor=state is FP)]
    assert call.state is Q


@pytest.mark.parametrize("state", [V, F])
def test_a_long_turn_of_which_a_piece_isnt_heard_is_said_again(state: State) -> None:
    call = call_in(state)
    over_agent = {"agent_speaks": state is V, "echo": 1.0 if state is V else 0.0}
    call.ticks(FRAME_S, audio_s=26.0, **over_agent)
    assert commands.Drop(had_floor=state is F) in call.hears(None, Purpose.SPLIT)


def test_words_over_the_agent_that_arent_heard_are_asked_for_again() -> None:
    call = call_in(V)
    call.ticks(0.4, agent_speaks=True)
    assert call.hears(None, Purpose.OVERLAP) == []
    assert (Transcribe, Purpose.OVERLAP) in kinds(call.ticks(0.5, agent_speaks=True))


def test_who_isnt_heard_the_second_time_has_said_what_was_heard_first() -> None:
    call = call_in(FP)
    number = call.latest(Transcribe, Purpose.PAUSE)
    call.tell(Heard(number, Transcript("Where are", "en", -0.2, 0.01, 100.0, word_logprob=-2.0)))
    call.judges(0.9)
    call.ticks(0.5)
    assert call.hears(None) == []
    call.ticks(2.0)
    assert [one.text for one in call.wanted if isinstance(one, commands.Commit)] == ["Where are"]


@pytest.mark.parametrize("state", State)
def test_what_is_typed_is_a_turn_at_once(state: State) -> None:
    call = call_in(state)
    wanted = call.tell(Typed("42"))
    assert Do.TAKE_FLOOR in wanted
    assert wanted[-1] == commands.Commit("42", call.now)
    assert call.state is Q


def test_until_the_agent_was_heard_out_nobody_takes_the_floor() -> None:
    call = Call(uninterruptible=1)
    call.starts()
    assert call.ticks(1.0, agent_speaks=True) == []
    assert call.tell(Typed("1")) == []
    wanted = call.tell(AgentDone("This call is recorded."))
    assert [one.text for one in wanted if isinstance(one, commands.Commit)] == ["1"]


def test_a_goodbye_ends_it_and_owes_nothing() -> None:
    (commit,) = [one for one in Call().asks("Goodbye.") if isinstance(one, commands.Commit)]
    assert commit.goodbye
    call = Call()
    call.asks("Goodbye.")
    assert not call.machine.awaits_answer


def test_the_last_word_is_the_agents() -> None:
    call = call_in(FP)
    call.hears("Where are you?")
    call.judges(0.99)
    assert call.tell(Plain.LAST_WORD) == [Do.WITHDRAW, commands.Drop(had_floor=True)]


def test_a_word_that_was_guessed_is_heard_again_with_silence_behind_it() -> None:
    call = call_in(FP)
    number = call.latest(Transcribe, Purpose.PAUSE)
    call.tell(Heard(number, Transcript("Where are", "en", -0.2, 0.01, 100.0, word_logprob=-2.0)))
    call.judges(0.9)
    again = [one for one in call.ticks(0.5) if isinstance(one, Transcribe)]
    assert [one.afresh for one in again] == [True]
    call.hears("Where are you?")
    call.judges(0.99)
    call.ticks(2.0)
    assert [one.text for one in call.wanted if isinstance(one, commands.Commit)] == ["Where are you?"]


# A false start.


def answered(text: str = "I would like a table.", *, sounds_after_s: float | None = 0.1) -> Call:
    call = Call()
    call.starts()
    call.ticks(0.5)
    call.pauses()
    call.hears(text)
    call.judges(0.99)
    call.ticks(SURE_S + 0.04)
    assert call.state is Q
    if sounds_after_s is not None:
        call.ticks(sounds_after_s)
        call.tell(Plain.AGENT_SOUNDS)
    return call


def test_a_turn_that_goes_on_is_taken_back_and_answered_as_a_whole() -> None:
    call = answered()
    call.ticks(0.4, agent_speaks=True)
    call.starts()
    assert call.ticks(0.1, agent_speaks=True)[0] is Do.HOLD
    call.ticks(0.4, agent_speaks=True)
    wanted = call.hears("for two people", Purpose.OVERLAP)
    assert [one for one in wanted if isinstance(one, Do)] == [Do.TAKE_BACK, Do.TAKE_FLOOR, Do.READ_AHEAD]
    call.pauses()
    call.hears("for two people.")
    assert commands.Speculate("I would like a table. for two people.") in call.judges(0.99)
    committed = [one for one in call.ticks(3.0) if isinstance(one, commands.Commit)]
    assert [one.text for one in committed] == ["I would like a table. for two people."]


def test_what_wasnt_answered_yet_is_gone_on_with_however_late() -> None:
    call = answered(sounds_after_s=None)
    call.ticks(4.0)
    call.starts()
    call.ticks(0.5)
    assert Do.TAKE_BACK in call.hears("are you still there?", Purpose.OVERLAP)


def test_an_answer_well_under_way_is_interrupted() -> None:
    call = answered()
    call.ticks(2.0, agent_speaks=True)
    call.starts()
    call.ticks(1.3, agent_speaks=True)
    wanted = call.hears("No, something else please.", Purpose.OVERLAP)
    assert Do.TAKE_FLOOR in wanted
    assert Do.TAKE_BACK not in wanted


def test_an_answer_that_was_heard_to_its_end_isnt_taken_back() -> None:
    call = answered()
    call.ticks(0.4, agent_speaks=True)
    call.tell(AgentDone("Sure."))
    call.starts()
    assert Do.TAKE_BACK not in call.ticks(0.5)


def test_a_tool_of_a_turn_before_doesnt_end_the_wait_for_this_one() -> None:
    call = answered(sounds_after_s=None)
    call.tell(Plain.ANSWER_ACTS)  # and runs on, without a word at its end
    call.asks("And where are you?")
    assert call.machine.awaits_answer
    call.tell(Plain.ANSWER_ACTED)
    assert call.machine.awaits_answer


def test_a_false_start_teaches_patience() -> None:
    call = Call()
    patience = call.machine._judge.patience
    call.asks("I would like a table.")
    doubt = patience.doubt
    call.starts()
    call.ticks(0.5)
    call.hears("for two people", Purpose.OVERLAP)
    assert patience.doubt > doubt


# Whatever happens.

TEXTS = st.sampled_from(["", "Yes.", "Stop.", "Mm-hmm.", "I would like a", "A table for two.", "Goodbye."])
LINES = st.fixed_dictionaries(
    {},
    optional={
        "hushed": st.integers(0, 3),
        "sounds": st.booleans(),
        "agent_speaks": st.booleans(),
        "echo": st.sampled_from([0.0, 0.9]),
        "may_echo": st.booleans(),
        "audio_s": st.sampled_from([1.0, 13.0, 26.0]),
    },
)


class AnyCall(RuleBasedStateMachine):
    """Events in any order, as a line, models and an agent that may do anything would send them."""

    @initialize(uninterruptible=st.integers(0, 1))
    def begins(self, uninterruptible: int) -> None:
        self.call = Call(uninterruptible=uninterruptible)
        self.open: dict[int, Transcribe | AskCompleteness] = {}  # what the machine waits to be answered
        self.speculated: str | None = None
        self.committed: list[str] = []
        self.ended = True  # the latest utterance has been
        self.taken_back: str | None = None

    def obey(self, wanted: Sequence[Command]) -> None:
        for one in wanted:
            match one:
                case Transcribe(number, purpose) | AskCompleteness(number, purpose):
                    assert not self.ended
                    self.forget(purpose)
                    self.open[number] = one
                case commands.Dismiss(purpose):
                    assert purpose in [question.purpose for question in self.open.values()]
                    self.forget(purpose)
                case commands.Speculate(text):
                    assert self.speculated is None
                    self.speculated = text
                case Do.WITHDRAW:
                    assert self.speculated is not None
                    self.speculated = None
                case Do.TAKE_BACK:
                    self.taken_back = self.committed.pop()
                case commands.Commit(text):
                    assert self.speculated in (None, text)
                    if self.taken_back is not None and one.candidate:
                        assert text.startswith(self.taken_back)
                    self.speculated = self.taken_back = None
                    self.committed.append(text)
                    self.ended = True
                case commands.Drop():
                    assert self.speculated is None
                    assert not self.ended
                    self.taken_back = None
                    self.ended = True

    def forget(self, purpose: Purpose) -> None:
        self.open = {number: one for number, one in self.open.items() if one.purpose is not purpose}

    def numbers(self, kind: type[Any]) -> list[int]:
        return [number for number, question in self.open.items() if isinstance(question, kind)]

    def answer(self, number: int, event: Event) -> None:
        del self.open[number]
        self.obey(self.call.tell(event))

    @rule()
    def voice_starts(self) -> None:
        if self.call.state is Q:
            self.ended = False
        self.obey(self.call.starts())

    @rule()
    def voice_pauses(self) -> None:
        self.obey(self.call.pauses())

    @rule()
    def voice_resumes(self) -> None:
        self.obey(self.call.resumes())

    @rule(seconds=st.sampled_from([0.02, 0.1, 0.3, 1.0]), line=LINES)
    def time_passes(self, seconds: float, line: dict[str, Any]) -> None:
        for _ in range(round(seconds / FRAME_S)):
            self.obey(self.call.ticks(FRAME_S, **line))

    @precondition(lambda self: self.numbers(Transcribe))
    @rule(data=st.data(), text=st.one_of(st.none(), TEXTS), logprob=st.sampled_from([-0.2, -1.0]))
    def heard(self, data: st.DataObject, text: str | None, logprob: float) -> None:
        number = data.draw(st.sampled_from(self.numbers(Transcribe)))
        self.answer(number, Heard(number, None if text is None else words(text, logprob=logprob)))

    @precondition(lambda self: self.numbers(AskCompleteness))
    @rule(data=st.data(), completeness=st.sampled_from([None, 0.01, 0.5, 0.99]))
    def judged(self, data: st.DataObject, completeness: float | None) -> None:
        number = data.draw(st.sampled_from(self.numbers(AskCompleteness)))
        self.answer(number, Judged(number, completeness))

    @rule(number=st.integers(1, 400), text=TEXTS)
    def answer_comes_too_late(self, number: int, text: str) -> None:
        if number not in self.open:
            assert self.call.tell(Heard(number, words(text))) == []
            assert self.call.tell(Judged(number, 0.9)) == []

    @rule(event=st.sampled_from([Plain.AGENT_SOUNDS, Plain.ANSWER_LOST]))
    def agent(self, event: Plain) -> None:
        self.obey(self.call.tell(event))

    @rule(cut_off=st.booleans(), text=st.sampled_from(["", "Sure.", "Is that all?"]))
    def agent_done(self, cut_off: bool, text: str) -> None:
        self.obey(self.call.tell(AgentDone(text, cut_off)))

    @rule()
    def typed(self) -> None:
        self.obey(self.call.tell(Typed("42")))

    @invariant()
    def one_floor(self) -> None:
        if self.call.state in (F, FP):
            assert not self.call.machine.agent.answering

    @invariant()
    def nothing_is_asked_for_a_turn_that_is_over(self) -> None:
        assert self.ended == (self.call.state is Q)
        if self.ended:
            assert not self.open
            assert self.speculated is None

    def teardown(self) -> None:
        """Every turn ends, however it stands."""
        if not hasattr(self, "call"):
            return
        self.obey(self.call.tell(AgentDone("")))
        self.obey(self.call.pauses())
        for _ in range(500):
            while numbers := self.numbers(Transcribe):
                self.answer(numbers[0], Heard(numbers[0], words("A table for two.")))
            while numbers := self.numbers(AskCompleteness):
                self.answer(numbers[0], Judged(numbers[0], 0.9))
            self.time_passes(FRAME_S, {})
            if self.call.state is Q:
                return
        raise AssertionError(f"A turn that never ends: {self.call.state}")


def sequences(count: int) -> settings:
    slow = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    return settings(max_examples=count, stateful_step_count=12, deadline=None, suppress_health_check=slow)


def test_a_thousand_calls_keep_what_holds_whatever_happens() -> None:
    run_state_machine_as_test(AnyCall, settings=sequences(1000))


@pytest.mark.soak
def test_ten_thousand_calls_keep_it() -> None:
    run_state_machine_as_test(AnyCall, settings=sequences(10_000))
