"""Whole calls of the caller over WebRTC and as Twilio, in its own process, to an agent of known timing."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.caller.script import Digits, Hangup, Line, Play, Script, Transport, Wait
from bench.caller.twilio_call import AUTH_TOKEN as TOKEN_VARIABLE
from bench.material import write_wav
from bench.metrics import CallLog, greeting_ms, heard_s, pacing, turns
from tests.agent.timed_agent import AUTH_TOKEN, TimedAgent, serving
from tests.transports import netns

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 40.0


class Caller:
    """Calls over one transport, from where its server can be reached."""

    def __init__(self, transport: Transport, folder: Path, cable: netns.Cable | None) -> None:
        self.transport = transport
        self.host = "127.0.0.1" if cable is None else netns.HERE
        self._folder = folder
        self._cable = cable

    async def call(
        self, url: str, *steps: Any, line: Line | None = None, auth_token: str = AUTH_TOKEN
    ) -> dict[str, Any]:
        script, result, wav = (self._folder / name for name in ("script.json", "result.json", "call.wav"))
        written = Script(
            transport=self.transport, api=url, steps=steps, line=line or Line(), wav=wav, max_s=30
        )
        script.write_text(written.model_dump_json())
        command = [sys.executable, "-m", "bench.caller", str(script), str(result)]
        if self._cable is not None:
            command = self._cable.command(*command)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), TOKEN_VARIABLE: auth_token}
        child = await asyncio.create_subprocess_exec(*command, env=environment)
        async with asyncio.timeout(DEADLINE_S):
            await child.wait()
        found: dict[str, Any] = json.loads(result.read_text())
        return found


@pytest.fixture(
    params=[
        "twilio",
        pytest.param("webrtc", marks=[pytest.mark.netns, pytest.mark.peers]),
    ]
)
def caller(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Caller]:
    """ICE doesn't use loopback: WebRTC's caller and server live at the two ends of a cable."""
    if request.param == "twilio":
        yield Caller("twilio", tmp_path, None)
        return
    with netns.cable() as cable, netns.inside(cable.server):
        yield Caller("webrtc", tmp_path, cable)


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    """0.6 s of a caller's voice."""
    path = tmp_path / "voice.wav"
    write_wav(path, 8000 * np.sin(np.arange(4800, dtype=np.float32) / 3))
    return path


async def test_measures_voice_to_voice(caller: Caller, voice: Path, tmp_path: Path) -> None:
    agent = TimedAgent(reply_after_s=0.4)
    question = (Play(wav=voice, label="q"), Wait(until="reply"), Wait(until="silent", for_ms=300))
    greeted = (Wait(until="speaking"), Wait(until="silent", for_ms=300))
    async with serving(agent, caller.host) as url:
        result = await caller.call(url, *greeted, *question, *question, Hangup())
    assert (result["outcome"], result["ended_by"], result["findings"]) == ("answered", "caller", [])
    log = CallLog.of(result)
    answered = turns(log)
    assert [turn.talked_over for turn in answered] == [False, False]
    for turn in answered:
        assert turn.voice_to_voice_ms == pytest.approx(450, abs=90)
    began = greeting_ms(log)
    assert began is not None
    assert began < 400
    assert heard_s(log) == pytest.approx(1.2, abs=0.15)
    pace = pacing(log)
    assert pace is not None
    assert pace.lost == 0
    assert pace.p50_ms == pytest.approx(20, abs=2)
    with wave.open(str(tmp_path / "call.wav")) as stereo:
        assert stereo.getnframes() / 8000 == pytest.approx(result["ended_at"] - result["acked_at"], abs=0.7)
    assert not agent.live


async def test_the_agent_hears_what_is_played(caller: Caller, voice: Path) -> None:
    agent = TimedAgent()
    async with serving(agent, caller.host) as url:
        await caller.call(url, Wait(timeout_s=0.5), Play(wav=voice), Wait(timeout_s=0.5), Hangup())
    heard = np.frombuffer(bytes(agent.recorders[0].pcm), np.int16).astype(float)
    loud = np.abs(heard) > 2000
    assert np.ptp(np.flatnonzero(loud)) / 16_000 == pytest.approx(0.6, abs=0.03)
    spectrum = np.abs(np.fft.rfft(heard))
    assert spectrum.argmax() * 16_000 / len(heard) == pytest.approx(8000 / 3 / (2 * np.pi), abs=5)


async def test_measures_a_barge_in(caller: Caller, voice: Path) -> None:
    agent = TimedAgent(greeting_s=5, stop_after_s=0.2)
    steps = (
        Wait(until="speaking", for_ms=400),
        Play(wav=voice, kind="barge-in"),
        Wait(until="reply"),
        Hangup(),
    )
    async with serving(agent, caller.host) as url:
        result = await caller.call(url, *steps)
    (turn,) = turns(CallLog.of(result))
    assert turn.interrupted_agent
    # What the pipeline's end had in hand may follow the fade by a packet or two.
    assert turn.barge_in_stop_ms == pytest.approx(220, abs=110)
    if caller.transport == "twilio":
        assert "clear" in [what for _, _, what in result["signalling"]]


async def test_presses_keys(caller: Caller) -> None:
    agent = TimedAgent()
    async with serving(agent, caller.host) as url:
        await caller.call(url, Wait(timeout_s=0.3), Digits(digits="4#"), Wait(timeout_s=0.3), Hangup())
    assert agent.keys == "4#"


async def test_the_agent_may_hang_up(caller: Caller) -> None:
    async with serving(TimedAgent(hangup_after_s=0.6), caller.host) as url:
        result = await caller.call(url, Wait(timeout_s=10), Hangup())
    assert (result["outcome"], result["ended_by"]) == ("answered", "agent")


async def test_a_full_server_refuses(caller: Caller) -> None:
    async with serving(TimedAgent(max_calls=0), caller.host) as url:
        result = await caller.call(url, Hangup())
    assert result["outcome"] == "refused"
    assert (result["status"], "busy" in result["reason"]) == (
        503 if caller.transport == "webrtc" else 200,
        True,
    )


async def test_nobody_there_is_told(caller: Caller) -> None:
    result = await caller.call(f"http://{caller.host}:9", Hangup())
    assert result["outcome"] == "unreachable"
    assert "can't be" in result["findings"][0]


async def test_loss_is_on_rtp(caller: Caller, voice: Path) -> None:
    line = Line(loss_pattern=(0, 0, 0, 1), jitter_ms=40)
    if caller.transport == "twilio":
        with pytest.raises(ValueError, match="Loss and jitter are of RTP packets"):
            await caller.call("http://127.0.0.1:9", Hangup(), line=line)
        return
    async with serving(TimedAgent(), caller.host) as url:
        result = await caller.call(url, Play(wav=voice), Wait(until="reply"), Hangup(), line=line)
    log = CallLog.of(result)
    assert np.mean(log.sent_lost) == pytest.approx(0.25, abs=0.02)
    (turn,) = turns(log)
    assert turn.answer_at is not None


async def test_what_twilio_did_not_sign_is_refused(tmp_path: Path) -> None:
    async with serving(TimedAgent()) as url:
        result = await Caller("twilio", tmp_path, None).call(url, Hangup(), auth_token="forged-secret")
    assert (result["outcome"], result["status"]) == ("refused", 403)
    assert "forged-secret" not in json.dumps(result)
