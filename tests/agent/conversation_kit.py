"""Scripted conversations: fake models and a fake wire on a virtual clock, everything between them real.

The caller's audio carries its own transcript: segment `n` of the script is a chord of its own, so
that the fake recognizer can read off what was said, and the fake voice activity that something was, also
behind the echo canceller. The wire pulls and feeds 20 ms at a time, as SIP does,
and returns what it pulled where it `echoes`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import InputDTMFFrame
from pipecat.processors.frame_processor import FrameProcessor

from agent import pipeline
from agent.consultation import Dial
from agent.conversation import ToolCall
from agent.session import CallSession
from agent.test_numbers import pipeline as test_numbers
from agent.tools.toolbox import Toolbox
from agent.voicemail import Voicemail
from config.persona import Persona
from config.settings import Settings, TestNumber
from models.speech import Speech, Word
from models.transcript import LanguageChoice, Languages, Transcript
from tests import virtual_time
from transports.call import CallInfo, CallTransport, EndReason, MediaStats
from transports.pipecat_io import CallInput, CallOutput
from transports.playout import SAMPLE_RATE_HZ, Playout

PACKET_S = 0.020
PACKET = int(SAMPLE_RATE_HZ * PACKET_S)
LOUD = 3000
# Whole periods to a packet and to a chunk of Silero's; four of them make a segment. While the agent speaks
# the canceller takes away what is above 2 kHz.
PITCHES = 250 * np.arange(1, 9)  # Hz
CHORDS = list(combinations(range(len(PITCHES)), 4))
AUDIBLE = 0.01  # of a tone's energy: the canceller takes some of it away
ECHO_GAIN, ECHO_PACKETS = 0.2, 6
WORD_S = 0.3  # how long a word of the agent's takes
STT_S = 0.1
FADED_S = 0.15
FIRST_TOKEN_S = 0.05
TOKEN_S = 0.01
TTS_S = 0.04
UNSPEAKABLE = "Mumble"  # the voice hangs on it
HALF_SPEAKABLE = "Stammer"  # and in the middle of that

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
    judging_s: float = 0.0  # and the model that is asked whether that is all


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
    offered: list[list[str]] = field(default_factory=list)  # tools, each time the model was asked
    beginning: list[dict[str, Any]] = field(default_factory=list)  # what stood before the last of them
    discarded: int = 0
    false_starts: int = 0
    ledgers: list[dict[str, float]] = field(default_factory=list)
    sound: bytearray = field(default_factory=bytearray)  # what the wire pulled
    spoken: list[tuple[tuple[str, ...], str]] = field(default_factory=list)  # voices, and what they said
    tools: list[str] = field(default_factory=list)  # that were called
    tool_calls: list[ToolCall] = field(default_factory=list)
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

    def __init__(self, script: Iterable[Says], outcome: Outcome, *, echoes: bool) -> None:
        super().__init__(CallInfo("fake", "caller", "agent", id="test"), Playout())
        self._script = list(script)
        self._outcome = outcome
        self._input = CallInput()
        self._output = CallOutput(self.playout)
        self._task: asyncio.Task[None] | None = None
        self._start = 0.0
        self._echoes = echoes
        self._played = deque([np.zeros(PACKET, np.int16)] * ECHO_PACKETS)
        self.keys: list[tuple[float, InputDTMFFrame]] = []
        self.held = False
        self.stats = MediaStats()

    @property
    def on_hold(self) -> bool:
        return self.held

    def input(self) -> FrameProcessor:
        return self._input

    def output(self) -> FrameProcessor:
        return self._output

    async def media_stats(self) -> MediaStats:
        return self.stats

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
            self._played.append(heard)
            if bool(heard.any()) != sounding:
                sounding = not sounding
                self._outcome.events.append(Event(at, "agent starts" if sounding else "agent stops"))
            due += PACKET_S
            await asyncio.sleep(due - loop.time())

    def _packet(self, at: float) -> bytes:
        out = np.zeros(PACKET)
        for index, says in enumerate(self._script):
            if says.start <= at < says.end:
                out += chord(index)
        if self._echoes:
            out += ECHO_GAIN * self._played.popleft()
        return out.astype(np.int16).tobytes()


class FakeModels:
    """The pool's shape, with scripted answers that take scripted time."""

    def __init__(self, script: list[Says], replies: dict[str, str], outcome: Outcome) -> None:
        from tests.agent.scripted_llm import ScriptedLlm

        self.script = script
        self._outcome = outcome
        self.ready = True
        self.away = ""
        self.vad = SimpleNamespace(voice_activity=_FakeActivity)
        self.recognizer = SimpleNamespace(transcribe=self._transcribe, lane=SimpleNamespace(idle=True))
        self.voices = SimpleNamespace(stream=self._speak)
        completeness = SimpleNamespace(end_probability=self._completeness, read_ahead=None)
        self.llm = ScriptedLlm(replies, outcome, completeness)

    def _said(self, pcm: bytes) -> list[tuple[Says, float]]:
        """The script's segments in this audio, each with the share of it that is there."""
        heard = segments_in(pcm, PACKET)
        found = []
        for index, says in enumerate(self.script):
            share = heard.count(index) * PACKET_S / (says.end - says.start)
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
        finished = said[-1][0].finished if said and said[-1][1] >= 0.85 else None
        if last is None:
            return Transcript("", language, logprob, 0.9, STT_S * 1000)
        text = " ".join(words)
        return Transcript(text, language, logprob, 0.01, STT_S * 1000, last, languages, finished)

    async def _completeness(self, text: str, **_: object) -> float | None:
        await asyncio.sleep(0.02)
        for says in reversed(self.script):
            if says.text and text.endswith(says.text):
                await asyncio.sleep(says.judging_s)
                return says.completeness
        return 0.05

    async def _speak(self, text: str, *, voice: tuple[str, ...] = (), **_: object) -> AsyncIterator[Speech]:
        self._outcome.spoken.append((voice, text))
        if text.startswith(UNSPEAKABLE):
            await asyncio.Event().wait()
        await asyncio.sleep(TTS_S)
        per_word = int(WORD_S * SAMPLE_RATE_HZ)
        words = text.split()
        pcm = hiss(per_word * len(words)).tobytes()
        spoken = tuple(Word(word, n * per_word, (n + 1) * per_word) for n, word in enumerate(words))
        if text.startswith(HALF_SPEAKABLE):
            yield Speech(pcm[: 2 * per_word], spoken[:1])
            await asyncio.Event().wait()
        yield Speech(pcm, spoken)


