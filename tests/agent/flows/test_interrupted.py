"""A caller who breaks into everything that they are told, at each of its words, and has it said again."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from agent.session import CallSession
from tests.agent.conversation_kit import PACKET_S, WORD_S, FakeCall, Says, converse
from tests.agent.flows.kit import Restaurant, persona

LONGEST = 18  # words of what is told: the confirmation
PAUSE_S = 1.0  # of the agent's, behind which the caller answers
ANSWERS = {
    r"see you then": "No thanks, that was it.",
    r"is that right": "Yes, please.",
    r"what's your number": "212 555 0123",
    r"under what name": "Ann Miller.",
    r"how many": "Four people.",
    r"what time": "At seven.",
    r"which day": "On Friday.",
}


class Caller:
    """Interrupts each thing that is told, after so many words of it, and answers when it is told again."""

    def __init__(self, script: list[Says], *, after: int) -> None:
        self._script = script
        self._after = after
        self._broken = set[str]()
        self.interrupted = 0

    def follow(self, session: CallSession, call: FakeCall) -> asyncio.Task[None]:
        return asyncio.create_task(self._follow(session, call), name="caller")

    async def _follow(self, session: CallSession, call: FakeCall) -> None:
        loop = asyncio.get_running_loop()
        seen, free_at = 0, 0.0  # events that are answered, and when the caller has said all
        while True:
            await asyncio.sleep(PACKET_S)
            now = loop.time() - call._start
            events = [one for one in call._outcome.events if one.what.startswith("agent st")]
            if not events or now < free_at:
                continue
            last, told = events[-1], call._outcome.spoken[-1][1]
            speaks = last.what == "agent starts"
            if speaks and told not in self._broken and now - last.at >= self._after * WORD_S:
                self._broken.add(told)
                self.interrupted += 1
                seen = len(events) + 1  # that the agent stops at it isn't answered
                free_at = self._say(call, now, 1.2, "Sorry, what did you say?")
            elif not speaks and now - last.at >= PAUSE_S and len(events) > seen:
                seen = len(events)
                free_at = self._say(call, now, 0.9, self._answer(session))

    def _answer(self, session: CallSession) -> str:
        told = next((turn.text for turn in reversed(session.turns) if turn.speaker == "agent"), "")
        found = (answer for asks, answer in ANSWERS.items() if re.search(asks, told.lower()))
        return next(found, "I'd like to book a table.")

    def _say(self, call: FakeCall, now: float, lasts_s: float, text: str) -> float:
        """Returns when it is said."""
        says = Says(now + PACKET_S, now + PACKET_S + lasts_s, text)
        self._script.append(says)
        call._script.append(says)
        return says.end


@pytest.mark.parametrize("after", range(LONGEST))
def test_whoever_interrupts_everything_is_booked_once_as_they_said(after: int) -> None:
    nora = Restaurant(takes_s=0.5)
    script: list[Says] = []
    caller = Caller(script, after=after)
    following: list[Any] = []
    outcome = converse(
        script,
        persona=persona(),
        toolbox=nora.toolbox,
        lasts=120,
        during=lambda session, call: following.append(caller.follow(session, call)),
    )
    assert caller.interrupted
    booked = [(one["time"], one["people"], one["name"], one["phone"]) for one in nora.booked]
    assert booked == [("19:00", "4", "Ann Miller", "+12125550123")], outcome.turns
    assert outcome.tools[-1] == "end_call"
