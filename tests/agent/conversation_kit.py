"""Scripted conversations: fake models and a fake wire on a virtual clock, everything between them real.

The caller's audio carries its own transcript: segment `n` of the script is a square wave of amplitude
`BASE + n`, so that the fake recognizer can read off what was said, and the fake voice activity that
something was. The wire pulls and feeds 20 ms at a time, as SIP does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from pipecat.frames.frames import InputDTMFFrame
from pipecat.processors.frame_processor import FrameProcessor

from agent.session import CallSession
from config.persona import Persona
from config.settings import Settings
from models.speech import Speech, Word
from models.whisper import LanguageChoice, Languages, Transcript
from tests import virtual_time
from transports.call import CallInfo, CallTransport, EndReason
from transports.pipecat_io import CallInput, CallOutput
from transports.playout import SAMPLE_RATE_HZ, Playout

PACKET_S = 0.020
PACKET = int(SAMPLE_RATE_HZ * PACKET_S)
BASE = 4000
WORD_S = 0.3  # how long a word of the agent's takes
STT_S = 0.1
FADED_S = 0.3
FIRST_TOKEN_S = 0.05
TOKEN_S = 0.01
TTS_S = 0.04
UNSPEAKABLE = "Mumble"  # the voice hangs on it

PERSONA = Persona(
    name="Test",
    language="en",
    voice="test",
    greeting="Hello there.",
    prompt="Be brief.",
    goodbye="Goodbye now.",
    idle_prompts=("Are you there?",),
    apology="I am sorry.",
)


@dataclass(frozen=True)
class Says:
    """The caller says `text` from `start` to `end`, in seconds after the call is connected.

    `completeness`, `finished` and `logprob` are what the models would make of it; None where they never do.
    `word_logprob` is that of the last word, while it fades and with silence behind it (None: no word is
    heard then). A text of "" is a noise. `languages` are the recognizer's probabilities, where it is asked
    for them; what is heard in another language than `speaks`, if it is given, comes out garbled.
    """

    start: float
    end: float
    text: str
    completeness: float | None = 0.95
    finished: float | None = None
    logprob: float = -0.2
    word_logprob: tuple[float, float | None] = (0.0, 0.0)
    speaks: str | None = None
    languages: tuple[tuple[str, float], ...] = ()
    hearing_s: float = 0.0  # how long the recognizer takes for it besides


@dataclass
class Event:
    """One thing that was seen on the wire or in the conversation."""

    at: float
    what: str
    detail: str = ""


@dataclass
class Outcome:
    events: list[Event] = field(default_factory=list)
    reason: EndReason | None = None
    turns: list[tuple[str, str, bool]] = field(default_factory=list)
    contexts: list[list[dict[str, Any]]] = field(default_factory=list)
    discarded: int = 0
    ledgers: list[dict[str, float]] = field(default_factory=list)
    sound: bytearray = field(default_factory=bytearray)  # what the wire pulled
    spoken: list[tuple[tuple[str, ...], str]] = field(default_factory=list)  # voices, and what they said
    tools: list[str] = field(default_factory=list)  # that were called
    left: list[str] = field(default_factory=list)  # tasks that outlived the call

    def at(self, what: str, nth: int = 0) -> float:
        """When `what` was seen for the nth time."""
        return [event.at for event in self.events if event.what == what][nth]

    def count(self, what: str) -> int:
        return sum(event.what == what for event in self.events)


def answers(outcome: Outcome) -> list[str]:
    return [text for speaker, text, _ in outcome.turns if speaker == "agent"]


def callers(outcome: Outcome) -> list[str]:
    return [text for speaker, text, _ in outcome.turns if speaker == "caller"]


class FakeCall(CallTransport):
    """A wire without packets."""

    def __init__(self, script: Iterable[Says], outcome: Outcome) -> None:
        super().__init__(CallInfo("fake", "caller", "agent", id="test"), Playout())
        self._script = list(script)
        self._outcome = outcome
        self._input = CallInput()
        self._output = CallOutput(self.playout)
        self._task: asyncio.Task[None] | None = None
        self._start = 0.0
        self.keys: list[tuple[float, InputDTMFFrame]] = []
        self.held = False

    @property
    def on_hold(self) -> bool:
        return self.held

    def input(self) -> FrameProcessor:
        return self._input

    def output(self) -> FrameProcessor:
        return self._output

    async def answer(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def hangup(self) -> None:
        if self._task:
            self._task.cancel()
            self._task = None
            at = asyncio.get_running_loop().time() - self._start
            self._outcome.events.append(Event(at, "agent hangs up"))
            await self._call_event_handler("on_dialin_stopped", EndReason.AGENT_HANGUP)

    async def hang_up_by_caller(self) -> None:
        if self._task:
            self._task.cancel()
            self._task = None
            await self._call_event_handler("on_dialin_stopped", EndReason.CALLER_HANGUP)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        await self._call_event_handler("on_dialin_connected")
        self._start = due = loop.time()
        sounding = False
        while True:
            at = loop.time() - self._start
            while self.keys and self.keys[0][0] <= at:
                await self._input.feed_dtmf(self.keys.pop(0)[1])
            await self._input.feed(self._packet(at))
            heard = np.frombuffer(self.playout.pull(PACKET), np.int16)
            self._outcome.sound += heard.tobytes()
            if bool(heard.any()) != sounding:
                sounding = not sounding
                self._outcome.events.append(Event(at, "agent starts" if sounding else "agent stops"))
            due += PACKET_S
            await asyncio.sleep(due - loop.time())

    def _packet(self, at: float) -> bytes:
        out = np.zeros(PACKET, np.int16)
        for index, says in enumerate(self._script):
            if says.start <= at < says.end:
                out[:] = BASE + index
                out[::2] *= -1
        return out.tobytes()


class FakeModels:
    """The pool's shape, with scripted answers that take scripted time."""

    def __init__(self, script: list[Says], replies: dict[str, str], outcome: Outcome) -> None:
        from tests.agent.scripted_llm import ScriptedLlm

        self.script = script
        self._outcome = outcome
        self.ready = True
        self.vad = SimpleNamespace(voice_activity=_FakeActivity)
        self.recognizer = SimpleNamespace(transcribe=self._transcribe, lane=SimpleNamespace(idle=True))
        self.voices = SimpleNamespace(stream=self._speak)
        completeness = SimpleNamespace(end_probability=self._completeness, read_ahead=None)
        self.llm = ScriptedLlm(replies, outcome, completeness)

    def _said(self, pcm: bytes) -> list[tuple[Says, float]]:
        """The script's segments in this audio, each with the share of it that is there."""
        samples = np.abs(np.frombuffer(pcm, np.int16).astype(int))
        found = []
        for index, says in enumerate(self.script):
            share = float((samples == BASE + index).sum()) / ((says.end - says.start) * SAMPLE_RATE_HZ)
            if share > 0.1:
                found.append((says, min(1.0, share)))
        return found

    async def _transcribe(
        self, pcm: bytes, *, language: str | LanguageChoice = "en", **_: object
    ) -> Transcript:
        words: list[str] = []
        said = self._said(pcm)
        await asyncio.sleep(STT_S + sum(says.hearing_s for says, _ in said))
        languages = None
        if callable(language):
            longest = max(said, key=lambda item: item[0].end - item[0].start)[0] if said else None
            seconds = sum((says.end - says.start) * share for says, share in said)
            languages = Languages(dict(longest.languages if longest else ()), seconds)
            language = language(languages)
        for says, share in said:
            own = says.text.split() if says.speaks in (None, language) else ["Gibberish."]
            words += own[: round(len(own) * share)] if share < 0.85 else own
        logprob = min((says.logprob for says, _ in said), default=0.0)
        silence_s = len(pcm[len(pcm.rstrip(b"\0")) :]) / 2 / SAMPLE_RATE_HZ
        last = said[-1][0].word_logprob[silence_s >= FADED_S] if said else 0.0
        if last is None:
            return Transcript("", language, logprob, 0.9, STT_S * 1000)
        text = " ".join(words)
        finished = said[-1][0].finished if said and said[-1][1] >= 0.85 else None  # not while they speak
        return Transcript(text, language, logprob, 0.01, STT_S * 1000, last, languages, finished)

    async def _completeness(self, text: str, **_: object) -> float | None:
        await asyncio.sleep(0.02)
        for says in reversed(self.script):
            if says.text and text.endswith(says.text):
                return says.completeness
        return 0.05

    async def _speak(self, text: str, *, voice: tuple[str, ...] = (), **_: object) -> AsyncIterator[Speech]:
        self._outcome.spoken.append((voice, text))
        if text.startswith(UNSPEAKABLE):
            await asyncio.Event().wait()
        await asyncio.sleep(TTS_S)
        per_word = int(WORD_S * SAMPLE_RATE_HZ)
        words = text.split()
        pcm = np.full(per_word * len(words), 3000, np.int16).tobytes()
        yield Speech(pcm, tuple(Word(word, n * per_word, (n + 1) * per_word) for n, word in enumerate(words)))


