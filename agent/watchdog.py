"""Sees that nobody who has asked something waits in silence, whatever part fails to move."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from agent.answering import Answering
from config.persona import Persona
from config.turn import TurnSettings
from models.errors import ModelLate

LATE_WORDS_S = 3.5  # that a turn is over is known only with its words
LOOK_AGAIN_S = 0.1
VOICE_S = 8.0  # by then a voice that says something has been understood; music may go on
AGAIN_S = 10.0  # after a tool that takes even longer
LONGER_MS = 5500  # nobody takes more silence than this for thinking
# Says a text, if that is still wanted once its sound is there.
Bridge = Callable[[str, Callable[[], bool]], Awaitable[None]]


def bridges(persona: Persona, turn: TurnSettings) -> list[tuple[int, str]]:
    """What is said while an answer is awaited, and how many milliseconds after the question."""
    filler = persona.filler if turn.filler is None else turn.filler
    said = [(turn.filler_after_ms, filler), (max(LONGER_MS, turn.filler_after_ms + 2000), persona.longer)]
    return [(after_ms, text) for after_ms, text in said if text and after_ms < turn.answer_timeout_s * 1000]


class Watchdog:
    """One call's. `due` tells whether an answer is still to come, `quiet` whether nobody's voice is heard,
    `held` whether the caller can't hear the agent now, who waits then; `bridge` says something that is no
    part of the answer; `give_up` is called where none came in time."""

    def __init__(
        self,
        answering: Answering,
        *,
        due: Callable[[], bool],
        quiet: Callable[[], bool],
        held: Callable[[], bool],
        bridge: Bridge,
        acts: Callable[[], bool],
        give_up: Callable[[ModelLate], Awaitable[None]],
    ) -> None:
        """`acts` tells whether a tool runs, which has a deadline of its own."""
        self._answering = answering
        self._due = due
        self._quiet = quiet
        self._held = held
        self._bridge = bridge
        self._acts = acts
        self._give_up = give_up

    async def watch(self) -> None:
        """From the end of the caller's turn until it is answered, or cancelled."""
        turn, waited_s = self._answering.turn, 0.0
        for after_ms, text in bridges(self._answering.persona, turn):
            await asyncio.sleep(after_ms / 1000 - waited_s)
            waited_s = after_ms / 1000
            if not self._due():
                return
            await self._bridge(text, self._silent)
        await asyncio.sleep(turn.answer_timeout_s - waited_s)
        looks = round(VOICE_S / LOOK_AGAIN_S)
        while self._due():
            if self._held():
                await asyncio.sleep(LOOK_AGAIN_S)
            elif looks and not self._quiet():  # they may have begun another turn, or only coughed
                await asyncio.sleep(LOOK_AGAIN_S)
                looks -= 1
            elif self._acts():
                await self._bridge(self._answering.persona.longer, self._silent)
                await asyncio.sleep(AGAIN_S)
            else:
                await self._give_up(ModelLate(f"No answer within {turn.answer_timeout_s:.0f} s."))
                return

    async def watch_tool(self, alone: Callable[[], bool]) -> None:
        """From the call of a tool until it is done, or cancelled: where something was said before it, nobody
        watches else, as `alone` tells."""
        waited_s = 0.0
        for after_ms, text in bridges(self._answering.persona, self._answering.turn):
            await asyncio.sleep(after_ms / 1000 - waited_s)
            waited_s = after_ms / 1000
            await self._bridge(text, alone)

    async def late_words(self, pauses: Callable[[], bool]) -> None:
        """From a question to the recognizer until it is answered, or cancelled."""
        await asyncio.sleep(LATE_WORDS_S)
        await self._bridge(self._answering.persona.longer, pauses)

    def _silent(self) -> bool:
        return self._due() and self._quiet() and not self._held()
