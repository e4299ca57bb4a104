"""What is said to whoever answers, on a virtual clock."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent.observer import Observer
from agent.outbound.machine import Verdict
from agent.outbound.session import AnsweringMachine, OutboundSession, Script
from config.settings import Settings
from tests import virtual_time
from tests.agent.conversation_kit import PERSONA, FakeCall, FakeModels, Outcome, Says
from transports.call import EndReason

HELLO = Says(0.5, 1.0, "Hello?")
GREETING = Says(0.5, 7.0, "You have reached Tom please leave a message after the tone thank you")


def made(
    heard: list[Says], *, lasts: float = 20.0, hung_up: float | None = None, **script: Any
) -> tuple[Outcome, OutboundSession]:
    """A call that is answered by `heard`, and hung up there after `lasts` seconds, or here before that."""
    outcome, sessions = Outcome(), list[OutboundSession]()

    async def main() -> None:
        call = FakeCall(heard, outcome, echoes=False)
        models: Any = FakeModels(heard, {}, outcome)
        session = OutboundSession(call, Script(PERSONA, **script), settings=Settings(), pool=models)
        sessions.append(session)
        loop = asyncio.get_running_loop()
        ends = loop.call_later(lasts, lambda: hangups.append(loop.create_task(call.hang_up_by_caller())))
        hangups: list[asyncio.Task[None]] = []
        if hung_up:
            loop.call_later(hung_up, lambda: hangups.append(loop.create_task(session.hangup())))
        outcome.reason = await session.run()
        ends.cancel()
        await asyncio.gather(*hangups)
        ours = {asyncio.current_task(), *hangups}
        outcome.left = [task.get_name() for task in asyncio.all_tasks() if task not in ours]

    virtual_time.run(main)
    return outcome, sessions[0]


def spoken(outcome: Outcome) -> str:
    return " ".join(text for _, text in outcome.spoken)


def began(outcome: Outcome) -> float:
    return next(event.at for event in outcome.events if event.what == "agent starts")


def test_what_the_script_has_is_said_in_the_place_of_the_greeting() -> None:
    outcome, _ = made([], lasts=5, say="Your table is ready.")
    assert spoken(outcome) == "Your table is ready."
    assert began(outcome) < 0.5
    assert outcome.left == []


def test_a_notification_is_said_and_the_call_is_over() -> None:
    outcome, _ = made([], say="Your table is ready.", then="hang_up")
    assert (spoken(outcome), outcome.reason) == ("Your table is ready.", EndReason.AGENT_HANGUP)
    assert outcome.left == []


def test_a_long_notification_is_said_to_its_end() -> None:
    text = " ".join(f"Number {n}." for n in range(60))
    outcome, _ = made([], lasts=200, say=text, then="hang_up")
    assert outcome.reason is EndReason.AGENT_HANGUP
    assert len(outcome.sound) / 32_000 > 120 * 0.3


def test_a_notification_can_be_hung_up_on() -> None:
    text = " ".join(f"Number {n}." for n in range(60))
    outcome, _ = made([], lasts=200, hung_up=5, say=text, then="hang_up")
    assert 4 < len(outcome.sound) / 32_000 < 7
    assert outcome.left == []


def test_a_person_is_awaited_and_then_talked_to() -> None:
    outcome, session = made([HELLO], lasts=8, say="Your table is ready.", answering_machine="hang_up")
    assert session.answered_by is Verdict.HUMAN
    assert spoken(outcome).startswith("Your table is ready.")
    assert 1.5 < began(outcome) < 2.5
    assert outcome.left == []


def test_a_person_is_let_finish() -> None:
    greeting = Says(0.5, 5.5, "Good morning this is the town hall with Laura speaking what can I do for you")
    outcome, session = made([greeting], lasts=12, say="Hello there.", answering_machine="hang_up")
    assert session.answered_by is Verdict.HUMAN
    assert 5.9 < began(outcome) < 7.5


def test_who_says_nothing_is_talked_to() -> None:
    outcome, session = made(
        [], lasts=8, say="Hello there.", answering_machine="leave_message", message="Bye."
    )
    assert session.answered_by is Verdict.UNKNOWN
    assert 3.8 < began(outcome) < 4.8


def test_a_machine_is_hung_up_on() -> None:
    outcome, session = made([GREETING], say="Hello there.", answering_machine="hang_up")
    assert (session.answered_by, outcome.reason) == (Verdict.MACHINE, EndReason.ANSWERING_MACHINE)
    assert spoken(outcome) == ""
    assert outcome.left == []


def test_a_machine_gets_the_message_when_it_has_done() -> None:
    outcome, session = made(
        [GREETING], lasts=60, say="Hello there.", answering_machine="leave_message", message="Call us."
    )
    assert (session.answered_by, outcome.reason) == (Verdict.MACHINE, EndReason.AGENT_HANGUP)
    assert spoken(outcome) == "Call us."
    assert 9.5 < began(outcome) < 11.5
    assert outcome.left == []


@pytest.mark.parametrize("answering_machine", ["hang_up", "leave_message"])
def test_who_hangs_up_before_it_is_decided(answering_machine: AnsweringMachine) -> None:
    outcome, _ = made([HELLO], lasts=0.8, say="x", answering_machine=answering_machine, message="y")
    assert outcome.reason is EndReason.CALLER_HANGUP
    assert outcome.left == []


def test_nobody_is_told_of_a_call_that_is_over() -> None:
    """A record would be begun anew."""
    _, session = made([], lasts=5, say="Your table is ready.")
    told: list[object] = []
    observer = Observer()
    observer.changed = told.append  # type: ignore[method-assign, assignment]
    session.tell(observer)
    session._conversation.agent_said("Goodbye.", cut_off=False)
    assert told == []
