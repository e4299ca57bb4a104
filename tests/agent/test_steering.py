"""What an operator changes about a conversation that goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agent.call_control import UnknownPersona
from agent.floor import CantBeDone
from agent.session import MOVED, CallSession
from tests.agent.conversation_kit import PERSONA, FakeCall, Outcome, Says, answers, converse

ANN = PERSONA.model_copy(update={"name": "Ann", "prompt": "Be curt.", "voice": ("ann",)})
PIERRE = PERSONA.model_copy(update={"name": "Pierre", "language": "fr"})
MEMBER = "They are a member."


def steered(
    at: float, steer: Callable[[CallSession], Awaitable[object]], script: list[Says], **named: Any
) -> Outcome:
    """A conversation in which `steer` is done at some time; what it raises fails the test."""
    tasks: list[asyncio.Task[None]] = []

    def during(session: CallSession, _: FakeCall) -> None:
        async def later() -> None:
            await asyncio.sleep(at)
            await steer(session)

        tasks.append(asyncio.get_running_loop().create_task(later()))

    outcome = converse(script, {"What is it?": "A bird."}, during=during, known=[ANN, PIERRE], **named)
    tasks[0].result()
    return outcome


ASKS = Says(5.0, 6.0, "What is it?")


def test_an_instruction_comes_before_what_the_caller_says_next() -> None:
    outcome = steered(3, lambda call: call.control.inject(MEMBER, answer=False), [ASKS], lasts=9)
    contents = [(one["role"], one["content"]) for one in outcome.contexts[-1]]
    assert contents[-2:] == [("system", MEMBER), ("user", "What is it?")]
    assert answers(outcome) == ["Hello there.", "A bird."]


def test_it_may_be_answered_at_once() -> None:
    outcome = steered(3, lambda call: call.control.inject(MEMBER, answer=True), [], lasts=8)
    assert outcome.contexts[-1][-1] == {"role": "system", "content": MEMBER}
    assert len(answers(outcome)) == 2


def test_the_model_knows_that_somebody_else_speaks_now() -> None:
    async def move(call: CallSession) -> None:
        await call._call.fire("on_moved", "600")
        await asyncio.sleep(0.1)
        assert [(one.name, one.by, one.arguments) for one in call.actions] == [
            ("moved_to", "peer", {"to": "600"})
        ]

    outcome = steered(3, move, [ASKS], lasts=9)
    assert [one["content"] for one in outcome.contexts[-1]][-2:] == [MOVED, "What is it?"]


@pytest.mark.parametrize("at", [3.8, 3.9, 4.0, 4.1])
def test_it_outlives_a_turn_that_is_taken_back(at: float) -> None:
    script = [Says(2.0, 3.5, "Tell me about Paris."), Says(4.0, 5.5, "And about Rome too.")]
    outcome = steered(at, lambda call: call.control.inject(MEMBER, answer=False), script, lasts=10)
    assert outcome.false_starts == 1
    assert [one["content"] for one in outcome.contexts[-1]].count(MEMBER) == 1


def test_another_persona_goes_on_with_what_was_said() -> None:
    async def hand_over(call: CallSession) -> None:
        call.control.hand_over("ann")
        assert call.persona is ANN

    outcome = steered(3, hand_over, [ASKS], lasts=9)
    assert outcome.spoken[-1] == (("ann",), "A bird.")
    assert outcome.beginning[0]["content"] == "Be curt."
    assert "Hello there." in [one["content"] for one in outcome.contexts[-1]]


async def refused(error: type[Exception], match: str, call: CallSession, name: str) -> None:
    with pytest.raises(error, match=match):
        call.control.hand_over(name)


def test_who_isnt_here_or_speaks_what_isnt_heard_cant() -> None:
    steered(2, lambda call: refused(UnknownPersona, "there is no 'Bob'; there are", call, "Bob"), [], lasts=3)
    steered(2, lambda call: refused(CantBeDone, "Pierre speaks fr", call, "Pierre"), [], lasts=3)


def test_what_was_done_is_noted() -> None:
    async def act(call: CallSession) -> None:
        call.note("say", "desk", text="One moment.")
        assert [(one.name, one.by, one.arguments) for one in call.actions] == [
            ("say", "desk", {"text": "One moment."})
        ]

    steered(1, act, [], lasts=2)
