"""A server for browsers' calls with a fake agent: no models, but the real wire, pipeline ends and HTTP.

The agent plays a tone, repeats what it hears, and tells its steps through the data channel in the
form of Pipecat's RTVI messages.
"""

from __future__ import annotations

import asyncio
import math
from array import array
from typing import Any

from fastapi import FastAPI
from pipecat.frames.frames import Frame, InputAudioRawFrame, InputDTMFFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from agent.http.webrtc import webrtc_router
from config.settings import WebRtcSettings
from transports.call import CallRefused, CallTransport, EndReason
from transports.webrtc.endpoint import WebRtcEndpoint


def tone(seconds: float, hz: float = 440.0, peak: int = 8000) -> bytes:
    return array(
        "h", (round(peak * math.sin(2 * math.pi * hz * n / 16000)) for n in range(round(16000 * seconds)))
    ).tobytes()


class Recorder(FrameProcessor):
    """Keeps what the pipeline got."""

    def __init__(self) -> None:
        super().__init__()
        self.pcm = bytearray()
        self.keys = ""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            self.pcm += frame.audio
            return
        if isinstance(frame, InputDTMFFrame):
            self.keys += frame.button.value
        await self.push_frame(frame, direction)


class FakeAgent:
    """Handles calls: a greeting of tone, then silence; records everything for the test."""

    def __init__(self, *, max_calls: int = 20, greeting_s: float = 1.0) -> None:
        self.max_calls = max_calls
        self.greeting_s = greeting_s
        self.draining = False
        self.live: list[CallTransport] = []
        self.recorders: list[Recorder] = []
        self.messages: list[dict[str, Any]] = []
        self.keys = ""
        self.ended: list[EndReason] = []
        self.connected = 0

    async def __call__(self, call: CallTransport) -> None:
        if self.draining:
            raise CallRefused("The server is shutting down and takes no new calls.")
        if len(self.live) >= self.max_calls:
            raise CallRefused("All lines are busy.")
        over = asyncio.Event()
        recorder = Recorder()
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
                await worker.queue_frame(OutputAudioRawFrame(tone(self.greeting_s), 16000, 1))

        async def stopped(_: CallTransport, reason: EndReason) -> None:
            self.ended.append(reason)
            over.set()

        async def message(_: CallTransport, said: dict[str, Any]) -> None:
            self.messages.append(said)
            await self.reply(call, said)

        async def key(_: CallTransport, digit: str) -> None:
            self.keys += digit

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


def rtvi(kind: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"label": "rtvi-ai", "type": kind, "data": data or {}}


def app(agent: FakeAgent, settings: WebRtcSettings) -> tuple[FastAPI, WebRtcEndpoint]:
    endpoint = WebRtcEndpoint(agent, settings)
    application = FastAPI()
    application.include_router(webrtc_router(endpoint, settings))
    return application, endpoint
