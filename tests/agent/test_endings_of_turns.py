"""Conversations on a virtual clock: when the caller is taken to be done, whatever is known of it.

Times are seconds since the call was connected.
"""

from __future__ import annotations

import pytest

from config.persona import Persona
from tests.agent.conversation_kit import PERSONA, Outcome, Says, answers, callers, converse


def wait_s(outcome: Outcome, spoken_until: float) -> float:
    return outcome.at("agent starts", 1) - spoken_until


def asking(what: str) -> Persona:
    return PERSONA.model_copy(update={"greeting": what})


def test_a_dictated_number_gets_time() -> None:
    script = [
        Says(2.0, 3.0, "My number is 415", completeness=0.9),
        Says(4.0, 5.0, "555 01 23 45.", completeness=0.9),
    ]
    assert callers(converse(script, lasts=9)) == ["My number is 415 555 01 23 45."]


def test_a_number_that_was_asked_for_gets_time() -> None:
    script = [Says(3.0, 3.8, "415", completeness=0.9), Says(4.8, 5.8, "555 01 23 45.", completeness=0.9)]
    outcome = converse(script, lasts=9, persona=asking("What is your number?"))
    assert callers(outcome) == ["415 555 01 23 45."]


def test_a_spelled_name_gets_time() -> None:
    script = [
        Says(2.0, 3.0, "It is spelled K A", completeness=0.9),
        Says(4.0, 5.0, "T H Y.", completeness=0.9),
    ]
    assert callers(converse(script, lasts=9)) == ["It is spelled K A T H Y."]


def test_a_yes_is_a_short_turn() -> None:
    outcome = converse([Says(3.0, 3.4, "Yes.", completeness=0.1, finished=0.5)], lasts=6)
    assert wait_s(outcome, 3.4) <= 0.6


def test_a_yes_before_a_comma_is_none_yet() -> None:
    outcome = converse([Says(3.0, 3.3, "Yes,"), Says(3.62, 4.0, "please.")], lasts=6)
    assert callers(outcome) == ["Yes, please."]


def test_a_last_word_that_faded_is_heard_again_with_the_silence_behind_it() -> None:
    says = Says(2.0, 3.5, "What is the weather like?", word_logprob=(-2.0, -0.1))
    assert 0.2 <= wait_s(converse([says], lasts=8), 3.5) <= 0.45


def test_words_that_are_not_heard_again_stand() -> None:
    says = Says(2.0, 3.5, "What is the weather like?", word_logprob=(-2.0, None))
    outcome = converse([says], lasts=8)
    assert callers(outcome) == ["What is the weather like?"]
    assert 1.2 <= wait_s(outcome, 3.5) <= 1.4


def test_a_last_word_that_is_guessed_again_may_not_be_the_last() -> None:
    guessed = Says(2.0, 3.5, "My name is Anna N.", word_logprob=(-2.0, -2.0))
    assert 1.2 <= wait_s(converse([guessed], lasts=8), 3.5) <= 1.4
    outcome = converse([guessed, Says(4.3, 5.5, "I have moved.")], lasts=8)
    assert callers(outcome) == ["My name is Anna N. I have moved."]


@pytest.mark.parametrize(("finished", "least", "most"), [(0.95, 0.15, 0.75), (0.02, 0.75, 1.8)])
def test_where_the_words_completeness_never_comes_the_sound_tells(
    finished: float, least: float, most: float
) -> None:
    says = Says(2.0, 3.5, "What is the weather like?", completeness=None, finished=finished)
    assert least <= wait_s(converse([says], lasts=8), 3.5) <= most


def test_in_other_languages_the_sound_tells_though_the_small_model_has_an_opinion() -> None:
    french = PERSONA.model_copy(update={"language": "fr"})
    waits = []
    for finished in (0.95, 0.02):
        says = Says(2.0, 3.5, "Quel temps fait-il à Paris", completeness=0.9, finished=finished)
        waits.append(wait_s(converse([says], lasts=8, persona=french), 3.5))
    assert waits[0] + 0.2 < waits[1]


def test_a_cough_before_the_words_costs_none_of_them() -> None:
    script = [Says(2.0, 2.3, ""), Says(2.6, 4.0, "What is the weather like?")]
    outcome = converse(script, lasts=8)
    assert callers(outcome) == ["What is the weather like?"]
    assert answers(outcome)[-1] == "Okay then."


def test_a_turn_of_a_minute_is_heard_whole_and_once() -> None:
    minute = [Says(2.0 + 3 * n, 4.8 + 3 * n, f"and then part {n} came along", 0.01, 0.1) for n in range(20)]
    outcome = converse([*minute, Says(62.0, 63.0, "and that was all.")], lasts=70)
    said = " ".join(callers(outcome))
    assert [said.count(f"part {n} came") for n in range(20)] == [1] * 20


def test_a_turn_without_a_pause_is_heard_whole_and_once() -> None:
    outcome = converse([Says(2.0 + n, 3.0 + n, f"part{n}") for n in range(60)], lasts=70)
    assert " ".join(callers(outcome)).split() == [f"part{n}" for n in range(60)]


def test_the_parts_of_every_answers_ledger_add_up_to_what_the_wire_shows() -> None:
    script = [Says(2.0, 3.5, "What is the weather like?"), Says(6.0, 7.5, "And how is it tomorrow?")]
    outcome = converse(script, lasts=10)
    for nth, end in ((1, 3.5), (2, 7.5)):
        assert sum(outcome.ledgers[nth].values()) / 1000 == pytest.approx(
            outcome.at("agent starts", nth) - end, abs=0.1
        )


def test_guesses_that_came_to_nothing_are_counted() -> None:
    first = Says(2.0, 3.5, "I would like to book a table for", completeness=0.005, finished=0.2)
    outcome = converse([first, Says(4.0, 5.5, "four people tonight.")], lasts=8)
    assert outcome.discarded >= 1
    assert converse([Says(2.0, 3.5, "What is the weather like?")], lasts=6).discarded <= 1
