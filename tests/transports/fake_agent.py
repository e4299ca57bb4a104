"""An agent without models: the real wire and the real ends of the pipeline, and a part to play between."""

from __future__ import annotations

import asyncio
import math
from array import array
from typing import Any

from pipecat.frames.frames import Frame, InputAudioRawFrame, InputDTMFFrame, OutputAudioRawFrame, StartFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from transports.call import CallRefused, CallTransport, EndReason


def tone(seconds: float, hz: float = 440.0, peak: int = 8000, rate_hz: int = 16_000) -> bytes:
    step = 2 * math.pi * hz / rate_hz
    return array("h", (round(peak * math.sin(step * n)) for n in range(round(rate_hz * seconds)))).tobytes()


def rtvi(kind: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"label": "rtvi-ai", "type": kind, "data": data or {}}


class Recorder(FrameProcessor):
    """Keeps what the pipeline got, and says it back where it is told to."""

    def __init__(self, *, echoes: bool) -> None:
        super().__init__()
        self._echoes = echoes
        self.started = False
        self.pcm = bytearray()
        self.keys = ""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            self.pcm += frame.audio
            if self._echoes:
                await self.say(frame.audio)
            return
        if isinstance(frame, InputDTMFFrame):
            self.keys += frame.button.value
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self.started = True

    async def say(self, pcm: bytes) -> None:
        await self.push_frame(OutputAudioRawFrame(pcm, 16_000, 1))


class FakeAgent:
    """Handles calls: a greeting of tone, then silence or an echo; records everything for the test."""

    def __init__(self, *, max_calls: int = 20, greeting_s: float = 1.0, echoes: bool = False) -> None:
        self.max_calls = max_calls
        self.greeting_s = greeting_s
        self.echoes = echoes
        self.draining = False
        self.live: list[CallTransport] = []
        self.recorders: list[Recorder] = []
        self.messages: list[dict[str, Any]] = []
        self.keys = ""
        self.ended: list[EndReason] = []
        self.connected = 0

    def accepting(self) -> tuple[bool, str]:
        if self.draining:
            return False, "The server is shutting down and takes no new calls."
        return len(self.live) < self.max_calls, "All lines are busy."

    async def __call__(self, call: CallTransport) -> None:
        accepts, why_not = self.accepting()
        if not accepts:
            raise CallRefused(why_not)
        over = asyncio.Event()
        recorder = Recorder(echoes=self.echoes)
        self.live.append(call)
        self.recorders.append(recorder)
        worker = PipelineWorker(
            Pipeline([call.input(), recorder, call.output()]),
            enable_rtvi=False,
            enable_turn_tracking=False,
            idle_timeout_secs=None,
        )

        async def connected(_: CallTransport) -> None:
            self.connected += 1
            if self.greeting_s:
                await worker.queue_frame(OutputAudioRawFrame(tone(self.greeting_s), 16_000, 1))

        async def stopped(_: CallTransport, reason: EndReason) -> None:
            self.ended.append(reason)
            over.set()

        async def message(_: CallTransport, said: dict[str, Any]) -> None:
            self.messages.append(said)
            await self.reply(call, said)

        async def key(_: CallTransport, digit: str) -> None:
            self.keys += digit
            await self.obey(call, recorder, digit)

        call.add_event_handler("on_dialin_connected", connected)
        call.add_event_handler("on_dialin_stopped", stopped)
        call.add_event_handler("on_message", message)
        call.add_event_handler("on_dtmf_event", key)
        runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
        await runner.add_workers(worker)
        running = asyncio.create_task(runner.run())
        try:
            await call.answer()
            await over.wait()
        finally:
            await call.hangup()
            await runner.cancel()
            await running
            self.live.remove(call)

    async def reply(self, call: CallTransport, said: dict[str, Any]) -> None:
        """Repeat a typed message."""
        if said.get("type") == "send-text":
            text = said["data"]["content"]
            await call.send_message(rtvi("bot-tts-text", {"text": text}))

    async def obey(self, call: CallTransport, recorder: Recorder, digit: str) -> None:
        """Do what a key is for; here, nothing."""
