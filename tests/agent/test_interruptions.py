"""Conversations on a virtual clock: what stops the agent, what doesn't, and what is left of its answer.

Times are seconds since the call was connected; the greeting, "Hello there.", lasts 0.6 s. The agent counts to
twelve from about 3.7 s on, 0.3 s a word.
"""

from __future__ import annotations

import asyncio
from functools import partial

import numpy as np
import pytest
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import InputDTMFFrame
from pipecat.processors.aggregators.llm_context import LLMContext

from agent.session import CallSession
from agent.sound.voice import CallerVoice
from config.persona import Persona, PersonaTurn
from models.llm.service import CallLlmService
from tests.agent.conversation_kit import PERSONA, WORD_S, FakeCall, Outcome, Says, answers, callers, converse
from tests.agent.scripted_llm import ScriptedEndpoint
from transports.playout import SAMPLE_RATE_HZ

LONG = "one two three four five six seven eight nine ten eleven twelve."
COUNT = Says(2.0, 3.5, "Count to twelve.")
NOTICE = "This call is recorded for training."  # 1.8 s


def counting(*says: Says, persona: Persona = PERSONA, lasts: float = 12.0) -> Outcome:
    return converse([COUNT, *says], {"Count to twelve.": LONG}, lasts=lasts, persona=persona)


def silences(outcome: Outcome) -> list[float]:
    """The pauses within what the agent said, in seconds."""
    starts = [event.at for event in outcome.events if event.what == "agent starts"]
    stops = [event.at for event in outcome.events if event.what == "agent stops"]
    return [start - stop for start, stop in zip(starts[2:], stops[1:], strict=False)]


def test_doubtful_words_are_not_talked_over() -> None:
    outcome = counting(Says(5.5, 7.5, "Excuse me I meant something else.", logprob=-0.9))
    assert outcome.at("agent stops", 1) - 5.5 <= 0.2
    assert outcome.at("agent starts", 2) > 7.5
    assert outcome.turns[2][2]


def test_a_sound_without_sure_words_is_waited_out_and_costs_nothing() -> None:
    outcome = counting(Says(5.5, 5.7, "you", logprob=-0.9))
    assert outcome.turns[2] == ("agent", LONG, False)
    assert all(silence <= 1.0 for silence in silences(outcome))


def test_words_after_such_a_sound_interrupt_without_the_agent_being_heard_again() -> None:
    outcome = counting(Says(5.5, 5.7, ""), Says(6.0, 7.5, "Please tell me about prices."))
    assert outcome.at("agent stops", 1) - 5.5 <= 0.2
    assert outcome.at("agent starts", 2) > 7.5
    assert callers(outcome)[-1] == "Please tell me about prices."


def test_after_a_cough_the_agent_goes_on_from_the_last_whole_word() -> None:
    whole = bytes(counting().sound)
    outcome = counting(Says(5.5, 5.7, ""))
    spoken, again = (np.count_nonzero(np.frombuffer(sound, np.int16)) for sound in (outcome.sound, whole))
    assert 0 < spoken - again <= WORD_S * SAMPLE_RATE_HZ  # part of a word is said again, and nothing is lost


def test_an_interruption_of_one_answer_doesnt_bring_it_back_in_the_next() -> None:
    script = [
        COUNT,
        Says(5.5, 6.5, "Stop, what is your name?"),
        Says(7.0, 7.2, ""),  # into the first word of the next answer
    ]
    replies = {"Count to twelve.": LONG, "Stop, what is your name?": "Joe."}
    outcome = converse(script, replies, lasts=10)
    assert answers(outcome)[-1] == "Joe."
    last = outcome.at("agent stops", outcome.count("agent stops") - 1)
    assert last - outcome.at("agent starts", 2) <= 2 * WORD_S + 1.0
    said = np.frombuffer(bytes(outcome.sound), np.int16)[int(6.5 * SAMPLE_RATE_HZ) :]
    assert np.count_nonzero(said) <= 2 * WORD_S * SAMPLE_RATE_HZ


def test_an_early_noise_doesnt_cost_the_answer() -> None:
    outcome = counting(Says(3.9, 4.3, ""))
    assert outcome.turns[2] == ("agent", LONG, False)


