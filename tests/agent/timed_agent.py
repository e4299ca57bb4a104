"""A server for browsers and Twilio whose agent's timing is known: what a caller measures can be checked."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from array import array
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from pipecat.frames.frames import InterruptionFrame

from agent.http.access import ANYONE_HERE, holder
from agent.http.webrtc import webrtc_router
from config.carriers import CarrierSettings
from config.settings import WebRtcSettings
from tests.transports.fake_agent import FakeAgent, Recorder, tone
from transports.call import CallTransport
from transports.media_streams.router import carriers_router
from transports.webrtc.endpoint import WebRtcEndpoint

AUTH_TOKEN = "an auth token"
VOICE_PEAK = 1500
PACKET_BYTES = 640
LOOK_S = 0.003


class TimedAgent(FakeAgent):
    """Answers `reply_after_s` after the caller's voice ends; falls silent `stop_after_s` after it begins."""

    def __init__(
        self,
        *,
        greeting_s: float = 0.4,
        reply_after_s: float = 0.4,
        stop_after_s: float = 0.1,
        hangup_after_s: float | None = None,
        max_calls: int = 20,
    ) -> None:
        super().__init__(greeting_s=greeting_s, max_calls=max_calls)
        self._reply_after_s = reply_after_s
        self._stop_after_s = stop_after_s
        self._hangup_after_s = hangup_after_s

    async def __call__(self, call: CallTransport) -> None:
        conversing = asyncio.create_task(self._converse(call, len(self.recorders)))
        try:
            await super().__call__(call)
        finally:
            conversing.cancel()
            await asyncio.wait({conversing})

    async def _converse(self, call: CallTransport, place: int) -> None:
        while len(self.recorders) <= place:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        recorder, began = self.recorders[place], time.monotonic()
        voice_began = voice_ended = 0.0
        replied = stopped = True
        while True:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            if _voiced(recorder):
                if now - voice_ended > 0.3:
                    voice_began, stopped = now, False
                voice_ended, replied = now, False
            if not stopped and now - voice_began >= self._stop_after_s:
                stopped = True
                await recorder.push_frame(InterruptionFrame())
            if not replied and now - voice_ended >= self._reply_after_s:
                replied = True
                await recorder.say(tone(0.4))
            if self._hangup_after_s is not None and now - began > self._hangup_after_s:
                await call.hangup()
                return


def _voiced(recorder: Recorder) -> bool:
    last = array("h", bytes(recorder.pcm[-PACKET_BYTES:]))
    return max(last, default=0) > VOICE_PEAK


@contextlib.asynccontextmanager
async def serving(agent: FakeAgent, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """The server's address, for the length of the block."""
    listening = socket.create_server((host, 0))
    url = f"http://{host}:{listening.getsockname()[1]}"
    carriers: dict[str, Any] = {"enabled": ["twilio"], "public_url": url, "twilio": {"secret": AUTH_TOKEN}}
    settings = WebRtcSettings()
    endpoint = WebRtcEndpoint(agent, settings)
    app = FastAPI()
    app.dependency_overrides[holder] = lambda: ANYONE_HERE
    app.include_router(carriers_router(CarrierSettings.model_validate(carriers), agent, agent.accepting))
    app.include_router(webrtc_router(endpoint, settings))
    server = _Quiet(uvicorn.Config(app, log_config=None, ws="websockets-sansio", lifespan="off"))
    running = asyncio.create_task(server.serve([listening]))
    try:
        yield url
    finally:
        await endpoint.close()
        server.should_exit = True
        await running
        listening.close()


class _Quiet(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
