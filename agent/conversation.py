"""What was said in a call, and where the time of each answer went."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Doing = Literal["transferring", "holding", "entering", "taking_message"]  # with the call, besides talking
CallState = Literal["ringing", "greeting", "listening", "thinking", "speaking", "ending"] | Doing
Stage = Literal[
    "transcript",
    "transcript_network",  # what it took besides, where a server heard it
    "end_of_turn",
    "first_token",
    "first_sentence",
    "first_audio",
    "audio_network",  # the same of a server's voice
    "first_packet",
]
ANSWER: tuple[Stage, ...] = ("first_token", "first_sentence", "first_audio", "audio_network")
MAX_TURNS = 2000
RECENT_WORDS = 30


class LatencyTrace:
    """When each stage of one answer was reached, from the end of the caller's speech on.

    Times are seconds on the event loop's clock. Stages overlap, since an answer is begun before the turn
    is surely over; so each part is the time from the stage reached before it, and the parts add up to
    the voice-to-voice latency.
    """

    def __init__(self, speech_end: float) -> None:
        self.speech_end = speech_end
        self._reached: dict[Stage, float] = {}

    def mark(self, stage: Stage, now: float) -> None:
        """Note that `stage` was reached; only the first time counts."""
        self._reached.setdefault(stage, now)

    def forget_answer(self) -> None:
        """What was made of the answer so far won't be heard."""
        for stage in ANSWER:
            self._reached.pop(stage, None)

    @property
    def voice_to_voice_ms(self) -> float | None:
        """None until the answer is on the wire."""
        at = self._reached.get("first_packet")
        return None if at is None else (at - self.speech_end) * 1000

    def parts_ms(self) -> dict[str, float]:
        """Milliseconds that each stage added, in the order in which the stages were reached."""
        parts: dict[str, float] = {}
        before = self.speech_end
        for stage, at in sorted(self._reached.items(), key=lambda item: item[1]):
            parts[stage] = max(0.0, at - before) * 1000
            before = max(before, at)
        return parts


@dataclass
class Turn:
    """One side's words. `text` of an agent's turn is what the caller heard."""

    speaker: Literal["caller", "agent"]
    text: str
    at: float = field(default_factory=time.time)
    began: float | None = None  # Unix time of its first sound
    cut_off: bool = False
    end_of_turn: Mapping[str, float | str] = field(default_factory=dict)  # why a caller's was over
    ledger: Mapping[str, float] = field(default_factory=dict)
    voice_to_voice_ms: float | None = None
    sources: Sequence[str] = ()  # passages of the persona's pages that an agent's was given on


@dataclass(frozen=True)
class ToolCall:
    """What was to be done, by the model's choice or, with end_call, by the caller's goodbye.

    `seconds` it took; None until it is over, or where it can't be told. `result` is what JSON can hold.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    at: float = field(default_factory=time.time)
    seconds: float | None = None
    result: Any = None
    error: str | None = None


@dataclass(frozen=True)
class Action:
    """What somebody did to the call over HTTP, or its peer.

    `by` is their key's name, empty where none is asked for, or BY_PEER.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    by: str = ""
    at: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Problem:
    """What failed, in a sentence for operators."""

    text: str
    at: float = field(default_factory=time.time)


