"""A fake agent with a fixed part to play, which shows all that the page can show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI

from agent.http import problems
from agent.http.access import ANYONE_HERE, holder
from agent.http.page import page_router
from agent.http.server import HttpServer
from agent.http.webrtc import webrtc_router
from agent.tls import Certificate
from config.settings import HttpSettings, WebRtcSettings
from tests.transports import netns
from tests.transports.fake_agent import FakeAgent, rtvi, tone
from transports.call import CallTransport
from transports.webrtc.endpoint import WebRtcEndpoint

GREETING = "Hello, this is the front desk."
QUESTION = "Do you have a table for two tonight?"
ANSWER = ("Let me see.", "Yes, there is one at half past seven,", "or a larger one at nine.")
LATENCY = {
    "type": "latency",
    "voice_to_voice_ms": 612.0,
    "parts": {
        "transcript": 158.0,
        "end_of_turn": 184.0,
        "first_token": 96.0,
        "first_sentence": 88.0,
        "first_audio": 62.0,
        "first_packet": 24.0,
    },
}


class PageAgent(FakeAgent):
    """Greets, shows the caller's words when it hears a voice, and answers until it is interrupted."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(greeting_s=1.5, **settings)
        self.heard_level = 0

    async def perform(self, call: CallTransport) -> None:
        """One scene, after the page says that it is ready."""

        async def tell(kind: str, data: dict[str, Any] | None = None) -> None:
            await call.send_message(rtvi(kind, data))

        async def segment(number: int, said: str, unsaid: str) -> None:
            await tell(
                "bot-output",
                {
                    "text": f"{said}{unsaid}",
                    "segment_id": number,
                    "will_be_spoken": True,
                    "spoken_status": "in-progress",
                    "spoken_progress": {"accumulated_text": said, "remaining_text": unsaid},
                },
            )

        await tell("bot-started-speaking")
        await segment(0, GREETING, "")
        await tell("bot-stopped-speaking")
        while self.heard_level < 1500:
            await asyncio.sleep(0.05)
            recent = np.frombuffer(bytes(self.recorders[-1].pcm[-6400:]), np.int16)
            self.heard_level = int(np.abs(recent).max()) if len(recent) else 0
        await tell("user-transcription", {"text": "Do you have a table", "final": False})
        await asyncio.sleep(0.4)
        await tell("user-transcription", {"text": QUESTION, "final": True})
        await tell("server-message", LATENCY)
        await tell("bot-started-speaking")
        call.playout.write(tone(6.0, 220))
        await segment(1, ANSWER[0], "")
        await segment(2, "Yes, there is one at", " half past seven,")
        await segment(3, "", ANSWER[2])

    async def reply(self, call: CallTransport, said: dict[str, Any]) -> None:
        if said["type"] == "client-ready":
            await self.perform(call)
        elif said["type"] == "send-text":
            call.playout.interrupt()
            # In the order in which the pipeline tells them.
            await call.send_message(
                rtvi("user-transcription", {"text": said["data"]["content"], "final": True})
            )
            await call.send_message(rtvi("bot-interrupted"))
            await call.send_message(rtvi("bot-stopped-speaking"))
            await call.send_message(
                rtvi(
                    "bot-output",
                    {
                        "text": "I can do that as well.",
                        "segment_id": 9,
                        "will_be_spoken": True,
                        "spoken_progress": {
                            "accumulated_text": "I can do that as well.",
                            "remaining_text": "",
                        },
                    },
                )
            )


@dataclass
class Site:
    agent: FakeAgent
    url: str


@asynccontextmanager
async def site(
    folder: Path, agent: FakeAgent, *, test_numbers: Sequence[str] = (), **settings: Any
) -> AsyncIterator[Site]:
    """The page and what it calls, in this process. `settings` are WebRtcSettings."""
    webrtc = WebRtcSettings(**settings)
    endpoint = WebRtcEndpoint(agent, webrtc)
    app = FastAPI()
    app.dependency_overrides[holder] = lambda: ANYONE_HERE
    problems.install(app)
    app.include_router(webrtc_router(endpoint, webrtc, lambda: test_numbers))
    app.include_router(page_router())
    server = HttpServer(
        app, host=netns.HERE, port=0, ssl=Certificate(HttpSettings(tls=True), folder / "cache").context
    )
    await server.start()
    try:
        yield Site(agent, f"https://{netns.HERE}:{server.port}/")
    finally:
        await endpoint.close()
        await server.stop(1)
