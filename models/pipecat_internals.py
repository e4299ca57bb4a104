"""All that leans on what Pipecat keeps to itself, but for the events of `transports/call.py`.

`tests/test_internals.py` names each such attribute, so that an upgrade which takes one away is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    AggregatedTextFrame,
    EndFrame,
    Frame,
    FunctionCallFromLLM,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    SystemFrame,
    TranscriptionFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregator
from pipecat.processors.frame_processor import FrameDirection
from pipecat.processors.frameworks.rtvi import RTVIProcessor
from pipecat.processors.frameworks.rtvi import models as messages
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.tts_service import TTSService
from pipecat.turns.speculation_gate import GatedFrame, SpeculationGate
from pipecat.turns.user_stop import EagerUserTurnStopStrategy
from pipecat.utils.text.base_text_aggregator import BaseTextAggregator
from pipecat.utils.time import time_now_iso8601

from models.errors import ModelError


class OrderedTTSService(TTSService):
    """Sound and words in the order in which they are made, without presentation times.

    Pipecat times words, and what follows them, so that its transport's clock releases them. Here the order
    is enough, and a time would let them overtake the sound.
    """

    def __init__(self, *, aggregator: BaseTextAggregator, **settings: Any) -> None:
        super().__init__(**settings)
        # Typed as Pipecat's own aggregator there, but used through the base class only.
        self._text_aggregator = aggregator  # type: ignore[assignment]
        self._making = self._failed = ""  # contexts

    async def _apply_force_complete(self, context_id: str) -> None:
        """Pipecat takes words that didn't come for said, also where the voice has failed, or is only slow."""
        if context_id == self._failed:
            self._aggregated_frame_sequencer.force_complete(context_id, 0)
        elif context_id != self._making:
            await super()._apply_force_complete(context_id)

    async def tts_process_generator(
        self, context_id: str, generator: AsyncGenerator[Frame | None, None]
    ) -> None:
        await super().tts_process_generator(context_id, generator)
        # Else Pipecat waits 3 s for sound that never comes when nothing could be spoken.
        self._is_yielding_frames_synchronously = True

    async def drop_answer(self, direction: FrameDirection) -> None:
        """Do what an interruption does, but here alone: nobody has heard anything of this answer."""
        await self._start_interruption()
        await self.stop_all_metrics()
        await self._handle_interruption(InterruptionFrame(), direction)

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if isinstance(frame, TTSStoppedFrame | LLMFullResponseEndFrame | AggregatedTextFrame | TTSTextFrame):
            frame.pts = None
        await super().push_frame(frame, direction)

    async def _push_word_frames(self, frames: list[Frame]) -> None:
        for frame in frames:
            frame.pts = None
            await self.push_frame(frame)

    def _stamp_segment_announcement(self, frame: AggregatedTextFrame) -> None:
        """No time."""

    def _stamp_llm_response_frame(self, frame: Frame) -> None:
        """No time."""

    async def _record_context_audio_outcome(self, context_id: str, received_audio: bool) -> None:
        """An answer of "..." has no sound and is no failure; real failures are reported as they happen."""


class ForgettingGate(SpeculationGate):
    """Forgets a withdrawn answer at once: the synthesizer before it has already dropped its rest.

    The stock gate goes on dropping until that answer's end passes, which here it never does; a prompt
    that isn't an answer would be lost with it.
    """

    def _drop_held(self, reason: str, *, keep_dropping: bool) -> list[GatedFrame]:
        return super()._drop_held(reason, keep_dropping=False)


class PassingGate(SpeculationGate):
    """Knows whether an answer is speculative, but holds none of it back.

    A speculative answer goes on to be synthesized; whoever plays it holds it until the turn is
    decided. What must still wait here are tool calls: for `decided`.
    """

    def __init__(self, *, name: str) -> None:
        super().__init__(name=name)
        self.decided = asyncio.Event()  # there is no answer, or one that isn't speculative

    def begin_speculation(self, speculation: bool) -> None:
        super().begin_speculation(speculation)
        self._note()

    def process(self, frame: Frame, direction: FrameDirection) -> list[GatedFrame]:
        if isinstance(frame, (SystemFrame, EndFrame)):  # the verdicts; with nothing held they only pass
            passed = super().process(frame, direction)
            self._note()
            return passed
        return [(frame, direction)]

    def _note(self) -> None:
        if self.is_speculating:
            self.decided.clear()
        else:
            self.decided.set()


class SpeculatingLLMService(OpenAILLMService):
    """Lets a speculative answer pass."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._speculation_gate = self._gate = PassingGate(name=f"{self}::PassingGate")

    # A speculation waits here until its turn is over; where that goes on, this task is cancelled. To withdraw
    # it instead, as Pipecat does, comes too late for a turn that is just being ended: nobody would answer it.

    async def run_function_calls(self, function_calls: Sequence[FunctionCallFromLLM]) -> None:
        await self._gate.decided.wait()
        await super().run_function_calls(function_calls)

    async def _process_context(self, context: LLMContext) -> None:
        """A speculation that fails is nobody's business: the whole turn asks anew."""
        speculative = self._gate.is_speculating
        try:
            await super()._process_context(context)
        except ModelError as error:
            if not speculative:
                raise
            logger.info(f"An answer begun early is given up: {error}")
            await self._gate.decided.wait()
            await super()._process_context(context)


class TurnStop(EagerUserTurnStopStrategy):
    """Stops its clock when the call ends in mid-speculation, which Pipecat 1.14 leaves running."""

    async def cleanup(self) -> None:
        await self._take_speculation()
        await super().cleanup()


async def wait_for_caller(user: LLMUserAggregator) -> None:
    """Nothing more is said to their turn: from now on they may be asked whether they are still there.

    Pipecat waits for them by itself only where the agent has spoken.
    """
    await user._user_idle_controller.wait_for_user()


TAKEN = ("client-ready", "send-text")  # keys and hanging up the wire sees to
LONGEST_TYPED = 1000  # characters: more than anyone says in a turn


class BrowserMessages(RTVIProcessor):
    """Takes typed text as a turn of the caller's, so that it is treated like speech in everything.

    Of what a browser may send, nothing else: Pipecat would take results of tools from it, and files, which it
    fetches from wherever the browser says, into the conversation.
    """

    async def _handle_message(self, message: messages.Message, user_id: str | None = None) -> None:
        if message.type in TAKEN:
            await super()._handle_message(message, user_id)
        else:
            await self._send_error_response(message.id, f"Unsupported type {message.type}")

    async def _handle_send_text(
        self, data: messages.SendTextData, message_id: str, user_id: str | None = None
    ) -> None:
        text = data.content.strip()[:LONGEST_TYPED]
        if not text:
            return
        await self.push_frame(TranscriptionFrame(text, user_id or "", time_now_iso8601(), finalized=True))
