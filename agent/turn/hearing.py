"""What the caller has said so far: asked for in time, judged, and answered ahead.

What is asked of models carries a number, and at most one question of each purpose is open. What makes an
answer useless closes its question, so that nothing else needs to look whether an answer is stale.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import TYPE_CHECKING

from agent.turn.commands import (
    AskCompleteness,
    Command,
    Dismiss,
    GetReady,
    Interim,
    Purpose,
    Settle,
    SpeakIn,
    Transcribe,
)
from agent.turn.events import Tick
from agent.turn.judge import Judge
from agent.turn.speculation import Speculation
from agent.turn.utterance import Candidate, Utterance

if TYPE_CHECKING:
    from agent.answering import Answering
    from models.transcript import Transcript

# Looks at what a caller says who goes on speaking.
FROM_MS = 600  # of speech
UNTIL_S = 8.0  # then each would cost more than it saves
HUSHED_FRAMES = 2  # when the voice falls, it may be for good: Silero says so 50 ms later
FORESEEN_MS = 120  # if the words were all, a pause is noticed by then


class Hearing:
    """One call's. Each method returns what is to be done."""

    def __init__(
        self, answering: Answering, judge: Judge, speculation: Speculation, *, every_ms: float
    ) -> None:
        """`every_ms` of speech the caller is listened to in passing."""
        self._answering = answering
        self._judge = judge
        self._speculation = speculation
        self._every_ms = every_ms
        self._open: dict[Purpose, int] = {}
        self._numbers = count(1)

    def is_open(self, purpose: Purpose) -> bool:
        return purpose in self._open

    def ask(self, purpose: Purpose, *, afresh: bool = False) -> Iterable[Command]:
        yield Transcribe(self._number(purpose), purpose, afresh)

    def dismiss(self, *purposes: Purpose) -> Iterable[Command]:
        """By now the answers would be useless."""
        for purpose in purposes:
            if self._open.pop(purpose, None) is not None:
                yield Dismiss(purpose)

    def look(self, utterance: Utterance, line: Tick, now: float) -> Iterable[Command]:
        """Asked on every frame of a caller who has the floor and speaks."""
        if utterance.paused or not self._answering.turn.speculate or line.audio_s >= UNTIL_S:
            return
        speech_ms = utterance.speech_ms(now)
        due = speech_ms >= FROM_MS and speech_ms - utterance.looked_ms >= self._every_ms
        if line.hushed == HUSHED_FRAMES or (due and not self.is_open(Purpose.PASSING)):
            utterance.looked_ms = speech_ms
            yield from self.ask(Purpose.PASSING)

    def close(self, number: int) -> Purpose | None:
        """The answer is there. Returns what it was for; None where it isn't waited for any more."""
        purpose = next((one for one, asked in self._open.items() if asked == number), None)
        if purpose is not None:
            del self._open[purpose]
        return purpose

    def follow(self, utterance: Utterance, transcript: Transcript) -> Iterable[Command]:
        """They go on speaking; what they have said by now may be all."""
        if not transcript.text:
            return
        yield from self.speak_in(transcript)
        so_far = utterance.whole(transcript.text)
        if self._speculation.is_about(so_far):
            return
        yield from self._speculation.withdraw()
        utterance.passing = transcript
        yield Interim(so_far)
        # No look meanwhile: the models would only slow each other.
        yield AskCompleteness(self._number(Purpose.PASSING), Purpose.PASSING, so_far)

    def consider(self, utterance: Utterance, number: int, transcript: Transcript) -> Iterable[Command]:
        """They pause. Whether these words are all is asked before the answer to them is begun: both take
        the same cores, and that is the shorter question."""
        again = utterance.candidate is not None
        if again and not transcript.text:
            return  # a last word that had faded
        utterance.heard(transcript)
        if not utterance.words:
            return
        if utterance.has_floor:
            yield from self.speak_in(transcript)
        answered = self._speculation.is_about(utterance.words)
        if not answered:
            yield from self._speculation.withdraw()
        utterance.candidate = Candidate(number, transcript, utterance.words, hears_again=not again)
        if self._answering.turn.speculate and not answered:
            yield GetReady(utterance.words)
        yield AskCompleteness(self._number(Purpose.PAUSE), Purpose.PAUSE, utterance.words)

    def judge(
        self, utterance: Utterance, purpose: Purpose, completeness: float | None, now: float
    ) -> Iterable[Command]:
        """How long to wait, now that all signals are in."""
        if purpose is Purpose.PASSING and utterance.passing:
            verdict = self._judge.foresee(utterance, utterance.passing, completeness, now)
            if verdict.sure:
                utterance.looked_ms = utterance.speech_ms(now) + FORESEEN_MS
                yield from self.speculate(utterance.whole(utterance.passing.text), ahead=True)
        elif purpose is Purpose.PAUSE and (candidate := utterance.candidate):
            if utterance.has_floor:
                yield from self.speculate(candidate.text)
            candidate.verdict = self._judge.decide(utterance, candidate.transcript, completeness, now)

    def settle(self, utterance: Utterance, number: int, transcript: Transcript) -> Iterable[Command]:
        """These words stand for themselves; what was asked about their audio is void."""
        utterance.settled, utterance.taken_back = utterance.whole(transcript.text), ""
        utterance.candidate = None
        yield Settle(number, transcript)
        yield from self.dismiss(*Purpose)
        if utterance.paused:
            yield from self.ask(Purpose.PAUSE)

    def speak_in(self, transcript: Transcript) -> Iterable[Command]:
        """What was begun in another language than the caller speaks is given up."""
        if transcript.text and not self._answering.answers_in(transcript.language):
            yield from self._speculation.withdraw()
            yield SpeakIn(transcript.language)

    def speculate(self, text: str, *, ahead: bool = False) -> Iterable[Command]:
        if self._answering.turn.speculate:
            yield from self._speculation.begin(text, ahead=ahead)

    def _number(self, purpose: Purpose) -> int:
        self._open[purpose] = next(self._numbers)
        return self._open[purpose]
