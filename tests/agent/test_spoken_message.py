"""Messages that callers speak, in conversations on a virtual clock."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from agent.floor import CantBeDone
from agent.session import CallSession
from config.persona import Persona
from config.settings import Settings
from tests.agent.conversation_kit import PERSONA, FakeCall, Outcome, Says, answers, callers, converse, pressed
from transports.call import CallInfo, EndReason

TAKES = PERSONA.model_copy(update={"tools": ("take_message",)})
LEAVES = Says(2.0, 3.0, "A message, please.")
LEFT = Says(12.0, 15.0, "It is raining here.")


class Desk:
    """Takes messages, as the voicemail does."""

    def __init__(self, *, full: bool = False) -> None:
        self.full = full
        self.seconds: list[float] = []

    def take(self, pcm: bytes, info: CallInfo, *, persona: str, language: str) -> str:
        self.seconds.append(len(pcm) / 32_000)
        assert (info.caller, persona, language) == ("caller", "Test", "en")
        return "m1"


def leaving(*script: Says, desk: Desk, persona: Persona = TAKES, **how: Any) -> Outcome:
    uses = {LEAVES.text: "!take_message"}
    voicemail: Any = desk
    patient = Settings.model_validate({"call": {"idle_prompt_s": 60}})
    how = {"lasts": 40, **how}
    return converse(list(script), uses, settings=patient, persona=persona, voicemail=voicemail, **how)


def test_a_message_is_recorded_and_is_no_turn() -> None:
    desk = Desk()
    outcome = leaving(LEAVES, LEFT, Says(30.0, 31.0, "And another thing."), desk=desk)
    assert desk.seconds == [pytest.approx(15.5 - outcome.at("agent stops", 1) + 0.4, abs=0.6)]
    assert callers(outcome) == [LEAVES.text, "And another thing."]
    says = PERSONA.says
    assert answers(outcome)[1:3] == [says.leave_message, says.message_taken]
    assert outcome.left == []


def test_what_the_model_says_before_is_said_to_its_end() -> None:
    words = "That is for somebody else here to tell you, so I'd rather take a message."
    uses = {LEAVES.text: f"{words} !take_message"}
    voicemail: Any = Desk()
    outcome = converse([LEAVES], uses, persona=TAKES, voicemail=voicemail, lasts=30)
    assert answers(outcome)[1:3] == [words, PERSONA.says.leave_message]


def test_the_hash_key_ends_a_message() -> None:
    outcome = leaving(LEAVES, LEFT, desk=(desk := Desk()), keys=pressed(15.2, "#"))
    assert len(desk.seconds) == 1
    assert outcome.at("agent starts", 2) < 16.5  # the silence isn't waited for


def test_who_hangs_up_behind_their_message_has_left_it() -> None:
    outcome = leaving(LEAVES, LEFT, desk=(desk := Desk()), lasts=15.2)
    assert len(desk.seconds) == 1
    assert outcome.left == []


def test_who_says_nothing_has_left_no_message() -> None:
    outcome = leaving(LEAVES, desk=(desk := Desk()))
    assert desk.seconds == []
    assert answers(outcome)[-1] == PERSONA.says.no_message


def test_where_there_is_no_room_the_model_is_told_so() -> None:
    outcome = leaving(LEAVES, desk=(desk := Desk(full=True)))
    assert desk.seconds == []
    assert "no message can be taken now" in json.dumps(outcome.contexts)


def test_an_answering_machine() -> None:
    persona = PERSONA.model_copy(update={"message_only": True})
    script = [Says(0.3, 0.6, "Hello?"), Says(8.0, 11.0, "Call me back.")]
    outcome = leaving(*script, desk=(desk := Desk()), persona=persona, keys=pressed(1.0, "5"))
    assert len(desk.seconds) == 1
    assert callers(outcome) == []
    says = PERSONA.says
    expected = [PERSONA.greeting, says.leave_message, says.message_taken, PERSONA.goodbye]
    assert answers(outcome) == expected
    assert outcome.reason is EndReason.AGENT_HANGUP


def test_what_an_operator_asks_for_ends_with_the_call() -> None:
    told: list[str] = []

    def during(session: CallSession, call: FakeCall) -> None:
        async def ask() -> None:
            await asyncio.sleep(2)
            try:
                await session.control.take_message()
            except CantBeDone as error:
                told.append(str(error))

        session._asking = asyncio.get_running_loop().create_task(ask())  # type: ignore[attr-defined]

    desk: Any = Desk()
    script = [Says(11.0, 14.0, "This is a message.")]
    outcome = converse(script, during=during, voicemail=desk, lasts=14.2)
    assert told == ["The call is over."]
    assert len(desk.seconds) == 1
    assert outcome.left == []