def test_a_noise_between_two_pieces_of_an_answer_doesnt_cost_the_rest() -> None:
    first, second = "one two three.", "four five six."
    replies = {"Count to six.": f"{first} !pause {second}"}
    outcome = converse([Says(2.0, 3.5, "Count to six."), Says(5.2, 5.6, "")], replies, lasts=14)
    assert outcome.turns[2] == ("agent", f"{first} {second}", False)


def test_a_noise_while_the_answer_is_awaited_costs_neither_it_nor_its_ledger() -> None:
    replies = {"What is the weather like?": "!slow It is sunny."}
    script = [Says(2.0, 3.5, "What is the weather like?"), Says(4.5, 4.8, "")]
    outcome = converse(script, replies, lasts=12)
    assert answers(outcome)[-1] == "It is sunny."
    assert sum(outcome.ledgers[-1].values()) / 1000 == pytest.approx(
        outcome.at("agent starts", 1) - 3.5, abs=0.1
    )


def test_the_last_breath_of_a_turn_hardly_delays_its_answer() -> None:
    replies = {"What is the weather like?": "It is sunny."}
    script = [Says(2.0, 3.5, "What is the weather like?"), Says(3.74, 3.8, "")]
    outcome = converse(script, replies, lasts=8)
    assert answers(outcome)[-1] == "It is sunny."
    assert outcome.at("agent starts", 1) - 3.8 <= 0.4


def test_a_yes_that_was_asked_for_is_an_answer_and_elsewhere_a_nod() -> None:
    script = [Says(2.0, 3.5, "Count to twelve."), Says(5.5, 5.8, "Yes.")]
    nodded = converse(script, {"Count to twelve.": LONG}, lasts=12)
    assert callers(nodded) == ["Count to twelve."]
    asked = converse([Says(2.0, 2.3, "Yes.")], lasts=6, persona=PERSONA)
    assert callers(asked) == ["Yes."]
    assert asked.at("agent starts", 1) - 2.3 <= 0.5


def test_the_greeting_may_be_interrupted() -> None:
    persona = PERSONA.model_copy(update={"greeting": "Hello there, this is the longest greeting of all."})
    outcome = converse([Says(1.0, 2.5, "I want to speak to somebody.")], lasts=6, persona=persona)
    assert outcome.at("agent stops") - 1.0 <= 0.2
    assert outcome.turns[0][2]
    assert callers(outcome) == ["I want to speak to somebody."]


def test_a_notice_is_heard_out_and_who_speaks_over_it_is_answered_then() -> None:
    persona = PERSONA.model_copy(update={"notice": NOTICE})
    outcome = converse([Says(0.5, 1.5, "I want to speak to somebody.")], lasts=8, persona=persona)
    assert outcome.turns[0] == ("agent", NOTICE, False)
    assert "I want to speak to somebody." in callers(outcome)
    assert answers(outcome)[-1] == "Okay then."


def test_a_greeting_may_be_uninterruptible_too_and_what_follows_isnt() -> None:
    persona = PERSONA.model_copy(update={"greeting": NOTICE, "greeting_interruptible": False})
    over_it = converse([Says(0.5, 1.0, "Stop!")], lasts=6, persona=persona)
    assert over_it.turns[0] == ("agent", NOTICE, False)
    later = counting(Says(5.5, 6.5, "No I meant something else."), persona=persona)
    assert later.turns[0] == ("agent", NOTICE, False)
    assert later.turns[2][2]


def told(outcome: Outcome) -> list[tuple[str, str]]:
    """What the model was told of the conversation, as it was asked last."""
    roles = {"user": "caller", "assistant": "agent"}
    return [(roles[one["role"]], one["content"]) for one in outcome.contexts[-1] if one["role"] in roles]


def said(outcome: Outcome) -> list[tuple[str, str]]:
    """All but the last answer."""
    return [(speaker, text) for speaker, text, _ in outcome.turns[:-1]]


