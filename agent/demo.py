"""A call that needs no phone: a second process dials the agent, asks, and listens."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.bench import metrics
from agent.bench.subjects import free_port
from agent.caller.recording import read_agent
from agent.caller.script import Hangup, Play, Script, Step, Wait
from agent.conversation import Turn
from agent.http.speech import transcribe
from agent.server import Server
from config.persona import Persona
from config.settings import Settings
from transports.playout import SAMPLE_RATE_HZ

CALL_DEADLINE_S = 90.0
POLL_S = 0.2


@dataclass(frozen=True)
class Demo:
    """What came of it."""

    turns: Sequence[Turn]
    heard: str  # the agent's side of the line, transcribed again
    greeting_ms: float | None  # from the ACK to the first audible packet
    voice_to_voice_ms: Sequence[float]  # of each answer, at the packets
    wav: Path

    @property
    def answered(self) -> bool:
        """Whether the agent understood, and was heard to answer."""
        speakers = [turn.speaker for turn in self.turns]
        return (
            "caller" in speakers
            and speakers[-1] == "agent"
            and bool(self.voice_to_voice_ms)
            and bool(self.heard)
        )


def loopback(settings: Settings) -> Settings:
    """The settings, on free loopback ports."""
    port = free_port(socket.SOCK_DGRAM)
    sip = settings.sip.model_copy(update={"host": "127.0.0.1", "port": port, "enabled": True})
    http = settings.http.model_copy(update={"enabled": False})
    return settings.model_copy(update={"sip": sip, "http": http})


async def make_call(server: Server, questions: Sequence[str | Path], wav: Path) -> Demo:
    """Dial the running `server` from a second process and ask the questions, texts or recordings."""
    with tempfile.TemporaryDirectory(prefix="offhook-demo-") as scratch:
        folder = Path(scratch)
        steps: list[Step] = [
            Wait(until="speaking", for_ms=20, timeout_s=5),
            Wait(until="silent", for_ms=600, timeout_s=15),
        ]
        for number, question in enumerate(questions):
            recording = question if isinstance(question, Path) else folder / f"{number}.wav"
            if isinstance(question, str):
                await _speak(server, question, recording)
            steps += [
                Play(wav=recording),
                Wait(until="reply", timeout_s=15),
                Wait(until="silent", for_ms=1200, timeout_s=40),
            ]
        steps.append(Hangup())
        script = Script(target=f"127.0.0.1:{server.settings.sip.port}", steps=tuple(steps), wav=wav)
        (folder / "script.json").write_text(script.model_dump_json())
        turns: list[Turn] = []
        watching = asyncio.create_task(_watch(server, turns))
        result_file = folder / "result.json"
        await _run_caller(folder / "script.json", result_file)
        watching.cancel()
        result = json.loads(result_file.read_text()) if result_file.exists() else {}
        answered = result.get("outcome") == "answered"
        heard = await _transcribe(server, wav) if answered else ""
    if not answered:
        return Demo(turns, heard, None, (), wav)
    log = metrics.CallLog.of(result)
    latencies = [turn.voice_to_voice_ms for turn in metrics.turns(log)]
    return Demo(turns, heard, metrics.greeting_ms(log), [ms for ms in latencies if ms is not None], wav)


async def _speak(server: Server, text: str, path: Path) -> None:
    voice = server.settings.tts.voice or server.persona.voice
    speech = await server.pool.voices.synthesize(text, voice=voice, call_id="demo")
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE_HZ)
        out.writeframes(speech.pcm)


async def _run_caller(script: Path, result: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent.caller", str(script), str(result)
    )
    try:
        async with asyncio.timeout(CALL_DEADLINE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _watch(server: Server, turns: list[Turn]) -> None:
    """Keep the latest state of the call's turns: they go with the call."""
    while True:
        for session in server.sessions.live():
            turns[:] = session.turns
        await asyncio.sleep(POLL_S)


async def _transcribe(server: Server, path: Path) -> str:
    """What the agent's side of the stereo recording says."""
    pcm = read_agent(path, SAMPLE_RATE_HZ).tobytes()
    return (await transcribe(server.pool, pcm, server.persona.language_code)).text


def default_questions(persona: Persona) -> list[str]:
    """Something to ask in the persona's language."""
    if persona.language_code == "fr":
        return ["Bonjour, quelle est la capitale de la France ?"]
    return ["What is the capital of France?", "And how far is it from London?"]
