"""The caller speaks while the agent does: stop, or go on?

The agent falls silent provisionally at once (HOLD) and for good (INTERRUPT) when it is a turn: words
that are more than "mm-hmm". What proves to be a backchannel, a cough, noise or the agent's own echo lets
it go on (RESUME) within a second. A voice that goes on with its words still unknown keeps it silent: to
hold costs nothing, to talk over someone does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from agent.turn import words
from agent.turn.lexicon import lexicon

ECHO = 0.5  # the guard's probability from which a voice is taken for the agent's own
RESUME_BY_MS = 900  # from HOLD, unless the voice goes on; leaves 100 ms to be audible within a second
LONG_SPEECH_MS = 2000  # a voice that lasts so long is a turn, even if its words never come
PAUSED_MS = 250  # a voice silent this long has said its piece
# Of words over the agent: what Whisper makes of "mm-hmm", a cough or a keyboard scores below it, a real
# interruption's whole words above. Longer speech may score less, being surely speech.
DOUBTFUL_LOGPROB = -0.65
SHORT_MS = 1200
EARLY_MS = 600  # a caller who goes on this soon was cut off: it is still the same turn


class Action(Enum):
    NOTHING = auto()
    HOLD = auto()
    INTERRUPT = auto()
    RESUME = auto()


@dataclass(frozen=True)
class Overlap:
    """What is known of the caller's voice while the agent speaks.

    `words` is None until they are known, "" where the recognizer heard none.
    """

    speech_ms: float  # from the voice's onset to its end, or to now
    silence_ms: float = 0.0  # since it paused; 0 while it goes on
    words: str | None = None
    logprob: float = 0.0  # the recognizer's mean over the words: how sure it is of them
    echo: float = 0.0  # probability that it is the agent's own voice
    agent_ms: float = 10_000.0  # how long the agent has been heard
    asked: bool = False  # the agent has put its question: "yes" answers it
    interruptible: bool = True


class BargeIn:
    """One overlap after another: ask at the voice's onset, then on anything new, at least every 50 ms."""

    def __init__(
        self, *, language: str, min_ms: float = 300, min_words: int = 1, enabled: bool = True
    ) -> None:
        self._lexicon = lexicon(language)
        self._min_ms = min_ms
        self._min_words = min_words
        self._enabled = enabled
        self._held_at: float | None = None
        self._dismissed = False  # this voice proved to be nothing; only words can change that

    @property
    def held(self) -> bool:
        return self._held_at is not None

    def reset(self) -> None:
        """The voice is gone, or the agent is: whatever comes next is judged anew."""
        self._held_at = None
        self._dismissed = False

    def decide(self, now: float, overlap: Overlap) -> Action:
        """What to do with the agent's voice. `now` in seconds, on any clock that goes on."""
        if not (self._enabled and overlap.interruptible):
            return self._resume()
        held_ms = 0.0 if self._held_at is None else (now - self._held_at) * 1000
        turn = self._is_turn(overlap)
        if turn:
            self.reset()
            return Action.INTERRUPT
        if self._held_at is None:
            if self._dismissed or overlap.echo >= ECHO or overlap.silence_ms >= PAUSED_MS or turn is False:
                return Action.NOTHING
            self._held_at = now
            return Action.HOLD
        paused = overlap.silence_ms >= PAUSED_MS
        if overlap.echo >= ECHO or (turn is False and paused):
            return self._resume()
        if held_ms >= RESUME_BY_MS and (paused or overlap.words is not None):
            return self._resume()  # by now the words of a turn would be known, and be sure
        return Action.NOTHING

    def _is_turn(self, overlap: Overlap) -> bool | None:
        """True for a turn, False for none, None where it can't be told yet."""
        if overlap.words is not None:
            said = words.split(overlap.words)
            if said and overlap.logprob < DOUBTFUL_LOGPROB and overlap.speech_ms < SHORT_MS:
                return False if overlap.silence_ms >= PAUSED_MS else None
            if words.takes_floor(said, self._lexicon):
                return overlap.echo < ECHO
            if not said:
                return False
            if words.is_backchannel(said, self._lexicon):
                return overlap.asked and overlap.silence_ms >= PAUSED_MS
            long_enough = overlap.speech_ms >= self._min_ms or overlap.silence_ms >= PAUSED_MS
            return overlap.echo < ECHO and len(said) >= self._min_words and long_enough
        if overlap.echo >= ECHO:
            return False
        if overlap.agent_ms <= EARLY_MS and overlap.speech_ms >= self._min_ms and self._min_words <= 1:
            return True
        if overlap.speech_ms >= max(LONG_SPEECH_MS, self._min_ms) and self._min_words <= 1:
            return True
        return None

    def _resume(self) -> Action:
        if self._held_at is None:
            return Action.NOTHING
        self._held_at = None
        self._dismissed = True
        return Action.RESUME