def test_an_answer_begun_ahead_knows_what_was_heard_of_the_one_that_is_cut_off() -> None:
    outcome = counting(Says(5.5, 6.5, "And on Sundays?"))
    assert outcome.turns[2] == ("agent", "one two three four five six", True)
    assert told(outcome) == said(outcome)


def test_whether_words_over_an_answer_are_all_is_asked_behind_what_was_heard_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, object] = {}

    async def end_probability(_: CallLlmService, context: LLMContext, words: str) -> float:
        asked[words] = context.messages[-1]
        return 0.95

    monkeypatch.setattr(CallLlmService, "end_probability", end_probability)
    counting(Says(5.5, 6.5, "And on Sundays?"))
    assert asked["And on Sundays?"] == {"role": "assistant", "content": "one two three four five six"}


def test_an_answer_begun_ahead_knows_what_was_heard_of_the_greeting() -> None:
    persona = PERSONA.model_copy(update={"greeting": "Hello there, this is the longest greeting of all."})
    outcome = converse([Says(1.0, 1.8, "I want to speak to somebody.")], lasts=6, persona=persona)
    assert outcome.turns[0] == ("agent", "Hello there, this", True)
    assert told(outcome) == said(outcome)


def test_what_is_typed_over_an_answer_stands_behind_what_was_heard_of_it() -> None:
    keys = [(5.0, InputDTMFFrame(button=KeypadEntry.POUND))]
    outcome = converse([COUNT], {COUNT.text: LONG}, lasts=9, keys=keys)
    assert callers(outcome) == [COUNT.text, "DTMF: #"]
    assert outcome.turns[2][2]
    assert told(outcome) == said(outcome)


def test_an_answer_that_a_false_start_cost_stays_unknown() -> None:
    script = [Says(2.0, 3.5, "A table please."), Says(4.2, 4.9, "For two people.")]
    outcome = converse(script, {"A table please.": LONG}, lasts=9)
    assert told(outcome) == said(outcome)
    assert callers(outcome) == ["A table please. For two people."]


def test_a_turn_that_was_taken_back_in_vain_stays_said() -> None:
    script = [
        Says(2.0, 3.5, "A table please."),
        Says(4.2, 5.7, "For two people."),
        Says(8.0, 9.0, "What did I want?"),
    ]

    def during(session: CallSession, _: FakeCall) -> None:
        for at, muted in ((5.0, True), (7.0, False)):  # before it is known what they go on with
            mute = partial(session.control.mute, caller=muted, agent=False)
            asyncio.get_running_loop().call_later(at, mute)

    outcome = converse(script, {"A table please.": LONG}, lasts=11, during=during)
    assert outcome.false_starts == 1
    assert callers(outcome) == ["A table please.", "What did I want?"]
    assert told(outcome) == said(outcome)


def pressed(*at: float) -> list[tuple[float, InputDTMFFrame]]:
    return [(time, InputDTMFFrame(button=KeypadEntry.ONE)) for time in at]


def test_a_key_doesnt_stop_the_agent_and_what_was_typed_does() -> None:
    keys = [*pressed(5.0), (5.5, InputDTMFFrame(button=KeypadEntry.POUND))]
    outcome = converse([COUNT], {"Count to twelve.": LONG}, lasts=9, keys=keys)
    assert 5.5 <= outcome.at("agent stops", 1) <= 5.7
    assert callers(outcome)[-1] == "DTMF: 1#"


def test_keys_pressed_during_a_notice_are_taken_behind_it() -> None:
    persona = PERSONA.model_copy(update={"notice": NOTICE})
    keys = [(0.4, InputDTMFFrame(button=KeypadEntry.POUND))]
    outcome = converse([], lasts=6, keys=keys, persona=persona)
    assert outcome.turns[0] == ("agent", NOTICE, False)
    assert callers(outcome) == ["DTMF: #"]
    assert answers(outcome)[-1] == "Okay then."


def test_all_that_is_typed_during_a_notice_is_answered_at_once() -> None:
    persona = PERSONA.model_copy(update={"notice": NOTICE})
    keys = [(at, InputDTMFFrame(button=KeypadEntry.POUND)) for at in (0.4, 0.9)]
    outcome = converse([], lasts=6, keys=keys, persona=persona)
    assert callers(outcome) == ["DTMF: # DTMF: #"]
    assert outcome.contexts[-1][-1]["content"] == "DTMF: # DTMF: #"