class Conversation:
    """The turns of one call, and the answer that is being made."""

    def __init__(self) -> None:
        self.turns: deque[Turn] = deque(maxlen=MAX_TURNS)
        self.tool_calls: deque[ToolCall] = deque(maxlen=MAX_TURNS)
        self.actions: deque[Action] = deque(maxlen=MAX_TURNS)
        self.problems: deque[Problem] = deque(maxlen=MAX_TURNS)
        self.agent_words: deque[str] = deque(maxlen=RECENT_WORDS)  # that the caller heard last
        self.guesses = 0  # answers begun before the caller's turn was surely over
        self.guesses_discarded = 0
        self.last_voice_to_voice_ms: float | None = None
        self._pause: LatencyTrace | None = None  # of a turn that may be over
        self._awaited: LatencyTrace | None = None  # of one that is, until its answer sounds
        self._heard: LatencyTrace | None = None
        self.false_starts = 0  # turns that were answered, and went on
        self._caller_began: float | None = None  # Unix time of the first sound of the turn that goes on
        self._agent_began: float | None = None
        self._taken_back: Turn | None = None  # goes on: what becomes of its answer isn't heard
        self._sources: Sequence[str] = ()  # of the answer that is made
        self._sources_heard: Sequence[str] = ()  # of the one that sounds
        self.bridging = False  # what sounds isn't the answer, but bridges the wait for it
        self.on_bridged: Callable[[], None] | None = None  # called when a bridge has been heard
        self.on_taken_back: Callable[[], None] | None = None
        self.on_changed: Callable[[], None] | None = None  # called when its turns, tools or problems did

    def bridge_begins(self) -> None:
        """What sounds next isn't the answer, but bridges the wait for it."""
        self.bridging = True

    def bridge_ends(self) -> None:
        self.bridging = False
        if self.on_bridged:
            self.on_bridged()

    def caller_speaks(self, at: float) -> None:
        """A voice of theirs was heard from `at` on, on the event loop's clock."""
        if not self._taken_back:
            self._caller_began = time.time() - (asyncio.get_running_loop().time() - at)

    def caller_paused(self, speech_end: float, *, foreseen: bool = False) -> None:
        """The caller may be done: a new answer begins to be made, or has been, `foreseen` as they spoke."""
        if foreseen and self._pause:
            self._pause.speech_end = speech_end
        else:
            self._pause = LatencyTrace(speech_end)

    def caller_goes_on(self) -> None:
        """The pause was none, or what came before it no turn."""
        self._pause = None

    def answer_lost(self) -> None:
        """What was still to be answered won't be: it failed, or the caller takes the floor."""
        self._awaited = None
        self.bridging = False

    def turn_over(self, speech_end: float) -> None:
        """What the caller said before the pause is answered now."""
        self.mark("end_of_turn")
        if self._pause:
            self._pause.speech_end = speech_end
        self._awaited, self._pause = self._pause, None

    def answer_begun(self) -> None:
        """An answer is being made on a guess that the turn is over."""
        self.guesses += 1

    def answer_withdrawn(self) -> None:
        """It won't be heard."""
        self.guesses_discarded += 1
        if self._pause:
            self._pause.forget_answer()

    def mark(self, stage: Stage, *, network: Stage | None = None, network_ms: float = 0.0) -> None:
        """Note that the answer being made has reached `stage` now; ignored when none is.

        Of what a server did, `network_ms` went to the way there and back, which is a stage of its own.
        """
        ledger = self._awaited if self._awaited and stage in ANSWER else self._pause
        if not ledger:
            return
        now = asyncio.get_running_loop().time()
        ledger.mark(stage, now - network_ms / 1000)
        if network and network_ms:
            ledger.mark(network, now)

    def take_back(self) -> None:
        """The turn that was answered last goes on."""
        self.false_starts += 1
        if self.on_taken_back:
            self.on_taken_back()
        while self.turns and self._taken_back is None:
            last = self.turns.pop()
            self._taken_back = last if last.speaker == "caller" else None
        if self._taken_back:
            self._caller_began = self._taken_back.began
        self._changed()

    def give_back(self) -> Turn | None:
        """What went on with it came to nothing: the turn, which was said, though it isn't answered."""
        self._caller_began = None
        turn, self._taken_back = self._taken_back, None
        if turn:
            self.turns.append(turn)
            self._changed()
        return turn

    @property
    def takes_back(self) -> bool:
        """Whether a turn that was answered goes on."""
        return self._taken_back is not None

    def caller_said(self, text: str, *, end_of_turn: Mapping[str, float | str] | None = None) -> None:
        self._taken_back = None
        began, self._caller_began = self._caller_began, None
        self.turns.append(Turn("caller", text, began=began, end_of_turn=end_of_turn or {}))
        self._changed()

    def answer_sounds(self, now: float) -> LatencyTrace | None:
        """The agent's voice is on the wire. Returns the ledger if it answers a turn of the caller's."""
        if self.bridging:
            return None
        self._sources_heard, self._sources = self._sources or self._sources_heard, ()
        if self._agent_began is None:
            self._agent_began = time.time() + now - asyncio.get_running_loop().time()
        ledger, self._awaited = self._awaited, None
        if ledger is None:
            return None
        ledger.mark("first_packet", now)
        self._heard = ledger
        self.last_voice_to_voice_ms = ledger.voice_to_voice_ms
        return ledger

    def recalled(self, sources: Sequence[str]) -> None:
        """The answer that is made next is given on these passages of the persona's pages."""
        self._sources = sources

    def tool_called(self, name: str, arguments: Mapping[str, Any]) -> ToolCall:
        called = ToolCall(name, arguments)
        self.tool_calls.append(called)
        self._changed()
        return called

    def tool_done(self, called: ToolCall, *, result: Any, error: str | None, seconds: float) -> None:
        """What came of it."""
        for number, one in enumerate(self.tool_calls):
            if one is called:
                self.tool_calls[number] = replace(one, result=result, error=error, seconds=seconds)
                self._changed()
                return

    def acted(self, action: Action) -> None:
        self.actions.append(action)
        self._changed()

    def failed(self, text: str) -> None:
        self.problems.append(Problem(text))
        self._changed()

    def agent_said(self, text: str, *, cut_off: bool) -> Turn | None:
        """What the caller heard of the agent's turn; nothing, and so no turn, where that was nothing."""
        ledger, self._heard = self._heard, None
        sources, self._sources_heard = self._sources_heard, ()
        began, self._agent_began = self._agent_began, None
        if not text or self.takes_back:
            return None
        if began is None and self.turns and self.turns[-1].speaker == "agent":
            began = self.turns[-1].at  # without a silence between the two
        turn = Turn("agent", text, began=began, cut_off=cut_off, sources=sources)
        if ledger:
            turn.ledger = ledger.parts_ms()
            turn.voice_to_voice_ms = ledger.voice_to_voice_ms
        self.turns.append(turn)
        self._changed()
        return turn

    def _changed(self) -> None:
        if self.on_changed:
            self.on_changed()
