"""What the listener asks of the models about a sound, each with a deadline."""

from __future__ import annotations

import asyncio
import logging

from models.errors import ModelError
from models.pool import ModelPool
from models.whisper import Transcript

logger = logging.getLogger("offhook.turn")

WORDS_DEADLINE_S = 6.0
ACOUSTIC_DEADLINE_S = 0.5


class Ear:
    """One call's access to the recognizer and the turn detector."""

    def __init__(self, pool: ModelPool, *, call_id: str, language: str) -> None:
        self._pool = pool
        self._call_id = call_id
        self._language = language

    async def words(self, pcm: bytes) -> Transcript:
        """What was said in s16le mono PCM at 16 kHz. Raises ModelError and TimeoutError."""
        async with asyncio.timeout(WORDS_DEADLINE_S):
            return await self._pool.recognizer.transcribe(pcm, call_id=self._call_id, language=self._language)

    async def words_in_passing(self, pcm: bytes) -> Transcript | None:
        """The same where it keeps nobody waiting, else None: it is wanted only for speed."""
        if self._pool.recognizer.lane.idle:
            try:
                async with asyncio.timeout(WORDS_DEADLINE_S):
                    return await self._pool.recognizer.transcribe(
                        pcm, call_id=self._call_id, language=self._language, speculative=True
                    )
            except (TimeoutError, ModelError) as error:
                logger.debug("call %s: nothing heard in passing: %r", self._call_id, error)
        return None

    async def finality(self, pcm: bytes) -> float | None:
        """How final the voice sounds, 0 to 1; None if that isn't known in time."""
        try:
            async with asyncio.timeout(ACOUSTIC_DEADLINE_S):
                return await self._pool.turn_detector.probability(pcm, call_id=self._call_id)
        except (TimeoutError, ModelError) as error:
            logger.warning("call %s: no word from the turn detector: %r", self._call_id, error)
            return None
