"""Holds a finished answer until the caller is surely done.

Pipecat's LLM service holds the *text* of a speculative answer. Here it is held behind the synthesizer,
so that its sound is ready when the turn ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from pipecat.frames.frames import (
    Frame,
    LLMFullResponseStartFrame,
    TTSAudioRawFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from agent.conversation import Conversation
from models.pipecat_internals import ForgettingGate
from models.tts_service import NETWORK_MS


class AnswerGate(FrameProcessor):
    """Passes everything but answers to a turn that is still open, which it holds or drops."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(enable_direct_mode=True)
        self._conversation = conversation
        self._gate = ForgettingGate(name="AnswerGate")
        # No turn is open at the start: a greeting or a prompt has nothing to wait for.
        self._gate.process(UserStoppedSpeakingFrame(), FrameDirection.DOWNSTREAM)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            network_ms = frame.metadata.get(NETWORK_MS, 0.0)
            self._conversation.mark("first_audio", network="audio_network", network_ms=network_ms)
        elif isinstance(frame, LLMFullResponseStartFrame):
            # Whatever answers while a turn is open is speculative; the gate knows whether one is.
            self._gate.begin_speculation(True)
        for passed, way in self._gate.process(frame, direction):
            await self.push_frame(passed, way)


F = TypeVar("F", bound=Frame)


class Tap(FrameProcessor, Generic[F]):
    """Tells `note` of each frame of a kind that passes."""

    def __init__(self, kind: type[F], note: Callable[[F], None]) -> None:
        super().__init__(enable_direct_mode=True)
        self._kind = kind
        self._note = note

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, self._kind) and direction is FrameDirection.DOWNSTREAM:
            self._note(frame)
        await self.push_frame(frame, direction)
