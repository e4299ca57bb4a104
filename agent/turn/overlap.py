"""The caller's voice over the agent's: the agent falls silent, goes on, or gives up the floor."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from pipecat.processors.frame_processor import FrameProcessor

from agent.answering import Answering
from agent.conversation import Conversation
from agent.turn import words
from agent.turn.barge_in import ECHO, Action, BargeIn, Overlap
from agent.turn.endpointing import Expects
from agent.turn.latest import Latest
from agent.turn.utterance import Utterance
from agent.turn.voice import CallerVoice
from transports.playout import Playout

logger = logging.getLogger("offhook.turn")

OVERHEAR_FROM_MS = 350  # speech over the agent worth transcribing while it goes on
OVERHEAR_EVERY_MS = 450
LEAK_MS = 100  # most of what gets through the canceller is shorter


class Overlaps:
    """One call's. `overhear` finds out what a caller who hasn't paused yet is saying."""

    def __init__(
        self,
        listener: FrameProcessor,
        playout: Playout,
        conversation: Conversation,
        voice: CallerVoice,
        answering: Answering,
        overhear: Callable[[Utterance], Coroutine[Any, Any, None]],
        *,
        call_id: str,
    ) -> None:
        self._playout = playout
        self._conversation = conversation
        self._voice = voice
        self._answering = answering
        self._policy = BargeIn.of(answering.turn, answering.language)
        self._overhear = overhear
        self._call_id = call_id
        self._overhearing: Latest[None] = Latest(listener)
        self._overheard_ms = 0.0
        self.answering = False  # the agent is making an answer, or giving it

    @property
    def held(self) -> bool:
        return self._policy.held

    def begin(self) -> None:
        """Another voice, or nobody to be talked over any more."""
        self._overheard_ms = 0.0
        self._policy = BargeIn.of(self._answering.turn, self._answering.language)

    def over_agent(self, utterance: Utterance) -> bool:
        """Whether this is spoken over the agent, or is the agent."""
        agent_has_floor = self._playout.speaking or self._playout.held or self.answering
        return agent_has_floor or self._echo(utterance) >= ECHO

    def weigh(self, utterance: Utterance, now: float, expects: Expects) -> Action:
        """Silence the agent, or let it go on. An INTERRUPT is left to whoever asks."""
        speech_ms = utterance.speech_ms(now)
        overlap = Overlap(
            speech_ms=speech_ms,
            silence_ms=utterance.silence_ms(now),
            words=utterance.words,
            logprob=utterance.logprob,
            echo=self._echo(utterance),
            scraps=self._voice.may_echo or self._conversation.awaits_answer,
            leaks=self._voice.may_echo and (speech_ms < LEAK_MS or not self._voice.sounds),
            asked=expects is not Expects.ANYTHING,
        )
        action = self._policy.decide(now, overlap)
        if action is not Action.NOTHING:
            logger.debug("call %s: %s after %.0f ms of speech", self._call_id, action.name, speech_ms)
        if action is Action.HOLD:
            self._playout.hold()
        elif action is Action.RESUME:
            self._playout.resume()
        due = speech_ms >= OVERHEAR_FROM_MS and speech_ms - self._overheard_ms >= OVERHEAR_EVERY_MS
        if due and utterance.goes_on and action is not Action.INTERRUPT and not self._overhearing.running:
            self._overheard_ms = speech_ms
            self._overhearing.start(self._overhear(utterance))
        return action

    async def stop(self) -> None:
        await self._overhearing.stop()

    def _echo(self, utterance: Utterance) -> float:
        """How probable it is that this is the agent's own voice: by its sound, or by its words."""
        if not (utterance.words and self._voice.may_echo):
            return self._voice.echo
        heard = words.split(" ".join(self._conversation.agent_words))
        return 1.0 if words.repeats(words.split(utterance.words), heard) else self._voice.echo
