"""A call that needs no phone: a second process dials the agent, asks, and listens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import sys
import tempfile
import time
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.conversation import ToolCall, Turn
from agent.http.speech import transcribe
from agent.server import Server
from agent.session import CallSession
from bench import metrics
from bench.caller.impair import load_wav
from bench.caller.recording import read_agent
from bench.caller.script import Hangup, Play, Script, Step, Wait
from bench.callers import why_not
from bench.material import MaterialError, Speaker, write_wav
from bench.subjects import ROOT, free_port
from config.errors import ConfigError
from config.persona import Persona
from config.settings import Settings
from config.telemetry import TelemetrySettings
from models.catalog import Catalog
from transports.playout import SAMPLE_RATE_HZ

CALL_DEADLINE_S = 30.0  # and as much again for each question
END_DEADLINE_S = 10.0
POLL_S = 0.05


@dataclass(frozen=True)
class Answer:
    """What came after one question."""

    turn: Turn | None = (
        None  # None too where the agent only excused itself, or asked whether anybody is there
    )
    heard: str = ""  # on the line, transcribed again
    voice_to_voice_ms: float | None = None  # at the packets

    @property
    def given(self) -> bool:
        return self.turn is not None and bool(self.heard)


@dataclass(frozen=True)
class Demo:
    """What came of it."""

    turns: Sequence[Turn]
    answers: Sequence[Answer]  # one for each question
    greeting_ms: float | None = None  # from the ACK to the first audible packet
    wav: Path | None = None
    tool_calls: Sequence[Sequence[ToolCall]] = ()  # what was called after each question
    problem: str = ""  # why there was no call, or no recording

    @property
    def unanswered(self) -> list[int]:
        """The questions without an answer, counted from 1."""
        return [number for number, answer in enumerate(self.answers, 1) if not answer.given]


def loopback(settings: Settings) -> Settings:
    """The settings, on free loopback ports, and such that the demo's own caller gets through."""
    sip = settings.sip.model_copy(
        update={
            "enabled": True,
            "host": "127.0.0.1",
            "port": free_port(socket.SOCK_DGRAM),
            "users": (),
            "allow": ("127.0.0.0/8",),
            "codecs": ("pcmu",),
            "tls": False,
            "tls_cert": None,
            "tls_key": None,
            "media_encryption": "optional",
            "accounts": {},  # a running server is logged in with them
            "processes": 1,
        }
    )
    http = settings.http.model_copy(update={"enabled": False})
    records = settings.records.model_copy(update={"enabled": False})  # nobody's calls
    update = {"sip": sip, "http": http, "records": records, "telemetry": TelemetrySettings()}
    return settings.model_copy(update=update)


class CallerVoice:
    """Speaks with the bench's English voices in turn; other languages are left to the server's own voice."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self.folder = folder
        self._spoken = 0
        try:
            self._speaker: Speaker | None = Speaker(folder, catalog)
        except MaterialError:
            self._speaker = None

    async def says(self, text: str, language: str) -> str | Path:
        if language != "en" or self._speaker is None:
            return text
        voices = self._speaker.voices
        path = self.folder / f"{self._spoken}.wav"
        write_wav(path, await self._speaker.say(text, voices[self._spoken % len(voices)]))
        self._spoken += 1
        return path

    async def close(self) -> None:
        if self._speaker is not None:
            await self._speaker.close()


def require_sound(paths: Sequence[Path]) -> None:
    """Raises ConfigError where one can't be played."""
    for path in paths:
        try:
            load_wav(path)
        except OSError as error:
            raise ConfigError(f"{path} can't be asked: {error.strerror}.") from None
        except (ValueError, EOFError, wave.Error):
            raise ConfigError(f"{path} can't be asked; it must be a WAV file (mono, 16 bit).") from None


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
        result_file = folder / "result.json"
        arriving = asyncio.create_task(arrival(server))
        try:
            await _run_caller(
                folder / "script.json", result_file, deadline_s=CALL_DEADLINE_S * (1 + len(questions))
            )
            session = arriving.result() if arriving.done() else None
            turns = await _turns(server, session) if session else []
        finally:
            arriving.cancel()
        result = json.loads(result_file.read_text()) if result_file.exists() else {}
    nothing = [Answer() for _ in questions]
    if not result:
        return Demo(turns, nothing, problem="The caller didn't come to its end.")
    if result["outcome"] != "answered":
        return Demo(turns, nothing, problem=f"The call wasn't answered: {why_not(result)}.")
    if not result["received"]:
        return Demo(turns, nothing, problem="Nothing came from the agent.")
    if result["wav"] is None:
        return Demo(turns, nothing, problem="; ".join(result["findings"]))
    log = metrics.CallLog.of(result)
    unix_s = time.time() - time.monotonic()
    heard = await _transcribe(server, wav, unix_s + min(log.sent_at[0], log.received_at[0]))
    asked = metrics.turns(log)
    found = answers(asked, turns, heard, server.persona, unix_s=unix_s)
    called = tool_calls(asked, session.tool_calls if session else (), unix_s=unix_s)
    # A call that ends early leaves questions unasked.
    return Demo(turns, (found + nothing)[: len(questions)], metrics.greeting_ms(log), wav, called)


