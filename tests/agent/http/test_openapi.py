"""The OpenAPI document is true: Schemathesis asks everything that it describes, and what it doesn't."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile

from agent.conversation import Problem, ToolCall, Turn
from agent.events import Events
from agent.http import attempts
from agent.http.app import create_app
from agent.http.outbound import outbound_router
from agent.http.reload import reload_router
from agent.http.sip import sip_router
from agent.http.webrtc import webrtc_router
from agent.metrics import Metrics
from agent.outbound.calls import OutboundCalls
from agent.recordings.recordings import Recordings
from agent.records.recorder import Recorder
from agent.reload import Reloaded
from agent.voicemail import Voicemail
from config.answering import load_personas
from config.settings import Settings, WebRtcSettings
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import (
    FakeCall,
    FakeCalls,
    FakeEndpoint,
    FakeLlm,
    FakeModels,
    ScriptedLlm,
    ToneVoices,
)
from tests.agent.records.conftest import Talk
from tests.waiting import until
from transports.call import CallGone, CallInfo, CallRefused, EndReason, MediaStats
from transports.media_streams.router import carriers_router
from transports.outbound import OutboundGuard
from transports.sip.server import SipServer
from transports.webrtc.endpoint import WebRtcEndpoint

KEY = "s3cret-s3cret-s3cret"
OPTIONS = (
    "--seed=1",
    "--no-color",
    "--continue-on-failure",
    # What is well-formed may be refused still (a cursor of nobody's), Pydantic takes 0 for false, and who was
    # called is shown on when the call is over.
    "--exclude-checks=positive_data_acceptance,negative_data_rejection,use_after_free",
    "--suppress-health-check=filter_too_much",  # of recordings, for which it has no examples
)
CONFIG = """
[generation]
max-examples = 5
with-security-parameters = false
[phases.stateful.generation]
max-examples = 30
"""


class BusyCalls(FakeCalls):
    """Somebody is always on the line."""

    def live(self) -> list[FakeCall]:
        if not self.calls:
            call = self.add()
            call.turns.append(Turn("caller", "Hello."))
            call.tool_calls.append(ToolCall("take_message", {"message": "Call me."}))
            call.problems.append(Problem("The model took too long."))
        return super().live()


@dataclass
class Heard:
    text: str = "Hello."
    language: str = "en"
    avg_logprob: float = -0.1
    no_speech_prob: float = 0.0
    decode_ms: float = 1.0


class Recognizer:
    async def transcribe(self, pcm: bytes, **_: Any) -> Heard:
        return Heard()


class Vad:
    def voice_activity(self) -> Vad:
        return self

    def process(self, pcm: bytes) -> list[float]:
        return [1.0] * (len(pcm) // 1024)


async def refuses(*_: Any, **__: Any) -> Any:
    raise CallRefused("All lines are busy.")


async def away(*_: Any, **__: Any) -> Any:
    raise CallGone("Nobody is there.")


async def unchanged() -> Reloaded:
    return Reloaded((), ())


async def written(*_: Any) -> str:
    return "Call me."


@pytest.fixture
async def client(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[httpx2.AsyncClient]:
    """Of a server that has all that there is to ask, with a past."""
    monkeypatch.setattr(attempts, "FREE", 1_000_000)  # it sends wrong keys, too
    settings = Settings.model_validate(
        {
            "state_dir": tmp_path,
            "http": {"api_key": KEY, "requests_per_minute": 1_000_000},
            "outbound": {
                "gateway": "127.0.0.1",
                "allow": ["*"],
                "calls_per_minute": 6000,
                "max_calls": 200,
            },
            "carriers": {"enabled": ["twilio"], "public_url": "https://phone.example"}
            | {"twilio": {"secret": "s"}},
            "text": {"max_audio_s": 2},
        }
    )
    personas = load_personas(settings)
    script = await serve(ScriptedLlm().app())
    llm = FakeEndpoint(url=f"{script.base_url}/v1".replace("//v1", "/v1"))
    models = FakeModels(llm=FakeLlm(llm), voices=ToneVoices(), recognizer=Recognizer(), vad=Vad())
    recorder, voicemail, events = Recorder(settings), Voicemail(settings, written), Events()
    await recorder.start()
    talk = Talk().recorded_by(recorder)
    talk.conversation.caller_said("Hello.")
    recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats(100, 0))
    await until(lambda: recorder.health().queued == 0)
    recordings = Recordings(settings, recorder.database)
    recordings.folder.mkdir()
    soundfile.write(recordings.folder / f"{talk.info.id}.flac", np.zeros((1600, 2), np.int16), 16_000)
    voicemail.take(bytes(32_000), CallInfo("sip", "bob", "600"), persona="Joe", language="en")
    events.close()  # streams end at once
    guard = OutboundGuard(settings.outbound)
    outgoing = OutboundCalls(away, away, guard, lambda: (True, ""))
    endpoint = WebRtcEndpoint(refuses, WebRtcSettings())
    app = create_app(
        settings=settings,
        calls=BusyCalls(),
        models=models,
        persona=personas.default,
        past=recorder.database,
        metrics=Metrics(),
        events=events,
        voicemail=voicemail,
        recordings=recordings,
        routers=[
            reload_router(unchanged),
            outbound_router(outgoing, lambda: personas, ring_timeout_s=20),
            sip_router(SipServer(settings.sip, 5, refuses, outbound=guard)),
            webrtc_router(endpoint, WebRtcSettings()),
            carriers_router(settings.carriers, refuses, lambda: (False, "Full.")),
        ],
    )
    client = await serve(app)
    yield client
    outgoing.drain()
    await outgoing.close()
    await endpoint.close()
    await voicemail.close()
    await recorder.close()
    await llm.close()


@pytest.mark.timeout(600)  # half a minute of a core
async def test_schemathesis_finds_nothing(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    document = str(client.base_url).rstrip("/") + "/openapi.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", document, f"--header=X-API-Key: {KEY}", *OPTIONS),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
