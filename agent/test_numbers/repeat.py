"""`repeat`: what the recognizer heard is said back, and how sure it was, where that is known."""

from __future__ import annotations

import asyncio
import math

from agent.conversation import Conversation
from agent.sound.activity import Change
from agent.sound.voice import CallerVoice
from agent.test_numbers.line_test import LineTest, logger
from agent.turn.transcriber import BYTES_PER_S, PREROLL_S, WORDS_DEADLINE_S
from config.announcement import Announcements
from models.errors import ModelError
from models.pool import ModelPool
from transports.call import CallTransport

PAUSE_S = 0.8  # after which the caller is done
LONGEST_S = 25.0


class Repeat(LineTest):
    """Takes turns with the caller: while it listens to one, or speaks, it hears nothing else."""

    def __init__(
        self,
        call: CallTransport,
        conversation: Conversation,
        says: Announcements,
        *,
        pool: ModelPool,
        language: str,
        echo_guard: bool,
    ) -> None:
        super().__init__(call, conversation, says)
        self._pool = pool
        self._language = language
        self._voice = CallerVoice(pool, call.playout, echo_guard=echo_guard)
        self._pcm = bytearray()
        self._voiced = False
        self._busy = True  # with the greeting

    async def said(self) -> None:
        self._busy = False

    async def hear(self, pcm: bytes) -> None:
        now = asyncio.get_running_loop().time()
        pcm, changes = self._voice.process(pcm, now)
        if self._busy:
            self._voice.end()
            return
        self._pcm += pcm
        if any(change.change is Change.STARTED for change in changes):
            self._voice.begin()
            self._voiced = True
        if not self._voiced:
            del self._pcm[: -int(PREROLL_S * BYTES_PER_S)]
            return
        paused_at = self._voice.paused_at
        if (paused_at and now - paused_at >= PAUSE_S) or len(self._pcm) >= LONGEST_S * BYTES_PER_S:
            heard = bytes(self._pcm)
            self._voice.end()
            self._pcm.clear()
            self._voiced, self._busy = False, True
            self._work.start(self._repeat(heard))

    async def _repeat(self, pcm: bytes) -> None:
        call_id = self._call.info.id
        try:
            async with asyncio.timeout(WORDS_DEADLINE_S):
                heard = await self._pool.recognizer.transcribe(pcm, call_id=call_id, language=self._language)
        except (ModelError, TimeoutError) as error:
            logger.error("call %s: the recognizer failed: %r", call_id, error)
            await self.say(self._says.not_recognized)
            return
        if not heard.text:
            await self.say(self._says.nothing_heard)
            return
        self._conversation.caller_said(heard.text)
        said = self._says.heard.format(text=heard.text)
        if heard.avg_logprob is not None:
            percent = round(100 * math.exp(heard.avg_logprob))
            said = f"{said} {self._says.sure.format(percent=percent)}"
        await self.say(said)