def answers(
    asked: Sequence[metrics.Turn],
    turns: Sequence[Turn],
    heard: Sequence[tuple[float, str]],
    persona: Persona,
    *,
    unix_s: float,
) -> list[Answer]:
    """What followed each question, up to the end of the next.

    `heard`: Unix times and what was heard then on the agent's side of the line. `unix_s`: the Unix time at
    the zero of the clock of `asked`.
    """
    ends = [question.last_speech + unix_s for question in asked]
    found = []
    for question, since, until in zip(asked, ends, [*ends[1:], float("inf")], strict=True):
        said = [turn for turn in turns if turn.speaker == "agent" and since <= turn.at < until]
        turn = next((turn for turn in said if not _evasive(turn, persona)), None)
        words = " ".join(text for at, text in heard if since <= at < until)
        found.append(Answer(turn, words, question.voice_to_voice_ms))
    return found


def tool_calls(
    asked: Sequence[metrics.Turn], calls: Sequence[ToolCall], *, unix_s: float
) -> list[list[ToolCall]]:
    """What was called after the end of each question, up to the end of the next. `unix_s`: see `answers`."""
    ends = [question.last_speech + unix_s for question in asked]
    return [
        [call for call in calls if since <= call.at < until]
        for since, until in zip(ends, [*ends[1:], float("inf")], strict=True)
    ]


def _evasive(turn: Turn, persona: Persona) -> bool:
    """Whether it is, or ends in, what the agent says instead of an answer. The end of that may be missing."""
    said = _plain(turn.text)
    for text in (persona.again, persona.apology, persona.goodbye, *persona.idle_prompts):
        beginning = re.split(r"(?<=[.!?])\s", text)[0]
        if _plain(beginning) in said or _plain(text).startswith(said):
            return True
    return False


def _plain(text: str) -> str:
    words = re.findall(r"\w+", text.lower())
    return f" {' '.join(words)} "


async def _speak(server: Server, text: str, path: Path) -> None:
    voice = server.persona.voice
    speech = await server.pool.voices.synthesize(text, voice=voice, call_id="demo")
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE_HZ)
        out.writeframes(speech.pcm)


async def _run_caller(script: Path, result: Path, *, deadline_s: float) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.caller", str(script), str(result)),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        async with asyncio.timeout(deadline_s):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def arrival(server: Server) -> CallSession:
    """The next call, as soon as it is there. One that was given up may still live."""
    before = {session.info.id for session in server.sessions.live()}
    while True:  # the directory tells of no arrivals
        for session in server.sessions.live():
            if session.info.id not in before:
                return session
        await asyncio.sleep(POLL_S)


async def _turns(server: Server, session: CallSession) -> Sequence[Turn]:
    """All turns of the call, once it is over."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(server.sessions.gone(session.info.id), END_DEADLINE_S)
    return session.turns


async def _transcribe(server: Server, path: Path, began: float) -> list[tuple[float, str]]:
    """What the agent's side of the stereo recording says, and when, if the recording began at `began`."""
    pcm = read_agent(path, SAMPLE_RATE_HZ).tobytes()
    reply = await transcribe(server.pool, pcm, server.persona.language_code)
    return [(began + (part.start_ms + part.end_ms) / 2000, part.text) for part in reply.segments]


QUESTIONS = {
    "en": ("What is the capital of France?", "And which river flows through it?"),
    "fr": ("Bonjour, quelle est la capitale de la France ?", "Et celle de l'Espagne ?"),
    "es": ("Hola, ¿cuál es la capital de Francia?", "¿Y la de Italia?"),
    "it": ("Buongiorno, qual è la capitale della Francia?", "E quella della Spagna?"),
    "pt": ("Olá, qual é a capital da França?", "E a da Espanha?"),
    "hi": ("नमस्ते, फ़्रांस की राजधानी क्या है?", "और स्पेन की?"),
}


def default_questions(persona: Persona) -> Sequence[str]:
    """Something to ask in the persona's language, or in English."""
    return QUESTIONS.get(persona.language_code, QUESTIONS["en"])
