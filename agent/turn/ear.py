"""What the listener asks of the recognizer about a sound, with a deadline."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from models.errors import ModelError
from models.lanes import Speculative
from models.pool import ModelPool
from models.whisper import LanguageChoice, Transcript

logger = logging.getLogger("offhook.turn")

WORDS_DEADLINE_S = 20.0  # queueing included: late words are better than none


@dataclass
class _Look:
    size: int  # bytes of the audio that is listened to
    wanted: bool = False  # for a turn that may be over
    heard: asyncio.Task[Transcript | None] = field(init=False)


class Ear:
    """One call's access to the recognizer.

    It listens while the caller still speaks, where that keeps nobody waiting: what was heard then needn't
    be heard again when they stop.
    """

    def __init__(self, pool: ModelPool, *, call_id: str, language: str | LanguageChoice) -> None:
        self._pool = pool
        self._call_id = call_id
        self._language = language
        self._look: _Look | None = None

    def forget(self) -> None:
        """The audio is another now."""
        if self._look:
            self._look.heard.cancel()
        self._look = None

    async def words(self, pcm: bytes, *, spoken: int | None = None) -> Transcript:
        """What was said in s16le mono PCM at 16 kHz, of which silence follows the first `spoken` bytes.

        Raises ModelError and TimeoutError.
        """
        async with asyncio.timeout(WORDS_DEADLINE_S):
            if self._look and spoken is not None and self._look.size >= spoken:
                self._look.wanted = True
                heard = await asyncio.shield(self._look.heard)
                if heard is not None:
                    return heard
            return await self._transcribe(pcm, speculative=False)

    async def words_so_far(self, pcm: bytes) -> Transcript | None:
        """The same of a caller who is still speaking; None where it would keep others waiting, or failed."""
        looking = self._look is not None and not self._look.heard.done()
        if not looking and not self._pool.recognizer.lane.idle:
            return None
        self.forget()
        self._look = look = _Look(len(pcm))
        look.heard = asyncio.create_task(self._in_passing(pcm, lambda: not look.wanted), name="look")
        return await asyncio.shield(look.heard)  # it may be wanted when nobody waits for it any more

    async def _in_passing(self, pcm: bytes, speculative: Speculative) -> Transcript | None:
        try:
            return await self._transcribe(pcm, speculative=speculative)
        except (TimeoutError, ModelError) as error:
            logger.debug("call %s: nothing heard in passing: %r", self._call_id, error)
            return None

    async def _transcribe(self, pcm: bytes, *, speculative: Speculative) -> Transcript:
        async with asyncio.timeout(WORDS_DEADLINE_S):
            return await self._pool.recognizer.transcribe(
                pcm, call_id=self._call_id, language=self._language, speculative=speculative
            )
