"""What the tests of a line have in common: they stand in a listener's place, and speak."""

from __future__ import annotations

import logging

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InputDTMFFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from agent.conversation import Conversation
from agent.turn.tasks import Latest
from config.announcement import Announcements
from transports.call import CallTransport

logger = logging.getLogger("offhook.call")


class LineTest(FrameProcessor):
    """One call's test. What its wire brings comes to `hear` and `press`, and goes no further.

    Whatever is said, it is told by `said` when the caller has heard it, or when the voice has failed: a
    test of anything else goes on without one.
    """

    answering = False

    def __init__(self, call: CallTransport, conversation: Conversation, says: Announcements) -> None:
        super().__init__(enable_direct_mode=True)
        self._call = call
        self._conversation = conversation
        self._says = says
        self._work = Latest(self)
        self._over = False

    async def hear(self, pcm: bytes) -> None:
        """Take 20 ms of the caller's, s16le mono at 16 kHz."""

    async def press(self, key: str) -> None:
        """Take a key: 0 to 9, * or #."""

    async def said(self) -> None:
        """Something that was said has been heard; the greeting comes first."""

    async def say(self, text: str) -> None:
        await self.push_frame(TTSSpeakFrame(text))

    # As a session has it of its listener.

    def answer_sounds(self) -> None:
        """Nothing is answered."""

    def answer_lost(self) -> None:
        """Nothing is."""

    def mute(self, muted: bool) -> None:
        """Nobody mutes a test."""

    async def stop_listening(self) -> None:
        """The test is over; what follows is a goodbye."""
        self._over = True
        await self._work.stop()

    # Pipecat.

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case InputAudioRawFrame(audio=pcm):
                if not self._over:
                    await self.hear(pcm)
            case InputDTMFFrame(button=button):
                if not self._over:
                    self._conversation.caller_said(f"DTMF: {button.value}")
                    await self.press(button.value)
            case ErrorFrame():
                logger.error("call %s: %s", self._call.info.id, frame.error)
                await self.said()
            case TranscriptionFrame():
                """Typed, where nobody reads."""
            case _:
                if isinstance(frame, EndFrame | CancelFrame):
                    await self._work.stop()
                await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._work.stop()
