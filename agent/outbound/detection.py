"""Listens for an answering machine before anyone else hears the called party."""

from __future__ import annotations

import asyncio
import logging

import numpy as np
from pipecat.frames.frames import Frame, InputAudioRawFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from agent.outbound.beeps import BeepDetector
from agent.outbound.machine import AnsweringMachine, Verdict
from models.errors import ModelError
from models.remote_recognizer import RemoteRecognizer
from models.silero import VoiceActivity
from models.whisper import Recognizer
from transports.playout import SAMPLE_RATE_HZ

_CHUNK_S = 0.032
_SPEAKS = 0.5
_UNDERSTOOD_S = 6.0  # the last of it

logger = logging.getLogger("offhook.outbound")


class Ear:
    """What the policy is told of one call's sound."""

    def __init__(self, activity: VoiceActivity) -> None:
        self._activity = activity
        self._beeps = BeepDetector()
        self._machine = AnsweringMachine()
        self._pcm = bytearray()
        self.heard_s = 0.0

    @property
    def verdict(self) -> Verdict | None:
        return self._machine.verdict

    @property
    def awaits_us(self) -> bool:
        return self._machine.awaits_us(self.heard_s)

    @property
    def may_leave_message(self) -> bool:
        return not self._beeps.sounding and self._machine.may_leave_message(self.heard_s)

    def hear(self, pcm: bytes) -> bytes:
        """Take s16le mono PCM at 16 kHz. Returns what is to be understood now; mostly nothing."""
        machine = self._machine
        self.heard_s += len(pcm) / 2 / SAMPLE_RATE_HZ
        if beep := self._beeps.feed(np.frombuffer(pcm, np.int16)):
            machine.beeped(beep, self.heard_s)
        for probability in self._activity.process(pcm):
            machine.heard(_CHUNK_S, probability >= _SPEAKS and not self._beeps.sounding, self.heard_s)
        if machine.verdict:
            return b""
        self._pcm += pcm
        del self._pcm[: -2 * round(_UNDERSTOOD_S * SAMPLE_RATE_HZ)]
        return bytes(self._pcm) if machine.wants_words(self.heard_s) else b""

    def understood(self, text: str) -> None:
        self._machine.said(text, self.heard_s)


class MachineDetection(FrameProcessor):
    """The first of a call's pipeline. What comes is silence to the others until a person has answered."""

    def __init__(
        self,
        activity: VoiceActivity,
        recognizer: Recognizer | RemoteRecognizer,
        *,
        call_id: str,
        language: str,
    ) -> None:
        super().__init__(enable_direct_mode=True)
        self._ear = Ear(activity)
        self._recognizer = recognizer
        self._call_id = call_id
        self._language = language
        self._understanding: asyncio.Task[None] | None = None
        self._over = False  # a person is talked to
        # Once there is something to do about it: a person who still speaks is let finish.
        self.decided: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self.may_leave_message = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame) and not self._over:
            self._hear(frame.audio)
            frame = InputAudioRawFrame(bytes(len(frame.audio)), frame.sample_rate, frame.num_channels)
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        await super().cleanup()
        if self._understanding:
            await self.cancel_task(self._understanding)

    def _hear(self, pcm: bytes) -> None:
        speech = self._ear.hear(pcm)
        if speech and (self._understanding is None or self._understanding.done()):
            self._understanding = self.create_task(self._understand(speech))
        self._over = self._ear.awaits_us
        verdict = self._ear.verdict
        if verdict and (self._over or verdict is Verdict.MACHINE) and not self.decided.done():
            self.decided.set_result(verdict)
        if self._ear.may_leave_message:
            self.may_leave_message.set()

    async def _understand(self, pcm: bytes) -> None:
        try:
            heard = await self._recognizer.transcribe(pcm, call_id=self._call_id, language=self._language)
        except ModelError as error:
            logger.warning("call %s: what answered wasn't understood: %s", self._call_id, error)
            return
        self._ear.understood(heard.text)
