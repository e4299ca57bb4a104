"""The caller's voice over the agent's: whether it is one, and what it makes of the agent's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from agent.turn import words
from agent.turn.barge_in import ECHO, Action, BargeIn, Overlap
from agent.turn.endpointing import Expects
from agent.turn.events import Tick
from agent.turn.utterance import Owed, Utterance

if TYPE_CHECKING:
    from agent.answering import Answering

FROM_MS = 350  # speech over the agent worth transcribing while it goes on
EVERY_MS = 450
LEAK_MS = 100  # most of what gets through the echo canceller is shorter
# Who goes on this soon after the end of a turn that was taken, or over the first words of its answer, had
# only paused.
GOES_ON_S = 1.5
FIRST_WORDS_S = 0.8


class AgentFloor:
    """One call's: what the agent is at, and how the caller's voice over it is to be taken."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._policy = BargeIn.of(answering.turn, answering.language)
        self._overheard_ms = -math.inf
        self.owed: Owed | None = None
        self.answering = False  # it is making an answer, or giving it

    @property
    def held(self) -> bool:
        return self._policy.held

    @property
    def answer_is_due(self) -> bool:
        return self.owed is not None and self.owed.sounds_since is None

    def sounds(self, now: float) -> None:
        if self.owed and self.owed.sounds_since is None:
            self.owed.sounds_since = now

    def acts(self) -> None:
        if self.owed:
            self.owed.acts = self.owed.goes_on = True

    def done(self) -> Owed | None:
        """A turn of the agent's is over. Returns what it answered, unless that is answered further."""
        if self.owed and self.owed.goes_on:
            self.owed.goes_on = False
            return None
        return self.lose()

    def acted(self) -> None:
        """A tool has left nothing to be said. It may be one of a turn before, over which the caller spoke."""
        if self.owed and self.owed.acts:
            self.done()

    def stands_in_s(self, now: float) -> float:
        """How soon the turn that is answered will be over for good, if the caller says nothing more."""
        return max(0.0, self.owed.speech_end + GOES_ON_S - now) if self.owed else 0.0

    def owe(self, answer: Owed) -> None:
        """The caller's turn is over."""
        self.answering, self.owed = True, answer

    def lose(self) -> Owed | None:
        """The agent's turn is over, or will never come. Returns what it answered."""
        owed, self.answering, self.owed = self.owed, False, None
        return owed

    def new_voice(self) -> None:
        """Another voice, or nobody to be talked over any more."""
        self._overheard_ms = -math.inf
        self._policy = BargeIn.of(self._answering.turn, self._answering.language)

    def is_talked_over(self, utterance: Utterance, line: Tick) -> bool:
        """Whether this is spoken over the agent, or is the agent."""
        return line.agent_speaks or self.answering or self._echo(utterance, line) >= ECHO

    def continues(self, utterance: Utterance) -> Owed | None:
        """The turn that was answered last, if the voice goes on with it."""
        owed = self.owed
        if owed is None or owed.acts:
            return None
        if owed.sounds_since is None:
            return owed
        over_first_words = utterance.onset - owed.sounds_since <= FIRST_WORDS_S
        return owed if over_first_words or utterance.onset - owed.speech_end <= GOES_ON_S else None

    def weigh(
        self, utterance: Utterance, line: Tick, expects: Expects, now: float, *, partial: bool
    ) -> Action:
        """Ask on each frame, and on news of the words. `expects`: what the agent asked for; `partial`: what
        was said up to a pause is being looked up."""
        speech_ms = utterance.speech_ms(now)
        overlap = Overlap(
            speech_ms=speech_ms,
            silence_ms=utterance.silence_ms(now),
            words=utterance.words,
            logprob=utterance.logprob,
            echo=self._echo(utterance, line),
            scraps=line.may_echo or self.answer_is_due,
            partial=partial,
            leaks=line.may_echo and (speech_ms < LEAK_MS or not line.sounds),
            asked=expects is not Expects.ANYTHING,
            continues=self.continues(utterance) is not None,
        )
        return self._policy.decide(now, overlap)

    def wants_words(self, utterance: Utterance, now: float) -> bool:
        """Whether it is time to find out what a caller is saying who hasn't paused yet."""
        speech_ms = utterance.speech_ms(now)
        due = speech_ms >= FROM_MS and speech_ms - self._overheard_ms >= EVERY_MS
        if due and not utterance.paused:
            self._overheard_ms = speech_ms
            return True
        return False

    def _echo(self, utterance: Utterance, line: Tick) -> float:
        """How probable it is that this is the agent's own voice: by its sound, or by its words."""
        if not (utterance.words and line.may_echo):
            return line.echo
        heard = words.split(" ".join(line.agent_said))
        return 1.0 if words.repeats(words.split(utterance.words), heard) else line.echo