def test_a_persona_may_ask_for_more_words() -> None:
    persona = PERSONA.model_copy(update={"turn": PersonaTurn(barge_in_min_words=3)})
    assert not counting(Says(5.5, 6.0, "Next please."), persona=persona).turns[2][2]
    assert counting(Says(5.5, 6.3, "Tell me your name."), persona=persona).turns[2][2]


def test_a_persona_may_be_uninterruptible_throughout() -> None:
    persona = PERSONA.model_copy(update={"turn": PersonaTurn(barge_in=False)})
    outcome = counting(Says(5.5, 6.5, "Stop it now."), persona=persona)
    assert outcome.turns[2] == ("agent", LONG, False)


@pytest.fixture
def mistaken(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the canceller lets through sounds like a voice, and the guard takes every one for the agent's."""
    monkeypatch.setattr(CallerVoice, "echo", property(lambda _: 0.9))


@pytest.mark.usefixtures("mistaken")
@pytest.mark.parametrize("at", [0.3, 0.9], ids=["in the greeting", "behind it"])
def test_the_agents_own_words_coming_back_are_no_turn(at: float) -> None:
    outcome = converse([Says(at, at + 0.6, "Hello there.")], lasts=5)
    assert callers(outcome) == []
    assert outcome.turns == [("agent", "Hello there.", False)]


@pytest.fixture
def may_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line may return what the agent says, as far as is known."""
    monkeypatch.setattr(CallerVoice, "may_echo", property(lambda _: True))


@pytest.mark.usefixtures("may_echo")
def test_on_a_line_that_echoes_a_scrap_of_sound_silences_nobody_and_a_voice_does() -> None:
    undisturbed = counting().count("agent stops")
    assert counting(Says(5.5, 5.58, "")).count("agent stops") == undisturbed
    stopped = counting(Says(5.5, 7.5, "Excuse me I meant something else."))
    assert stopped.at("agent stops", 1) <= 5.7
    assert stopped.turns[2][2]


def test_a_line_that_returns_the_agent_costs_neither_of_them_anything() -> None:
    script = [Says(2.0, 3.5, "Count to twelve."), Says(5.5, 7.5, "Excuse me I meant something else.")]
    outcome = converse(script, {"Count to twelve.": LONG}, lasts=12, echoes=True)
    assert callers(outcome) == ["Count to twelve.", "Excuse me I meant something else."]
    assert outcome.at("agent stops", 1) <= 5.9
    assert outcome.turns[2][2]
    assert answers(outcome)[-1] == "Okay then."
    undisturbed = converse(script[:1], {"Count to twelve.": LONG}, lasts=12, echoes=True)
    assert undisturbed.turns[2] == ("agent", LONG, False)
    assert undisturbed.count("agent stops") == 2


def test_a_false_start_is_taken_back_on_a_line_that_echoes() -> None:
    script = [Says(2.0, 3.5, "A table please."), Says(4.2, 5.7, "For two people.")]
    outcome = converse(script, {"A table please.": LONG}, lasts=9, echoes=True)
    assert callers(outcome) == ["A table please. For two people."]
    assert answers(outcome) == ["Hello there.", "Okay then."]


def test_an_answer_that_was_cut_off_is_said_again_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedEndpoint, "kind", "bundled")
    outcome = counting(Says(5.5, 6.5, "Sorry, what did you say?"), lasts=14)
    assert outcome.turns[2][2]
    assert outcome.turns[3:] == [("caller", "Sorry, what did you say?", False), ("agent", LONG, False)]
    assert len(outcome.contexts) == 1


def test_what_is_said_again_is_made_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedEndpoint, "kind", "bundled")
    script = [COUNT, Says(9.0, 10.0, "Could you repeat that?")]
    outcome = converse(script, {COUNT.text: LONG}, lasts=16)
    assert answers(outcome)[1:] == [LONG, LONG]
    assert outcome.at("agent starts", 2) - 10.0 <= 0.3
