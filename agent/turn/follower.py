"""Listening along while the caller speaks, so that little is left to do when they pause."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pipecat.frames.frames import InterimTranscriptionFrame
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.utils.time import time_now_iso8601

from agent.conversation import Conversation
from agent.turn.ear import Ear
from agent.turn.foresight import Foresight
from agent.turn.judge import Judge
from agent.turn.latest import Latest
from agent.turn.utterance import Utterance
from models.whisper import Transcript

FROM_MS = 600  # of speech
EVERY_MS = 40
EVERY_BESIDE_A_MODEL_MS = 200  # one that reads along: each look takes a core from it
HUSHED_FRAMES = 2  # when the voice falls, it may be for good: Silero says so 50 ms later
FORESEEN_MS = 120  # if the words were all, a pause is noticed by then
UNTIL_S = 8.0  # then each look would cost more than it saves


class Follower:
    """Hears what the caller has said so far, and has it answered where it surely is all.

    `hold` has the call held in the language of what was heard. Words that `judge` waits after no longer
    than the shortest time, `sure_ms`, surely are complete.
    """

    def __init__(
        self,
        listener: FrameProcessor,
        conversation: Conversation,
        ear: Ear,
        foresight: Foresight,
        judge: Judge,
        hold: Callable[[Transcript], Awaitable[None]],
        *,
        sure_ms: float,
        every_ms: float = EVERY_MS,
    ) -> None:
        self._listener = listener
        self._conversation = conversation
        self._ear = ear
        self._foresight = foresight
        self._judge = judge
        self._hold = hold
        self._sure_ms = sure_ms
        self._every_ms = every_ms
        self._look: Latest[None] = Latest(listener)
        self._looked_ms = 0.0

    def begin(self) -> None:
        """A new turn."""
        self._looked_ms = 0.0

    def follow(self, utterance: Utterance, now: float, *, hushed: int) -> None:
        """Called on every frame of a caller who has the floor; `hushed`: see `CallerVoice`."""
        if utterance.paused_at is not None or utterance.audio_s >= UNTIL_S:
            return
        speech_ms = utterance.speech_ms(now)
        due = speech_ms >= FROM_MS and speech_ms - self._looked_ms >= self._every_ms
        if hushed == HUSHED_FRAMES or (due and not self._look.running):
            self._looked_ms = speech_ms
            self._look.start(self._hear(utterance))

    async def stop(self) -> None:
        await self._look.stop()

    async def _hear(self, utterance: Utterance) -> None:
        heard = await self._ear.words_so_far(bytes(utterance.pcm))
        if not heard or not heard.text or not utterance.goes_on:
            return
        so_far = utterance.whole(heard.text)
        await self._hold(heard)
        if await self._foresight.withdraw_unless(so_far):
            return
        await self._listener.push_frame(InterimTranscriptionFrame(so_far, "", time_now_iso8601()))
        # No look meanwhile: the models would only slow each other.
        completeness = await self._foresight.completeness(so_far)
        verdict = self._judge.decide(utterance, heard, completeness)
        if verdict.wait_ms <= self._sure_ms and utterance.goes_on:
            now = asyncio.get_running_loop().time()
            self._conversation.caller_paused(now)
            self._looked_ms = utterance.speech_ms(now) + FORESEEN_MS
            await self._foresight.answer(so_far)
