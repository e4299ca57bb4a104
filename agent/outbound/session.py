"""The life of a call that we made, from its answer on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipecat.frames.frames import Frame, OutputAudioRawFrame, TTSSpeakFrame

from agent.session import CallSession
from config.persona import Persona
from transports.call import CallGone, CallTransport, EndReason
from transports.playout import SAMPLE_RATE_HZ

LONGEST_MESSAGE_S = 300.0


@dataclass(frozen=True, slots=True)
class Script:
    """Who speaks, and what is said to whoever answers."""

    persona: Persona
    say: str | None = None  # in the place of the persona's greeting
    play: bytes = b""  # s16le mono PCM at 16 kHz, the same
    then: Literal["talk", "hang_up"] = "talk"


class OutboundSession(CallSession):
    """Says what its script has, and talks or hangs up."""

    half_open = False  # that they let it ring keeps no caller out

    def __init__(self, call: CallTransport, script: Script, **named: Any) -> None:
        super().__init__(call, personas=[script.persona], **named)
        self._script = script
        self._message: Sequence[Frame] = ()

    async def _answer(self) -> None:
        answering = asyncio.create_task(self._call.answer())
        try:
            waiting: set[asyncio.Future[Any]] = {answering, self._ending}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise CallGone("The call was given up before it was answered.", self._ending.result()[0])
            await answering
        finally:
            answering.cancel()

    async def _open(self) -> None:
        opening = self._opening()
        if self._script.then == "hang_up":
            self._leave(opening)
        else:
            await self._pipeline.worker.queue_frames(opening)

    def _opening(self) -> list[Frame]:
        script, notice = self._script, self._script.persona.notice
        said: list[Frame] = [TTSSpeakFrame(notice)] if notice else []
        if script.play:
            said.append(OutputAudioRawFrame(script.play, SAMPLE_RATE_HZ, 1))
        if script.say or not script.play:
            said.append(TTSSpeakFrame(script.say or script.persona.greeting))
        return said

    def _leave(self, message: Sequence[Frame]) -> None:
        """Say it to its end and hang up."""
        self._message = message
        self.goodbye_deadline_s = LONGEST_MESSAGE_S
        self.end(EndReason.AGENT_HANGUP)

    def _last_words(self, farewell: str | None) -> Sequence[Frame]:
        return self._message or super()._last_words(farewell)