class _FakeActivity:
    def __init__(self) -> None:
        self._rest = b""

    def process(self, pcm: bytes, **_: object) -> list[float]:
        pcm = self._rest + pcm
        chunks = [pcm[at : at + 1024] for at in range(0, len(pcm) - 1023, 1024)]
        self._rest = pcm[len(chunks) * 1024 :]
        return [0.95 if np.frombuffer(chunk, np.int16).any() else 0.02 for chunk in chunks]

    def reset(self) -> None:
        self._rest = b""


def _without_echo_guard(settings: Settings | None) -> Settings:
    """The canceller would change the amplitudes that carry the script."""
    settings = settings or Settings()
    turn = settings.turn.model_copy(update={"echo_guard": False})
    return settings.model_copy(update={"turn": turn})


def converse(
    script: list[Says],
    replies: dict[str, str] | None = None,
    *,
    lasts: float = 20.0,
    settings: Settings | None = None,
    persona: Persona = PERSONA,
    others: Sequence[Persona] = (),
    during: Callable[[CallSession, FakeCall], Any] | None = None,
    keys: list[tuple[float, InputDTMFFrame]] | None = None,
) -> Outcome:
    """Run a conversation to its end, or until the caller hangs up `lasts` seconds into it.

    `persona` greets; the caller's language decides among it and `others`.
    """
    outcome = Outcome()

    async def main() -> None:
        call = FakeCall(script, outcome)
        call.keys = list(keys or ())
        models: Any = FakeModels(script, replies or {}, outcome)
        session = CallSession(
            call, settings=_without_echo_guard(settings), personas=[persona, *others], pool=models
        )
        loop = asyncio.get_running_loop()
        handle = loop.call_later(lasts, lambda: hangups.append(loop.create_task(call.hang_up_by_caller())))
        hangups: list[asyncio.Task[None]] = []
        if during:
            during(session, call)
        outcome.reason = await session.run()
        handle.cancel()
        await asyncio.gather(*hangups)
        outcome.ledgers = [dict(turn.ledger) for turn in session.turns if turn.speaker == "agent"]
        ours = {asyncio.current_task(), *hangups}
        outcome.left = [task.get_name() for task in asyncio.all_tasks() if task not in ours]
        outcome.turns = [(turn.speaker, turn.text, turn.cut_off) for turn in session.turns]
        outcome.discarded = session.guesses[1]
        outcome.tools = [call.name for call in session.tool_calls]

    virtual_time.run(main)
    return outcome
