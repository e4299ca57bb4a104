"""What is begun before the caller's turn is surely over, and given up when it proves to go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from pipecat.frames.frames import EagerEndOfTurnCancelFrame, EagerTranscriptionFrame
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.utils.time import time_now_iso8601

from agent.conversation import Conversation
from agent.turn import words
from agent.turn.latest import Latest


@dataclass(frozen=True)
class Mind:
    """What the listener asks of the language model, about this conversation."""

    end_probability: Callable[[str], Coroutine[Any, Any, float | None]]  # that the words so far are all
    read_ahead: Callable[[], Coroutine[Any, Any, None]]  # the caller begins to speak
    get_ready: Callable[[str], Coroutine[Any, Any, None]]  # they pause, and these words may be all


class Foresight:
    """One call's guess at what the caller will have said: the answer to it is made, and held.

    `listener` is the processor whose place in the pipeline the frames are sent from.
    """

    def __init__(
        self, listener: FrameProcessor, conversation: Conversation, mind: Mind, *, speculates: bool
    ) -> None:
        self._listener = listener
        self._conversation = conversation
        self._mind = mind
        self._speculates = speculates
        self.text = ""  # what is being answered
        self._withdrawn: set[str] = set()  # in this turn
        self._reading: Latest[None] = Latest(listener)
        self._asking: Latest[float | None] = Latest(listener)
        self._asked: list[str] = []  # about these words

    def begin(self) -> None:
        """A new turn: what was asked about the last one's words holds no more."""
        self._asked = []
        self._withdrawn.clear()

    def read_ahead(self) -> None:
        """Let the model read the conversation while the caller speaks."""
        self._reading.start(self._mind.read_ahead())

    def get_ready(self, text: str) -> None:
        """Let the model do what comes before an answer to `text`."""
        if self._speculates and words.split(text) != words.split(self.text):
            self._reading.start(self._mind.get_ready(text))

    async def completeness(self, text: str) -> float | None:
        """That `text` is all; not asked again for the same words. To be asked, the model reads them."""
        task = self._asking.task
        unknown = task is None or (task.done() and (task.cancelled() or task.result() is None))
        if unknown or words.split(text) != self._asked:
            self._asked = words.split(text)
            self._asking.start(self._mind.end_probability(text))
        assert self._asking.task is not None
        return await asyncio.shield(self._asking.task)

    async def answer(self, text: str) -> None:
        """Let the answer to `text` be made."""
        if not self._speculates or await self.withdraw_unless(text):
            return
        self.text = text
        self._withdrawn.discard(text)
        self._conversation.answer_begun()
        await self._listener.push_frame(EagerTranscriptionFrame(text, "", time_now_iso8601()))

    async def withdraw_unless(self, text: str) -> bool:
        """Whether what is being answered is `text`; if not, that is given up."""
        if self.text and words.split(text) == words.split(self.text):
            return True
        await self.withdraw()
        return False

    async def withdraw(self) -> None:
        if self.text:
            self._withdrawn.add(self.text)
            self.text = ""
            self._conversation.answer_withdrawn()
            await self._listener.broadcast_frame(EagerEndOfTurnCancelFrame)

    def commit(self) -> None:
        """It was all the caller said: what is being answered is no guess any more."""
        self.text = ""

    def stands(self, text: str) -> bool:
        """Whether an answer to `text` that is still to be begun hasn't been withdrawn.

        Pipecat's withdrawal is a system frame, which overtakes the frame that has just asked for it.
        """
        return text not in self._withdrawn

    async def stop(self) -> None:
        await self._reading.stop()
        await self._asking.stop()
