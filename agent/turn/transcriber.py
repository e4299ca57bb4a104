"""What the caller says: their voice, as long as it is needed, and its words, asked of the recognizer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from agent.turn import words
from models.errors import ModelError
from models.expected import Expected
from models.lanes import Speculative
from models.pool import ModelPool
from models.transcript import LanguageChoice, Transcript
from transports.playout import SAMPLE_RATE_HZ

logger = logging.getLogger("offhook.turn")

BYTES_PER_S = SAMPLE_RATE_HZ * 2
PREROLL_S = 0.3  # before the onset, so that a soft first consonant is heard
TAIL_S = 0.1  # of a turn: who goes on just as it ends has begun already
COVERED_S = 0.02  # of the speech may be missing from a look that heard it all
SINGS = 0.7  # the probability from which on what is heard is singing
SHORTEST_SONG_S = 3.0  # who holds a vowel for less may as well speak
WORDS_DEADLINE_S = 20.0  # queueing included: late words are better than none


@dataclass
class _Look:
    size: int  # bytes of the audio that is listened to
    wanted: bool = False  # for a turn that may be over
    heard: asyncio.Task[Transcript | None] = field(init=False)


class Transcriber:
    """One call's.

    It listens while the caller still speaks, where that keeps nobody waiting: what was heard then needn't
    be heard again when they stop.
    """

    def __init__(
        self,
        pool: ModelPool,
        *,
        call_id: str,
        language: str | LanguageChoice,
        expected: Callable[[], Expected] = Expected,
    ) -> None:
        """`expected` tells what is likely said next."""
        self._expected = expected
        self._pool = pool
        self._call_id = call_id
        self._language = language
        self._pcm = bytearray()  # of the utterance; while there is none, of the moment before
        self._asked: dict[int, int] = {}  # bytes of it that a question is about
        self._look: _Look | None = None

    @property
    def audio_s(self) -> float:
        return len(self._pcm) / BYTES_PER_S

    def add(self, pcm: bytes, *, voice: bool) -> None:
        """The next of the line, s16le mono at 16 kHz; it is kept while a `voice` is heard."""
        self._pcm += pcm
        if not voice:
            del self._pcm[: -int(PREROLL_S * BYTES_PER_S)]

    def settle(self, number: int) -> None:
        """What question `number` was about isn't needed any more."""
        del self._pcm[: self._asked.pop(number)]
        self.forget()

    def end(self) -> None:
        """The utterance is over."""
        del self._pcm[: -int(TAIL_S * BYTES_PER_S)]
        self._asked.clear()

    def forget(self) -> None:
        """The audio is another now."""
        if self._look:
            self._look.heard.cancel()
        self._look = None

    async def words(self, number: int, *, silence_s: float | None = None) -> Transcript:
        """What was said by now, the last `silence_s` aside where the caller pauses.

        Raises ModelError and TimeoutError.
        """
        pcm = self._about(number)
        spoken = None if silence_s is None else len(pcm) - int((silence_s + COVERED_S) * BYTES_PER_S)
        async with asyncio.timeout(WORDS_DEADLINE_S):
            if self._look and spoken is not None and self._look.size >= spoken:
                self._look.wanted = True
                heard = await asyncio.shield(self._look.heard)
                if heard is not None:
                    return heard
            return await self._transcribe(pcm, speculative=False)

    async def words_so_far(self, number: int) -> Transcript | None:
        """The same of a caller who is still speaking; None where it would keep others waiting, or failed."""
        pcm = self._about(number)
        looking = self._look is not None and not self._look.heard.done()
        if not looking and not self._pool.recognizer.lane.idle:
            return None
        self.forget()
        self._look = look = _Look(len(pcm))
        look.heard = asyncio.create_task(self._in_passing(pcm, lambda: not look.wanted), name="look")
        return await asyncio.shield(look.heard)  # it may be wanted when nobody waits for it any more

    def _about(self, number: int) -> bytes:
        self._asked[number] = len(self._pcm)
        return bytes(self._pcm)

    async def _in_passing(self, pcm: bytes, speculative: Speculative) -> Transcript | None:
        try:
            return await self._transcribe(pcm, speculative=speculative)
        except (TimeoutError, ModelError) as error:
            logger.debug("call %s: nothing heard in passing: %r", self._call_id, error)
            return None

    async def _transcribe(self, pcm: bytes, *, speculative: Speculative) -> Transcript:
        expected = self._expected()
        async with asyncio.timeout(WORDS_DEADLINE_S):
            heard = await self._pool.recognizer.transcribe(
                pcm,
                call_id=self._call_id,
                language=self._language,
                speculative=speculative,
                expected=expected,
            )
        if (heard.sings or 0.0) <= SINGS or len(pcm) < SHORTEST_SONG_S * BYTES_PER_S:
            return heard
        if words.dictates(heard.text, heard.language):  # which is spoken in one tone, as if it were sung
            return heard
        if expected.wanted and expected.wanted(heard.text):  # as is what somebody drawls who hesitates
            return heard
        # Hold music, or a song on the radio: nobody has said this.
        return replace(heard, text="")
