"""The life of a call that we made, from its answer on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from pipecat.frames.frames import Frame, OutputAudioRawFrame, TTSSpeakFrame

from agent import pipeline
from agent.outbound.detection import MachineDetection
from agent.outbound.machine import Verdict
from agent.session import CallSession
from config.persona import Persona
from models.pool import ModelPool
from transports.call import CallGone, CallTransport, EndReason
from transports.playout import SAMPLE_RATE_HZ

LONGEST_MESSAGE_S = 300.0

# What is done where one answers; who talks to anyone needn't tell one from a person.
AnsweringMachine = Literal["talk", "hang_up", "leave_message"]


@dataclass(frozen=True, slots=True)
class Script:
    """Who speaks, and what is said to whoever answers."""

    persona: Persona
    say: str | None = None  # in the place of the persona's greeting
    play: bytes = b""  # s16le mono PCM at 16 kHz, the same
    then: Literal["talk", "hang_up"] = "talk"
    answering_machine: AnsweringMachine = "talk"
    message: str = ""  # left on a machine


class OutboundSession(CallSession):
    """Says what its script has, and talks or hangs up."""

    half_open = False  # that they let it ring keeps no caller out

    def __init__(self, call: CallTransport, script: Script, *, pool: ModelPool, **named: Any) -> None:
        self._detection: MachineDetection | None = None
        if script.answering_machine != "talk":
            self._detection = MachineDetection(
                pool.vad.voice_activity(),
                pool.recognizer,
                call_id=call.info.id,
                language=script.persona.language_code,
            )
            named["build"] = partial(pipeline.build, front=[self._detection])
        super().__init__(call, personas=[script.persona], pool=pool, **named)
        self._script = script
        self._message: Sequence[Frame] = ()
        self.answered_by: Verdict | None = None
        self.on_answered_by: Callable[[Verdict], None] = lambda _: None

    async def cut_off(self, reason: EndReason, farewell: str | None = None) -> None:
        """End the call, also in the middle of a message that was to be its end."""
        self.end(reason, farewell)
        if self._message:
            await self._call.hangup()

    async def hangup(self) -> None:
        await self.cut_off(EndReason.OPERATOR_HANGUP)

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
        if self._detection:
            await self._either(self._detection.decided)
            if self._ending.done():
                return
            self.answered_by = self._detection.decided.result()
            self.on_answered_by(self.answered_by)
            if self.answered_by is Verdict.MACHINE:
                await self._meet_machine(self._detection)
                return
        opening = self._opening()
        if self._script.then == "hang_up":
            self._leave(opening)
        else:
            await self._pipeline.worker.queue_frames(opening)

    async def _meet_machine(self, detection: MachineDetection) -> None:
        if self._script.answering_machine == "hang_up":
            self.end(EndReason.ANSWERING_MACHINE)
            return
        await self._either(detection.may_leave_message.wait())
        if not self._ending.done():
            self._leave([TTSSpeakFrame(self._script.message)])

    async def _on_idle(self, source: object) -> None:
        if self.answered_by is not Verdict.MACHINE:
            await super()._on_idle(source)

    def _opening(self) -> list[Frame]:
        script, said = self._script, self._notice()
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
