"""Flows in calls on a virtual clock: interrupted, begun ahead, and taken back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from config.settings import Settings
from tests.agent.conversation_kit import WORD_S, Outcome, Says, answers, converse
from tests.agent.flows.kit import Restaurant, persona
from transports.call import EndReason

ALL = "A table for four on Friday at seven, my name is Ann, 212 555 0123."
CONFIRMS_AT_S = 6.54  # when the confirmation is heard
WORDS = 18  # of it; behind the fifteenth all values have been heard
VALUES = 15


def call(script: Sequence[Says], at: Restaurant, *, lasts: float = 60.0) -> Outcome:
    outcome = converse(list(script), persona=persona(), toolbox=at.toolbox, lasts=lasts)
    assert not outcome.left
    return outcome


def test_a_table_is_booked() -> None:
    nora = Restaurant()
    outcome = call([Says(2.0, 5.0, ALL), Says(20.0, 20.6, "Yes, please.")], nora, lasts=30)
    said = answers(outcome)
    assert outcome.at("agent starts", 1) == pytest.approx(CONFIRMS_AT_S, abs=0.05)
    assert said[1].startswith("A table for 4 on Friday")
    assert len(said[1].split()) == WORDS
    assert said[-1] == "It's booked. See you then, Ann!"
    assert len(nora.booked) == 1


def test_what_a_flow_does_counts_towards_the_limit_of_tools() -> None:
    nora = Restaurant()
    settings = Settings.model_validate({"limits": {"tool_calls": 1}})
    script = [Says(2.0, 5.0, ALL), Says(20.0, 22.0, "No wait, make it five people.")]
    outcome = converse(script, persona=persona(), toolbox=nora.toolbox, settings=settings, lasts=40)
    assert outcome.reason is EndReason.LIMIT_REACHED
    assert len(nora.asked) == 1


@pytest.mark.parametrize("heard", range(WORDS))
def test_a_yes_to_half_a_confirmation_is_none(heard: int) -> None:
    """Who says yes over the values hears them again; who does it behind them has agreed."""
    nora = Restaurant()
    at = CONFIRMS_AT_S + heard * WORD_S
    script = [
        Says(2.0, 5.0, ALL),
        Says(at, at + 1.2, "Yes yes, go ahead and book."),
        Says(at + 12.0, at + 12.6, "Yes, please."),
    ]
    outcome = call(script, nora, lasts=at + 22)
    confirmations = [one for one in outcome.turns if one[0] == "agent" and one[1].split()[0] == "A"]
    cut_off = [len(text.split()) for _, text, cut in confirmations if cut]
    agreed = cut_off and cut_off[0] >= VALUES
    assert len(confirmations) == len(cut_off) + (not agreed)
    assert len(nora.booked) == 1
    assert "It's booked. See you then, Ann!" in answers(outcome)


@pytest.mark.parametrize("heard", range(0, WORDS, 3))
def test_a_correction_over_the_confirmation_is_what_is_booked(heard: int) -> None:
    nora = Restaurant()
    at = CONFIRMS_AT_S + heard * WORD_S
    script = [
        Says(2.0, 5.0, ALL),
        Says(at, at + 1.2, "No wait, make it five people."),
        Says(at + 12.0, at + 12.6, "Yes, please."),
    ]
    call(script, nora, lasts=at + 22)
    assert [one["people"] for one in nora.booked] == ["5"]


@pytest.mark.parametrize("after_s", [0.2, 0.6, 1.0, 1.4, 1.8, 2.2, 2.6, 3.0, 4.0])
def test_nothing_is_done_twice_by_who_interrupts_while_it_is_done(after_s: float) -> None:
    """The act goes on, and what came of it is told to whoever didn't hear it."""
    nora = Restaurant(takes_s=2.0)
    script = [
        Says(2.0, 5.0, ALL),
        Says(14.0, 14.6, "Yes, please."),
        Says(14.6 + after_s, 15.8 + after_s, "Hello? Are you still there?"),
        Says(32.0, 32.6, "Yes, please."),
    ]
    outcome = call(script, nora, lasts=45)
    assert len(nora.booked) == 1
    assert any("It's booked. See you then, Ann!" in one for one in answers(outcome))


def test_a_turn_that_goes_on_leaves_nothing_of_its_first_half() -> None:
    """The first half is answered with a question, which is taken back with what was made of it."""
    nora = Restaurant()
    script = [
        Says(2.0, 3.5, "A table for four on Friday."),
        Says(4.0, 5.5, "No, on Saturday at seven, my name is Ann, 212 555 0123."),
        Says(20.0, 20.6, "Yes, please."),
    ]
    outcome = call(script, nora, lasts=30)
    assert outcome.false_starts == 1
    said = answers(outcome)
    assert said[1].startswith("A table for 4 on Saturday")
    assert said[2] == "It's booked. See you then, Ann!"
    assert len(nora.booked) == 1
