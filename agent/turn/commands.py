"""What the turn machine wants done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.turn.utterance import Candidate
    from models.transcript import Transcript


class Purpose(Enum):
    """What words are wanted for. Of each kind one question at most is open."""

    PASSING = auto()  # the caller speaks: an answer may be begun ahead
    PAUSE = auto()  # they pause: the turn may be over
    OVERLAP = auto()  # they speak over the agent: is it a turn?
    SPLIT = auto()  # they speak on and on: the recognizer takes no more at a time


@dataclass(frozen=True)
class Transcribe:
    """Ask what the voice has said so far; answered by `Heard`."""

    number: int
    purpose: Purpose
    afresh: bool = False  # what was heard of it before doesn't count


@dataclass(frozen=True)
class Dismiss:
    """The answer to a question isn't wanted any more."""

    purpose: Purpose


@dataclass(frozen=True)
class AskCompleteness:
    """Ask whether `text` is all; answered by `Judged`."""

    number: int
    purpose: Purpose
    text: str


@dataclass(frozen=True)
class GetReady:
    """Let the language model do what comes before an answer to `text`."""

    text: str


@dataclass(frozen=True)
class Interim:
    """What the caller has said so far, and will say more of."""

    text: str


@dataclass(frozen=True)
class Speculate:
    """Begin the answer to `text`. `ahead`: the caller hasn't paused yet."""

    text: str
    ahead: bool = False


@dataclass(frozen=True)
class SpeakIn:
    """Let the persona of this language go on."""

    language: str


@dataclass(frozen=True)
class Settle:
    """The words that question `number` brought are known for good: its audio isn't kept any more."""

    number: int
    transcript: Transcript


@dataclass(frozen=True)
class Commit:
    """The turn is over. `candidate` tells why so late; `goodbye`: the caller takes their leave."""

    text: str
    speech_end: float
    candidate: Candidate | None = None  # None where it was typed
    goodbye: bool = False


@dataclass(frozen=True)
class Drop:
    """It was a noise, and no turn. `had_floor`: others were told that it was one."""

    had_floor: bool


class Do(Enum):
    """Commands that say all by their name."""

    READ_AHEAD = auto()  # let the language model read the conversation meanwhile
    HOLD = auto()  # let the agent be silent, for now
    RESUME = auto()  # let it go on where it was
    TAKE_FLOOR = auto()  # the caller has the floor: whatever the agent is at is over
    TAKE_BACK = auto()  # the turn that was answered last goes on: neither it nor its answer has been
    WITHDRAW = auto()  # the answer that was begun won't be heard


Command = (
    Do
    | Transcribe
    | Dismiss
    | AskCompleteness
    | GetReady
    | Interim
    | Speculate
    | SpeakIn
    | Settle
    | Commit
    | Drop
)
