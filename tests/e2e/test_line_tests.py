"""The numbers that test the line, on `offhook serve`, called over SIP, from a browser's stack and as Twilio.

Prints the delay of `echo` and the reported quality, wire by wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import wave
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import httpx2
import numpy as np
import pytest
import soxr

from agent.test_numbers.tone import LEVEL_DBM0, TONE_HZ
from bench.caller.script import RATE_HZ, Digits, Hangup, Play, Samples, Script, Step, Transport, Wait
from bench.caller.twilio_call import AUTH_TOKEN
from config.settings import TestNumber
from models.whisper import Recognizer
from tests.e2e.served import Served, plain, served
from tests.peers import free_port
from tests.transports import netns

pytestmark = [pytest.mark.netns, pytest.mark.peers, pytest.mark.models]

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 150.0
NOISE_S = 3
AT_ONCE = 3
SETTINGS = {
    "OFFHOOK_HTTP__HOST": netns.HERE,
    "OFFHOOK_HTTP__API_KEY": "of-the-front-desk",
    "OFFHOOK_LLM__BUNDLED": "smollm2-135m",
    "OFFHOOK_LLM__MAX_TOKENS": "16",
    AUTH_TOKEN: "an-auth-token",
}
# Carriers dial numbers, the others names.
DIALLED: dict[TestNumber, str] = {
    "echo": "+15550101",
    "tone": "+15550102",
    "keys": "+15550103",
    "repeat": "+15550104",
    "latency": "+15550105",
    "quality": "+15550106",
}
GREETED = (Wait(until="speaking", for_ms=400, timeout_s=20), Wait(until="silent", for_ms=2500, timeout_s=20))
PAUSE = Wait(timeout_s=1)
SAID = (Wait(until="reply", timeout_s=20), Wait(until="silent", for_ms=2500, timeout_s=20))


@dataclass
class Heard:
    """One call: both sides of its line, s16 mono at 8 kHz in one time, and what the API told of it last."""

    caller: Samples
    agent: Samples
    session: dict[str, Any]
    words: str = ""  # the agent's last, as an ear of ours has them


@pytest.fixture(scope="module")
def server(cable: netns.Cable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    port = free_port()
    numbers = ", ".join(f"{number}={name}" for name, number in DIALLED.items())
    settings = {
        **SETTINGS,
        "OFFHOOK_HTTP__PORT": str(port),
        "OFFHOOK_CARRIERS__ENABLED": "twilio",
        "OFFHOOK_CARRIERS__PUBLIC_URL": f"http://{netns.HERE}:{port}",
        "OFFHOOK_TEST_NUMBERS__NUMBERS": numbers,
    }
    with served(tmp_path_factory.mktemp("numbers"), **settings) as running:
        yield running


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    path = tmp_path / "noise.wav"
    spectrum = np.fft.rfft(np.random.default_rng(1).normal(0, 8000, NOISE_S * RATE_HZ))
    spectrum[np.fft.rfftfreq(NOISE_S * RATE_HZ, 1 / RATE_HZ) > 1000] = 0  # half a sample matters little
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(np.fft.irfft(spectrum).astype(np.int16).tobytes())
    return path


@pytest.fixture(scope="module", params=get_args(Transport))
def wire(request: pytest.FixtureRequest) -> Transport:
    transport: Transport = request.param
    return transport


@pytest.fixture(scope="module")
def calls(
    wire: Transport,
    cable: netns.Cable,
    server: Served,
    questions: list[Path],
    recognizer: Recognizer,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[TestNumber, Heard]:
    """A call to each number but `echo` over one wire, some at once."""
    steps: dict[TestNumber, tuple[Step, ...]] = {
        "tone": (Wait(until="speaking", timeout_s=20), Wait(timeout_s=14)),
        "keys": (*GREETED, Digits(digits="4#7"), *SAID),
        "repeat": (*GREETED, Play(wav=questions[0]), *SAID),
        "latency": (*GREETED, Play(wav=questions[0]), *SAID, PAUSE),
        "quality": (*GREETED, Wait(until="speaking", timeout_s=20), *SAID),
    }
    room = asyncio.Semaphore(AT_ONCE)

    async def one(name: TestNumber) -> tuple[TestNumber, Heard]:
        folder = tmp_path_factory.mktemp(f"{wire}-{name}")
        async with room:
            return name, await make(wire, name, steps[name], server, cable, folder)

    async def each() -> dict[TestNumber, Heard]:
        return dict(await asyncio.gather(*map(one, steps)))

    heard = asyncio.run(each())
    for call in heard.values():
        end = np.asarray(soxr.resample(call.agent[-25 * RATE_HZ :], RATE_HZ, 16_000), np.int16)
        call.words = plain(recognizer.transcribe_now(end, "en").text)
    return heard


async def make(
    transport: Transport,
    name: TestNumber,
    steps: tuple[Step, ...],
    server: Served,
    cable: netns.Cable,
    folder: Path,
) -> Heard:
    user = DIALLED[name] if transport == "twilio" else name
    script, result, wav = (folder / file for file in ("script.json", "result.json", "call.wav"))
    script.write_text(
        Script(
            transport=transport,
            target=f"127.0.0.1:{server.sip}",
            api=server.url,
            user=user,
            steps=(*steps, Hangup()),
            wav=wav,
            max_s=60,
        ).model_dump_json()
    )
    command = [sys.executable, "-m", "bench.caller", str(script), str(result)]
    if transport == "webrtc":
        command = cable.command(*command)  # ICE doesn't use loopback
    environment = {**os.environ, **SETTINGS, "PYTHONPATH": str(ROOT)}
    child = await asyncio.create_subprocess_exec(*command, env=environment)
    try:
        async with asyncio.timeout(DEADLINE_S), watched(server, user) as session:
            await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    told = json.loads(result.read_text())
    assert (told["outcome"], told["findings"]) == ("answered", []), told["reason"]
    with wave.open(str(wav)) as file:
        sides = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2)
    caller, agent = sides[:, 0].copy(), sides[:, 1].copy()
    return Heard(caller, agent, session)


@contextlib.asynccontextmanager
async def watched(server: Served, called: str) -> AsyncIterator[dict[str, Any]]:
    """What the API tells of the call to `called`, again and again as long as it lives."""
    latest: dict[str, Any] = {}

    async def watch() -> None:
        headers = {"X-API-Key": SETTINGS["OFFHOOK_HTTP__API_KEY"]}
        async with httpx2.AsyncClient(base_url=server.url, headers=headers) as http:
            while True:
                await asyncio.sleep(0.3)
                for session in (await http.get("/api/v1/sessions")).json()["sessions"]:
                    if session["to"] == called:
                        answer = await http.get(f"/api/v1/sessions/{session['id']}")
                        latest.update(answer.json() if answer.status_code == 200 else {})

    watching = asyncio.create_task(watch())
    try:
        yield latest
    finally:
        watching.cancel()
        await asyncio.wait({watching})


def said(heard: Heard, speaker: str) -> list[str]:
    return [turn["text"] for turn in heard.session["transcript"] if turn["speaker"] == speaker]


def echo_ms(heard: Heard) -> list[float]:
    """By how much the echo follows what was said, packet for packet, for each 100 ms that come back."""
    caller, agent = (side.astype(float) for side in (heard.caller, heard.agent))
    loud = np.flatnonzero(np.abs(caller) > 1000)
    piece, most = RATE_HZ // 10, RATE_HZ // 2
    delays = []
    for at in range(loud[0], loud[-1] - piece, piece):
        spoken, around = caller[at : at + piece], agent[at : at + piece + most]
        windows = np.lib.stride_tricks.sliding_window_view(around, piece)
        energies = np.einsum("ij,ij->i", windows, windows) * (spoken @ spoken)
        likeness = windows @ spoken / np.sqrt(energies + 1)
        if likeness.max() > 0.8:
            delays.append(float(likeness.argmax()) * 1000 / RATE_HZ)
    return delays


async def test_echo(wire: Transport, cable: netns.Cable, server: Served, noise: Path, tmp_path: Path) -> None:
    heard = await make(wire, "echo", (*GREETED, Play(wav=noise), PAUSE), server, cable, tmp_path)
    delays = echo_ms(heard)
    print(f"\necho: {wire}: {np.median(delays):.0f} ms, {min(delays):.0f} to {max(delays):.0f}")
    assert len(delays) > NOISE_S * 3  # a busy machine breaks many of them up
    assert said(heard, "agent")[0].startswith("Echo test.")


def test_tone(calls: dict[TestNumber, Heard]) -> None:
    agent = calls["tone"].agent.astype(float)
    seconds = agent[: len(agent) // RATE_HZ * RATE_HZ].reshape(-1, RATE_HZ)
    spectra = np.abs(np.fft.rfft(seconds * np.hanning(RATE_HZ)))
    pure = [second for second, spectrum in zip(seconds, spectra, strict=True) if spectrum.argmax() == 1004]
    assert TONE_HZ == 1004
    assert len(pure) >= 2
    pieces = np.concatenate(pure).reshape(-1, RATE_HZ // 10)  # most of which lack nothing
    levels = 20 * np.log10(np.sqrt(2 * np.mean(pieces**2, axis=1)) / 32767 + 1e-9) + 3.17
    assert np.median(levels) == pytest.approx(LEVEL_DBM0, abs=1)


def test_keys(calls: dict[TestNumber, Heard]) -> None:
    assert said(calls["keys"], "caller") == ["DTMF: 4", "DTMF: #", "DTMF: 7"]
    assert said(calls["keys"], "agent")[1:] == ["4", "pound", "7"]
    assert calls["keys"].words.endswith(("7", "seven"))


def test_repeat(calls: dict[TestNumber, Heard]) -> None:
    (heard,) = said(calls["repeat"], "caller")
    assert "what is the capital" in plain(heard)
    assert said(calls["repeat"], "agent")[-1].startswith(f"I heard: {heard} I am ")
    assert "i am" in calls["repeat"].words.partition("heard")[2]


def test_latency(calls: dict[TestNumber, Heard]) -> None:
    assert "what is the capital" in plain(said(calls["latency"], "caller")[0])
    answer = calls["latency"].session["transcript"][-1]
    assert answer["ledger"]
    assert any(part in calls["latency"].words for part in ("milliseconds", "language model", "waiting for"))
    assert "milliseconds" not in plain(answer["text"])  # isn't of the conversation


def test_quality(calls: dict[TestNumber, Heard], wire: Transport) -> None:
    quality = calls["quality"].session["quality"]
    print(f"\nquality: {wire}: {quality}")
    report = said(calls["quality"], "agent")[-1]
    assert "packets received" in calls["quality"].words
    assert quality["packets_received"] > 10 * 50 * 0.9
    assert report.startswith(f"Codec {quality['codec'].partition('/')[0].upper()}.")
    if wire == "twilio":
        assert quality["packets_lost"] is quality["jitter_ms"] is quality["round_trip_ms"] is None
        assert quality["mos"] is None
        assert "can't be estimated" in report
    else:
        assert quality["packets_lost"] == 0
        assert 0 <= quality["jitter_ms"] < 100
        assert quality["mos"] > 4
        assert "0 lost" in report
        assert "Estimated quality: 4." in report
