"""The caller speaks while the agent does: stop, or go on?

The agent falls silent provisionally at once (HOLD) and for good (INTERRUPT) when it is a turn: words
that are more than "mm-hmm". What proves to be a backchannel, a cough, noise or the agent's own echo lets
it go on (RESUME) within a second. Doubt keeps it silent: to hold costs nothing, to talk over someone does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from agent.turn import words
from agent.turn.lexicon import lexicon
from config.turn import TurnSettings

ECHO = 0.5  # the guard's probability from which a voice is taken for the agent's own
# From HOLD, unless a voice goes on that may be saying something. After a sound in which no sure words were
# heard more may come, as after the "No" of "No, please stop"; and the agent is audible within a second,
# the pause counted in which it may have been.
RESUME_BY_MS = 700
WHOLE_BY_MS = 600  # of a pause: by then it is known what was said up to it, on a busy machine too
PAUSED_MS = 250  # a voice silent this long has said its piece
# Of words over the agent: what Whisper makes of "mm-hmm" ("in my month"), a cough or a keyboard scores below
# it, three quarters of those that are really said above. For "stop" and the like, which it doesn't make of
# them, less will do.
SURE_LOGPROB = -0.45
STOP_LOGPROB = -0.8
MANY_WORDS, MANY_WORDS_MS = 4, 800  # so many are heard in no "mm-hmm": for a sentence less will do, too
SCRAP_MS = 400  # what a canceller or a turn leaves behind is shorter, and may sound like words
SCRAP_OF_A_TURN_MS = 200  # the same where a word is as probable: of a turn that may be going on


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
    scraps: bool = False  # a short sound may be the rest of another: of an echo, or of the turn before
    partial: bool = False  # what was said up to the pause is being looked up; `words` are those before
    leaks: bool = False  # so short, or so faint by now, as what a canceller lets through
    asked: bool = False  # the agent has put a question: "yes" answers it
    continues: bool = False  # the caller's latest turn ended so shortly before that it may be going on


class BargeIn:
    """One overlap after another: ask at the voice's onset, then on anything new, at least every 50 ms."""

    def __init__(
        self, *, language: str, min_ms: float = 1200, min_words: int = 1, enabled: bool = True
    ) -> None:
        self._lexicon = lexicon(language)
        self._min_ms = min_ms
        self._min_words = min_words
        self._enabled = enabled
        self._held_at: float | None = None
        self._paused = False
        self._dismissed = False  # this voice proved to be nothing; only words can change that

    @classmethod
    def of(cls, turn: TurnSettings, language: str) -> BargeIn:
        return cls(
            language=language,
            min_ms=turn.barge_in_min_ms,
            min_words=turn.barge_in_min_words,
            enabled=turn.barge_in,
        )

    @property
    def held(self) -> bool:
        return self._held_at is not None

    def reset(self) -> None:
        """The voice is gone, or the agent is: whatever comes next is judged anew."""
        self._held_at = None
        self._paused = self._dismissed = False

    def decide(self, now: float, overlap: Overlap) -> Action:
        """What to do with the agent's voice. `now` in seconds, on any clock that goes on."""
        if not self._enabled:
            return Action.NOTHING
        turn = self._is_turn(overlap)
        if turn:
            self.reset()
            return Action.INTERRUPT
        paused = overlap.silence_ms >= PAUSED_MS
        before, self._paused = self._paused, paused
        if self._held_at is None:
            if self._dismissed or overlap.echo >= ECHO or overlap.leaks or paused or turn is False:
                return Action.NOTHING
            self._held_at = now
            return Action.HOLD
        if before and overlap.silence_ms == 0:
            self._held_at = now  # the voice is back: what it says now isn't known yet
        held_ms = (now - self._held_at) * 1000
        nodded = turn is False and paused and bool(overlap.words)
        leftover = paused and overlap.scraps and overlap.words is not None
        partial = overlap.partial and overlap.silence_ms < WHOLE_BY_MS
        nothing = held_ms >= RESUME_BY_MS and (turn is False or paused) and not partial
        if overlap.echo >= ECHO or nodded or leftover or nothing:
            return self._resume()
        return Action.NOTHING

    def _is_turn(self, overlap: Overlap) -> bool | None:
        """True for a turn, False for none, None where it can't be told yet."""
        if overlap.echo >= ECHO:
            return False
        if overlap.words is None:
            return None
        said = words.split(overlap.words)
        if not said:
            return False
        # An echo that gets through is misheard for seconds: "old fishing boats" as "auditions".
        doubtful = overlap.scraps and overlap.logprob < SURE_LOGPROB
        least_ms = SCRAP_MS if overlap.continues else self._min_ms
        long_enough = overlap.speech_ms >= least_ms * (2 if doubtful else 1)
        if words.takes_floor(said, self._lexicon) and (long_enough or overlap.logprob >= STOP_LOGPROB):
            return True
        paused = overlap.silence_ms >= PAUSED_MS
        nod = words.is_backchannel(said, self._lexicon)
        if nod or len(said) < self._min_words:
            # Of a voice that goes on more words may come, and to wait for them costs nothing.
            return nod and overlap.asked if paused else None
        if long_enough:
            return True
        whole = paused and not (overlap.partial or overlap.scraps) and overlap.speech_ms >= MANY_WORDS_MS
        if whole and len(said) >= MANY_WORDS and overlap.logprob >= STOP_LOGPROB:
            return True
        scrap_ms = SCRAP_OF_A_TURN_MS if overlap.continues else SCRAP_MS
        scrap = overlap.scraps and overlap.speech_ms < scrap_ms
        return True if paused and not scrap and overlap.logprob >= SURE_LOGPROB else None

    def _resume(self) -> Action:
        if self._held_at is None:
            return Action.NOTHING
        self._held_at = None
        self._dismissed = True
        return Action.RESUME
