"""What is known of what the caller is saying. Times are seconds on the turn machine's clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from agent.turn.endpointing import Verdict

if TYPE_CHECKING:
    from models.transcript import Transcript


class State(Enum):
    QUIET = auto()
    VOICE = auto()  # which may be no turn
    VOICE_PAUSED = auto()
    FLOOR = auto()  # the caller's, who speaks
    FLOOR_PAUSED = auto()


@dataclass
class Candidate:
    """The words of a turn that may be over, and after how long a silence it is."""

    number: int  # of the question that they answer
    transcript: Transcript
    text: str  # with what was settled before
    verdict: Verdict | None = None  # None until all signals are in
    hears_again: bool = True  # once more, if that helps

    def is_to_be_heard_again(self, silence_ms: float) -> bool:
        """Whether it may be judged otherwise now, with silence behind it."""
        again_ms = self.verdict.hear_again_ms if self.verdict else None
        return self.hears_again and again_ms is not None and silence_ms >= again_ms


@dataclass
class Utterance:
    """From the first sound to the end of the turn."""

    onset: float
    speech_end: float | None = None  # while they pause
    has_floor: bool = False
    settled: str = ""  # words whose audio isn't kept any more
    taken_back: str = ""  # of them, those that were answered too soon
    words: str | None = None  # all of them so far; None until known
    logprob: float = 0.0  # how sure the recognizer is of them
    interrupts: bool = False  # it was begun over the agent
    candidate: Candidate | None = None
    passing: Transcript | None = None  # what the latest look heard
    looked_ms: float = 0.0  # of speech, at the latest look

    @property
    def paused(self) -> bool:
        return self.speech_end is not None

    @property
    def state(self) -> State:
        if self.has_floor:
            return State.FLOOR_PAUSED if self.paused else State.FLOOR
        return State.VOICE_PAUSED if self.paused else State.VOICE

    def pauses_since(self, speech_end: float | None) -> None:
        """Of a pause it may be known better by now when it began."""
        if self.paused and speech_end is not None:
            self.speech_end = speech_end

    def speech_ms(self, now: float) -> float:
        return ((now if self.speech_end is None else self.speech_end) - self.onset) * 1000

    def silence_ms(self, now: float) -> float:
        return 0.0 if self.speech_end is None else (now - self.speech_end) * 1000

    def whole(self, text: str) -> str:
        return f"{self.settled} {text}".strip()

    def to_judge(self, text: str) -> str:
        """What the end of the turn is to be told from: what was settled in a long wait has nothing to say."""
        return f"{self.taken_back} {text}".strip()

    def heard(self, transcript: Transcript) -> None:
        self.words, self.logprob = self.whole(transcript.text), transcript.avg_logprob or 0.0


@dataclass
class Owed:
    """The answer to the caller's latest turn, until it has been heard."""

    text: str  # of the turn
    speech_end: float
    probability: float  # that it was over
    sounds_since: float | None = None
    acts: bool = False  # what it did is done
    goes_on: bool = False  # what was said up to there is only its first part
