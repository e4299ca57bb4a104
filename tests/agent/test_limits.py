"""What one call may take."""

from __future__ import annotations

from typing import Any

import pytest

from agent.limits import Limits
from config.limits import LimitSettings
from config.settings import Settings
from tests.agent.conversation_kit import PERSONA, Says, answers, converse
from transports.call import EndReason


def limits(**settings: Any) -> tuple[Limits, list[str]]:
    reached: list[str] = []
    return Limits(LimitSettings(**settings), reached.append), reached


def test_answers_of_a_minute_are_counted_anew_as_time_goes() -> None:
    one, reached = limits(answers_per_minute=10)
    assert all(one.answer(now) for now in range(0, 600, 6))
    assert reached == []
    assert not all(one.answer(601) for _ in range(10))
    assert reached == ["answers_per_minute"]


def test_what_is_reached_stays_so_and_is_told_once() -> None:
    one, reached = limits(answers=10, answers_per_minute=1000)
    asked = [one.answer(100 * now) for now in range(13)]
    assert asked == [True] * 10 + [False] * 3
    assert not one.tool_call()
    assert reached == ["answers"]


def test_tools_tokens_and_cost() -> None:
    one, reached = limits(tool_calls=2)
    assert [one.tool_call() for _ in range(3)] == [True, True, False]
    assert reached == ["tool_calls"]
    one, reached = limits(tokens=10_000)
    one.spent(10_000, 5.0)
    assert reached == []
    one.spent(1, 0.0)
    assert reached == ["tokens"]
    one, reached = limits(cost=0.5)
    one.spent(1, 0.5)
    assert one.answer(0)
    one.spent(1, 0.01)
    assert (reached, one.answer(1)) == (["cost"], False)


TALK = [Says(start, start + 1, f"Question {start}?") for start in range(2, 60, 4)]
FEW = {"limits": {"answers": 10}}
SORRY = PERSONA.says.limit_reached


def test_a_call_that_takes_too_much_is_ended_with_a_sentence() -> None:
    outcome = converse(TALK, lasts=90, settings=Settings.model_validate(FEW))
    assert outcome.reason is EndReason.LIMIT_REACHED
    assert SORRY
    assert answers(outcome)[-1] == SORRY
    assert 3 <= len(answers(outcome)) <= 12


def test_somebody_may_take_over_instead() -> None:
    transfer = {"to": {"reception": "sip:200@192.0.2.10"}, "on_limit": "reception"}
    asked: list[str] = []

    def during(session: Any, call: Any) -> None:
        async def put_through(uri: str, **_: object) -> None:
            asked.append(uri)

        call.transfer = put_through

    settings = Settings.model_validate({**FEW, "transfer": transfer})
    outcome = converse(TALK, lasts=90, settings=settings, during=during)
    assert asked == ["sip:200@192.0.2.10"]
    assert SORRY not in answers(outcome)


def test_whom_to_hand_over_to_must_be_known() -> None:
    with pytest.raises(ValueError, match=r"on_limit"):
        Settings.model_validate({"transfer": {"on_limit": "reception"}})


def test_a_tool_beyond_the_limit_isnt_used() -> None:
    persona = PERSONA.model_copy(update={"tools": ("hold_call",)})
    replies = {f"Question {start}?": "!hold_call" for start in range(2, 60, 4)}
    settings = Settings.model_validate({"limits": {"tool_calls": 1}, "call": {"idle_prompt_s": 600}})

    def during(session: Any, call: Any) -> None:
        async def nothing() -> None: ...

        call.hold = call.resume = nothing

    script = [Says(2, 3, "Question 2?"), Says(40, 41, "Question 38?")]
    outcome = converse(script, replies, lasts=90, persona=persona, settings=settings, during=during)
    assert outcome.tools == ["hold_call"]
    assert outcome.reason is EndReason.LIMIT_REACHED
