"""Holds a finished answer until the caller is surely done.

Pipecat's LLM service holds the *text* of a speculative answer. Here it is held behind the synthesizer,
so that its sound is ready when the turn ends.
"""

from __future__ import annotations

from pipecat.frames.frames import (
    Frame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.turns.speculation_gate import GatedFrame, SpeculationGate, SpeculationState

from agent.conversation import Conversation


class _Gate(SpeculationGate):
    """Forgets a withdrawn answer at once: the synthesizer before us has already dropped its rest.

    The stock gate goes on dropping until that answer's end passes, which here it never does; a prompt
    that isn't an answer would be lost with it.
    """

    def _drop_held(self, reason: str, *, keep_dropping: bool) -> list[GatedFrame]:
        return super()._drop_held(reason, keep_dropping=False)


class AnswerGate(FrameProcessor):
    """Passes everything but answers to a turn that is still open, which it holds or drops."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(enable_direct_mode=True)
        self._conversation = conversation
        self._gate = _Gate(name="AnswerGate")
        # No turn is open at the start: a greeting or a prompt has nothing to wait for.
        self._gate.process(UserStoppedSpeakingFrame(), FrameDirection.DOWNSTREAM)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self._conversation.mark("first_audio")
        elif isinstance(frame, LLMFullResponseStartFrame):
            # Whatever answers while a turn is open is speculative; the gate knows whether one is.
            self._gate.begin_speculation(True)
        holding = self._gate.state is SpeculationState.HOLDING
        emitted = self._gate.process(frame, direction)
        if holding and self._gate.state is SpeculationState.OPEN and len(emitted) <= 1:
            self._conversation.speculations_discarded += 1
        for passed, way in emitted:
            await self.push_frame(passed, way)


class FirstTokenTap(FrameProcessor):
    """Notes in the ledger when the model's first word passes."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(enable_direct_mode=True)
        self._conversation = conversation

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMTextFrame) and direction is FrameDirection.DOWNSTREAM:
            self._conversation.mark("first_token")
        await self.push_frame(frame, direction)