class _FakeActivity:
    def __init__(self) -> None:
        self._rest = b""

    def process(self, pcm: bytes, **_: object) -> list[float]:
        pcm = self._rest + pcm
        chunks = len(pcm) // 1024
        self._rest = pcm[chunks * 1024 :]
        heard = segments_in(pcm[: chunks * 1024], 512)
        return [0.02 if segment is None else 0.95 for segment in heard]

    def reset(self) -> None:
        self._rest = b""


def chord(segment: int) -> npt.NDArray[np.float64]:
    """A packet of it."""
    at = 2 * np.pi * np.arange(PACKET) / SAMPLE_RATE_HZ
    return np.asarray(LOUD * sum(np.sin(PITCHES[pitch] * at) for pitch in CHORDS[segment]))


def hiss(samples: int) -> npt.NDArray[np.int16]:
    """The agent's voice, above the caller's chords."""
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(0, 6000, samples))
    spectrum[np.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ) < PITCHES[-1] + 2000] = 0
    return np.fft.irfft(spectrum, samples).astype(np.int16)


def segments_in(pcm: bytes, size: int) -> list[int | None]:
    """Which segment of the script each `size` samples, 320 or 512, are of, if any is heard in them."""
    frames = np.frombuffer(pcm, np.int16)
    frames = frames[: len(frames) // size * size].reshape(-1, size)
    if not pcm.strip(b"\0"):  # as most of the line is
        return [None] * len(frames)
    energies = np.abs(np.fft.rfft(frames.astype(np.float64))[:, PITCHES * size // SAMPLE_RATE_HZ]) ** 2
    order = energies.argsort(axis=1)[:, -4:]
    least = np.take_along_axis(energies, order[:, :1], axis=1)[:, 0]
    found = [tuple(sorted(pitches)) for pitches in order.tolist()]
    heard = least > AUDIBLE * (LOUD * size / 2) ** 2
    return [CHORDS.index(one) if sure else None for one, sure in zip(found, heard, strict=True)]


def converse(
    script: list[Says],
    replies: dict[str, str] | None = None,
    *,
    lasts: float = 20.0,
    settings: Settings | None = None,
    persona: Persona = PERSONA,
    others: Sequence[Persona] = (),
    known: Sequence[Persona] = (),
    during: Callable[[CallSession, FakeCall], Any] | None = None,
    keys: list[tuple[float, InputDTMFFrame]] | None = None,
    echoes: bool = False,
    number: TestNumber | None = None,
    says: str | None = None,
    voicemail: Voicemail | None = None,
    dial: Dial | None = None,
    recordings: Any = None,
    toolbox: Toolbox | None = None,
) -> Outcome:
    """Run a conversation to its end, or until the caller hangs up `lasts` seconds into it.

    `persona` greets; the caller's language decides among it and `others`; an operator may have those that are
    `known` go on. A test number may be what was
    called; `says` is all that is said.
    """
    outcome = Outcome()

    async def main() -> None:
        call = FakeCall(script, outcome, echoes=echoes)
        call.keys = list(keys or ())
        models: Any = FakeModels(script, replies or {}, outcome)
        chosen, personas = settings or Settings(), [persona, *others]
        build: Callable[..., pipeline.CallPipeline] = pipeline.build
        if number:
            chosen, build = test_numbers.settings_for_a_test(chosen), partial(test_numbers.build, number)
            personas = [test_numbers.greeting(one, number) for one in personas]
        session = CallSession(
            call,
            settings=chosen,
            personas=personas,
            pool=models,
            build=build,
            says=says,
            voicemail=voicemail,
            dial=dial,
            recordings=recordings,
            others=[persona, *others, *known],
            toolbox=toolbox,
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
        outcome.false_starts = session.false_starts
        outcome.tool_calls = list(session.tool_calls)
        outcome.tools = [call.name for call in outcome.tool_calls]

    virtual_time.run(main)
    return outcome


def pressed(start_s: float, keys: str, every_s: float = 0.3) -> list[tuple[float, InputDTMFFrame]]:
    """What `converse` takes as `keys`."""
    return [(start_s + n * every_s, InputDTMFFrame(button=KeypadEntry(key))) for n, key in enumerate(keys)]
