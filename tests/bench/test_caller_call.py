"""Whole calls of the caller, in its own process, to an agent whose timing is known and to baresip."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.caller.g711 import Law
from bench.caller.script import Cancel, Digits, Hangup, Line, Play, Script, Step, Wait
from bench.material import write_wav
from bench.metrics import CallLog, greeting_ms, heard_s, pacing, turns
from tests.bench.scripted_agent import ScriptedAgent
from tests.peers import free_port

ROOT = Path(__file__).resolve().parents[2]


def _call(
    folder: Path, target: str, *steps: Step, line: Line | None = None, codec: Law = "pcmu"
) -> dict[str, Any]:
    script = Script(
        target=target, codec=codec, steps=steps, wav=folder / "call.wav", line=line or Line(), max_s=30
    )
    (folder / "script.json").write_text(script.model_dump_json())
    subprocess.run(
        [sys.executable, "-m", "bench.caller", str(folder / "script.json"), str(folder / "result.json")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    """0.6 s of a caller's voice."""
    path = tmp_path / "voice.wav"
    write_wav(path, 8000 * np.sin(np.arange(4800, dtype=np.float32) / 3))
    return path


def test_measures_voice_to_voice(tmp_path: Path, voice: Path) -> None:
    question = (Play(wav=voice, label="q"), Wait(until="reply"), Wait(until="silent", for_ms=300))
    with ScriptedAgent(reply_after_s=0.4) as agent:
        result = _call(
            tmp_path,
            agent.target,
            Wait(until="speaking"),
            Wait(until="silent", for_ms=300),
            *question,
            *question,
            Hangup(),
        )
        assert agent.requests == ["INVITE", "ACK", "BYE"]
    assert (result["outcome"], result["ended_by"], result["findings"]) == ("answered", "caller", [])
    log = CallLog.of(result)
    answered = turns(log)
    assert [turn.talked_over for turn in answered] == [False, False]
    for turn in answered:
        assert turn.voice_to_voice_ms == pytest.approx(400, abs=60)
    greeted = greeting_ms(log)
    assert greeted is not None
    assert greeted < 150
    assert heard_s(log) == pytest.approx(1.2, abs=0.15)
    pace = pacing(log)
    assert pace is not None
    assert pace.lost == 0
    with wave.open(str(tmp_path / "call.wav")) as stereo:
        assert stereo.getnchannels() == 2
        assert stereo.getnframes() / 8000 == pytest.approx(result["ended_at"] - result["acked_at"], abs=0.5)


def test_measures_a_barge_in(tmp_path: Path, voice: Path) -> None:
    with ScriptedAgent(greeting_s=5, stop_after_s=0.2) as agent:
        result = _call(
            tmp_path,
            agent.target,
            Wait(until="speaking", for_ms=400),
            Play(wav=voice, kind="barge-in"),
            Wait(until="reply"),
            Hangup(),
        )
    (turn,) = turns(CallLog.of(result))
    assert turn.interrupted_agent
    assert turn.barge_in_stop_ms == pytest.approx(200, abs=60)


def test_loses_what_it_is_told_to_lose(tmp_path: Path, voice: Path) -> None:
    with ScriptedAgent() as agent:
        line = Line(loss_pattern=(0, 0, 0, 1), jitter_ms=40)
        result = _call(tmp_path, agent.target, Play(wav=voice), Wait(until="reply"), Hangup(), line=line)
    lost = CallLog.of(result).sent_lost
    assert np.mean(lost) == pytest.approx(0.25, abs=0.02)
    (turn,) = turns(CallLog.of(result))
    assert turn.answer_at is not None


def test_sends_digits(tmp_path: Path) -> None:
    with ScriptedAgent() as agent:
        _call(tmp_path, agent.target, Digits(digits="4#"), Hangup())
        assert sorted(set(agent.digits)) == [4, 11]


def test_the_agent_may_hang_up(tmp_path: Path) -> None:
    with ScriptedAgent(hangup_after_s=0.5) as agent:
        result = _call(tmp_path, agent.target, Wait(timeout_s=10), Hangup())
    assert (result["outcome"], result["ended_by"]) == ("answered", "agent")


def test_a_refusal_is_told(tmp_path: Path) -> None:
    with ScriptedAgent(status="486 Busy Here") as agent:
        result = _call(tmp_path, agent.target, Hangup())
    assert (result["outcome"], result["status"]) == ("refused", 486)


def test_cancels_while_it_rings(tmp_path: Path) -> None:
    with ScriptedAgent(status="180 Ringing") as agent:
        result = _call(tmp_path, agent.target, Cancel())
        assert "CANCEL" in agent.requests
    assert result["status"] == 487


def test_an_unasked_reinvite_is_a_finding(tmp_path: Path) -> None:
    with ScriptedAgent(reinvite=True) as agent:
        result = _call(tmp_path, agent.target, Wait(timeout_s=0.5), Hangup())
    assert result["findings"] == ["the agent's side sent a re-INVITE that nobody asked for"]


@pytest.fixture
def baresip(tmp_path: Path) -> Iterator[str]:
    """Debian's baresip, which answers and plays back what it hears."""
    program = shutil.which("baresip")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("baresip isn't installed")
        pytest.skip("baresip isn't installed")
    folder = tmp_path / "baresip"
    folder.mkdir()
    port = free_port()
    modules = next(Path("/usr/lib").glob("**/baresip/modules"), Path("/usr/lib/baresip/modules"))
    (folder / "config").write_text(
        f"sip_listen 127.0.0.1:{port}\naudio_player aubridge,loop\naudio_source aubridge,loop\n"
        f"audio_alert aubridge,alert\nmodule_path {modules}\nmodule aubridge.so\nmodule g711.so\n"
        "module_tmp account.so\nmodule_app menu.so\nnet_interface 127.0.0.1\n"
    )
    (folder / "accounts").write_text("<sip:agent@127.0.0.1>;regint=0;answermode=auto;audio_codecs=pcma\n")
    (folder / "contacts").write_text("")
    with (folder / "log").open("wb") as log:
        peer = subprocess.Popen(
            [program, "-f", str(folder)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        deadline = time.monotonic() + 10
        while "baresip is ready" not in (folder / "log").read_text():
            assert time.monotonic() < deadline, (folder / "log").read_text()
            assert peer.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        peer.kill()
        peer.wait()


@pytest.mark.peers
def test_talks_with_baresip(tmp_path: Path, voice: Path, baresip: str) -> None:
    steps = (Wait(timeout_s=0.5), Play(wav=voice), Wait(timeout_s=0.5), Digits(digits="5"), Hangup())
    result = _call(tmp_path, baresip, *steps, codec="pcma")
    assert (result["outcome"], result["codec"], result["findings"]) == ("answered", "pcma", [])
    assert heard_s(CallLog.of(result)) == pytest.approx(0.6, abs=0.15)
    assert "'5'" in (tmp_path / "baresip" / "log").read_text()
