"""What the turn machine is told. Times are seconds on one clock that goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.transcript import Transcript


@dataclass(frozen=True)
class SpeechStarted:
    """A voice, where there was none."""

    onset: float


@dataclass(frozen=True)
class SpeechPausing:
    """The voice may have ceased, at `speech_end`."""

    speech_end: float


@dataclass(frozen=True)
class Tick:
    """How the line is now: after every frame of the caller's audio."""

    audio_s: float  # of the voice, that is kept
    speech_end: float | None = None  # as well as is known by now; None while the voice goes on
    hushed: int = 0  # how many of the latest frames were far below the voice
    sounds: bool = False  # the line is about as loud as the voice, though no voice is found in it
    agent_speaks: bool = False  # or would, if it weren't held
    agent_said: Sequence[str] = ()  # the words of it that the caller heard last
    echo: float = 0.0  # probability that the voice is the agent's own
    may_echo: bool = False  # the line may return what the agent says


@dataclass(frozen=True)
class Heard:
    """The words that question `number` asked for; None where there are none to be had."""

    number: int
    transcript: Transcript | None


@dataclass(frozen=True)
class Judged:
    """How probable it is that the words which question `number` brought are all; None where unknown."""

    number: int
    completeness: float | None


@dataclass(frozen=True)
class AgentDone:
    """A turn of the agent's is over, of which the caller heard `text`."""

    text: str
    cut_off: bool = False


@dataclass(frozen=True)
class Typed:
    """Keys pressed or words typed: a whole turn as they come."""

    text: str


class Plain(Enum):
    """Events that say all by their name."""

    SPEECH_RESUMED = auto()  # it goes on after all
    AGENT_SOUNDS = auto()  # the answer to the caller's latest turn begins to be heard
    ANSWER_LOST = auto()  # the answer that was owed failed
    ANSWER_ACTS = auto()  # it calls a tool: what it answers can't be taken back any more
    ANSWER_ACTED = auto()  # and has nothing to say of what came of it
    LAST_WORD = auto()  # the agent has it: whatever comes from the caller now is ignored


Event = Plain | SpeechStarted | SpeechPausing | Tick | Heard | Judged | AgentDone | Typed
