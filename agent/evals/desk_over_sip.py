"""Callers who react, over real SIP: a second process dials, and says what comes next as the agent asks.

What the agent has asked is what its session notes as heard; what the caller says goes the whole way through
the recognizer. They are held against the calendar alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from agent.calendar.appointments import Appointments, appointments
from agent.demo import arrival, loopback
from agent.evals.callers import Caller, CallerSet, Conversation, Said, score
from agent.evals.desk import CallResult, booked, prepare
from agent.server import Server
from agent.session import CallSession
from bench.caller.prompting import ASKED, STEPS
from bench.caller.script import Digits, Hangup, Play, Prompted, Script, Step, Wait
from bench.material import MaterialError, Speaker, write_wav
from bench.subjects import ROOT
from config.answering import Personas
from config.persona import Persona
from config.settings import Settings
from models.catalog import Catalog
from models.errors import WeightsError

CALL_DEADLINE_S = 300.0
END_DEADLINE_S = 10.0
SILENCE_MS = 1200  # behind which the agent has said all
NOTED_S = 5.0  # so long the last words may take from the line into the session
MOST_WAITS = 2
_ANSWERED = (
    Wait(until="reply", timeout_s=15),
    Wait(until="silent", for_ms=SILENCE_MS, timeout_s=40),
)


async def over_sip(
    settings: Settings, found: CallerSet, persona: Persona, made: Callable[[CallResult], None]
) -> str:
    """One call after the other, each with an empty calendar, told to `made`. Returns what answered.

    Raises ModelError and SipError.
    """
    with tempfile.TemporaryDirectory(prefix="offhook-eval-") as scratch:
        folder = Path(scratch)
        calendar = settings.calendar.model_copy(update={"file": folder / "calendar.ics", "url": None})
        settings = loopback(settings).model_copy(update={"calendar": calendar, "state_dir": folder})
        desk = appointments(calendar, folder)
        try:
            speaker = Speaker(folder, Catalog(settings.cache_dir))
        except MaterialError as error:
            raise WeightsError(str(error)) from error
        server = Server(settings, Personas((persona,)))
        try:
            await server.start(lambda _: None)
            for number, caller in enumerate(found.callers):
                (folder / "calendar.ics").unlink(missing_ok=True)
                voice = speaker.voices[number % len(speaker.voices)]
                begun = time.monotonic()
                call = await _Call(server, desk, speaker, voice, folder).made(found, caller)
                call.took_s = time.monotonic() - begun
                made(call)
            return f"{server.pool.llm.endpoint.model} ({server.pool.llm.device or 'elsewhere'})"
        finally:
            await server.close(drain_s=0)
            await speaker.close()


class _Call:
    def __init__(
        self, server: Server, desk: Appointments, speaker: Speaker, voice: str, folder: Path
    ) -> None:
        self._server = server
        self._desk = desk
        self._speaker = speaker
        self._voice = voice
        self._folder = folder
        self._spoken = 0

    async def made(self, found: CallerSet, caller: Caller) -> CallResult:
        conversation = Conversation(found, caller, self._desk.now().date())
        await prepare(self._desk, caller, conversation)
        result = CallResult(caller.name)
        silent = Wait(until="silent", for_ms=SILENCE_MS, timeout_s=30)
        steps: tuple[Step, ...] = (Wait(until="speaking", for_ms=20, timeout_s=10), silent, Prompted())
        target = f"127.0.0.1:{self._server.settings.sip.port}"
        script = self._folder / "script.json"
        script.write_text(Script(target=target, steps=steps).model_dump_json())
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.caller", str(script), str(self._folder / "result.json")),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(CALL_DEADLINE_S):
                session = await self._session(process)
                if session is None:
                    result.failures = ["the call wasn't answered"]
                    return result
                await self._talk(process, session, conversation, result)
                await process.wait()
                await asyncio.wait_for(self._server.sessions.gone(session.info.id), END_DEADLINE_S)
        except TimeoutError:
            result.failures = ["the call didn't end"]
            return result
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        result.failures = score(caller.entries, conversation.days, await booked(self._desk))
        return result

    async def _session(self, process: asyncio.subprocess.Process) -> CallSession | None:
        """The call's, once it is there; None where it isn't taken."""
        arriving = asyncio.create_task(arrival(self._server))
        over = asyncio.create_task(process.wait())
        try:
            await asyncio.wait({arriving, over}, return_when=asyncio.FIRST_COMPLETED)
            return arriving.result() if arriving.done() else None
        finally:
            arriving.cancel()
            over.cancel()

    async def _talk(
        self,
        process: asyncio.subprocess.Process,
        session: CallSession,
        conversation: Conversation,
        result: CallResult,
    ) -> None:
        assert process.stdin
        assert process.stdout
        said: Said | None = None
        turns = 0
        waited = 0
        while ASKED in (await process.stdout.readline()).decode():
            understood, heard, turns = await self._heard(session, turns)
            if not heard and waited < MOST_WAITS:  # as people do who hear nothing
                waited += 1
                steps: tuple[Step, ...] = (*_ANSWERED, Prompted())
            else:
                waited = 0
                if said is not None:
                    result.said.append((_also(said, understood), heard))
                said = conversation.begin() if said is None else conversation.reply(heard)
                steps = await self._steps(said) if said else (Hangup(),)
            with contextlib.suppress(ConnectionError):  # the call is over meanwhile
                process.stdin.write(STEPS.dump_json(steps) + b"\n")
                await process.stdin.drain()
        if said is not None:
            understood, heard, _ = await self._heard(session, turns)
            result.said.append((_also(said, understood), heard))

    async def _heard(self, session: CallSession, since: int) -> tuple[str, str, int]:
        """What was understood of the caller from that turn on, what they heard, and where to go on from."""
        deadline = asyncio.get_running_loop().time() + NOTED_S
        while True:
            turns = session.turns[since:]
            if any(turn.speaker == "agent" for turn in turns) or (
                asyncio.get_running_loop().time() > deadline
            ):
                understood, heard = (
                    " ".join(turn.text for turn in turns if turn.speaker == who)
                    for who in ("caller", "agent")
                )
                return understood, heard, since + len(turns)
            await asyncio.sleep(0.05)

    async def _steps(self, said: Said) -> tuple[Step, ...]:
        if said.keys:
            return (Digits(digits=said.keys), *_ANSWERED, Prompted())
        words = Play(wav=await self._wav(said.text))
        if not said.breaks_in:
            return (words, *_ANSWERED, Prompted())
        speaking = Wait(until="speaking", for_ms=said.after_ms, timeout_s=15)
        return (words, speaking, Play(wav=await self._wav(said.breaks_in)), *_ANSWERED, Prompted())

    async def _wav(self, text: str) -> Path:
        path = self._folder / f"{self._spoken}.wav"
        self._spoken += 1
        write_wav(path, await self._speaker.say(text, self._voice))
        return path


def _also(said: Said, understood: str) -> str:
    """What the caller said, with what was made of it."""
    return f"{said.text} {said.breaks_in}".rstrip() + f" (understood: {understood})"
