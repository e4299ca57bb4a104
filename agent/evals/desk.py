"""Callers who react, in text: each with a calendar of their own, against which they are held."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.calendar.appointments import Appointments, appointments
from agent.calendar.booking import Booking
from agent.calendar.tools import CalendarTools
from agent.dialogue import Dialogue
from agent.evals.callers import Caller, CallerSet, Conversation, Said, score
from agent.evals.results import TurnResult
from agent.tools.toolbox import Toolbox
from config.calendar import CalendarSettings
from config.persona import Persona
from models.errors import ModelFailed
from models.llm.language_model import Llm

BROKEN_IN_WORDS = 4  # in text, where nothing takes time


@dataclass
class CallResult:
    """One call: what was said in turn, the caller first, and what is wrong with the calendar behind it."""

    caller: str
    said: list[tuple[str, str]] = field(default_factory=list)
    failures: Sequence[str] = ()
    took_s: float = 0.0

    @property
    def turn(self) -> TurnResult:
        """The call as one turn of a scenario, all that was said in its answer."""
        words = [
            f"{who}: {text}"
            for pair in self.said
            for who, text in zip(("Caller", "Agent"), pair, strict=True)
        ]
        opened = self.said[0][0] if self.said else ""
        took_ms = 1000 * self.took_s
        return TurnResult(self.caller, 1, opened, "\n".join(words), self.failures, total_ms=took_ms)


async def prepare(desk: Appointments, caller: Caller, conversation: Conversation) -> None:
    """Put into the calendar what was there before the call."""
    for number, entry in enumerate(caller.had):
        begin = entry.begin(conversation.days)
        answer = await desk.book(f"before-{number}", begin, name=entry.name, phone=entry.phone or "")
        assert answer.status == "booked", answer


async def booked(desk: Appointments) -> list[Booking]:
    """All that is to come."""
    return await desk.find()


async def in_text(
    llm: Llm, found: CallerSet, caller: Caller, persona: Persona, calendar: CalendarSettings
) -> CallResult:
    """The whole call in text."""
    with tempfile.TemporaryDirectory(prefix="offhook-eval-") as folder:
        desk = appointments(calendar.model_copy(update={"file": None, "url": None}), Path(folder))
        conversation = Conversation(found, caller, desk.now().date())
        await prepare(desk, caller, conversation)
        result = CallResult(caller.name)
        async with Dialogue(llm, persona, toolbox=Toolbox(CalendarTools(desk).tools())) as dialogue:
            try:
                await _talk(dialogue, conversation, result)
            except ModelFailed as error:
                result.failures = [str(error)]
                return result
        result.failures = score(caller.entries, conversation.days, await booked(desk))
    return result


async def _talk(dialogue: Dialogue, conversation: Conversation, result: CallResult) -> None:
    said: Said | None = conversation.begin()
    while said and not dialogue.ended:
        if said.breaks_in:
            result.said.append((said.text, await _cut(dialogue, said.text)))
            said = Said(said.breaks_in)
            continue
        reply = await dialogue.answer(said.text)
        result.said.append((said.text, reply.text.strip()))
        said = conversation.reply(reply.text)


async def _cut(dialogue: Dialogue, words: str) -> str:
    """An answer that is broken into after some words."""
    heard = ""
    async for chunk in dialogue.ask(words):
        heard += chunk
        if len(heard.split()) >= BROKEN_IN_WORDS and not dialogue.reply.interrupted:
            await dialogue.interrupt()
    return heard
