"""The shared voices in a Pipecat pipeline: sound and words in the order in which they are heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from loguru import logger
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    ErrorFrame,
    Frame,
    TTSAudioRawFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.settings import TTSSettings

from models.errors import ModelError, ModelLate
from models.lanes import Speculative
from models.pipecat_internals import OrderedTTSService
from models.remote_voices import RemoteVoices
from models.speech import SAMPLE_RATE_HZ, Speech
from models.speech_text import Chunks, pieces
from models.voices import Choice, Voices, names_in

_BYTES_PER_SAMPLE = 2
PART_DEADLINE_S = 8.0
NETWORK_MS = "network_ms"  # in a frame's metadata: see `Speech`
_CONTEXT_CHARACTERS = 80  # of what was said, which tell that a number is a code


class VoiceTTSService(OrderedTTSService):
    """Speaks with one of the shared `Voices`.

    Every word's TTSTextFrame follows the sound of that word and carries no presentation time, so that
    whoever plays the sound knows by mere order which words were heard. `speculative` tells whether what
    is being spoken may yet be thrown away; such work yields to other calls'.
    """

    def __init__(
        self,
        *,
        voices: Voices | RemoteVoices,
        voice: Choice,
        call_id: str,
        language: str = "en",
        speculative: Speculative = False,
    ) -> None:
        self._chunks = Chunks(language=language)
        super().__init__(
            aggregator=self._chunks,
            push_text_frames=False,
            push_start_frame=True,
            push_stop_frames=True,
            sample_rate=SAMPLE_RATE_HZ,
            settings=TTSSettings(model="local", voice=names_in(voice)[0], language=language),
        )
        self._voices = voices
        self._voice = voice
        self._call_id = call_id
        self._speculative = speculative
        self._context_begun = ""
        self._language = language
        self._before = ""  # what the answer has said already

    def become(self, *, voice: Choice, language: str) -> None:
        """Speak what comes from now on with another voice, in its language."""
        self._voice = voice
        self._language = language
        self._chunks.set_language(language)

    def can_generate_metrics(self) -> bool:
        return True

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, EagerEndOfTurnCancelFrame) and direction == FrameDirection.DOWNSTREAM:
            await self.drop_answer(direction)
        await super().process_frame(frame, direction)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Speak `text` piece by piece. A model's failure is pushed upstream as an ErrorFrame."""
        await self.start_tts_usage_metrics(text)
        at_s, self._making = 0.0, context_id
        opening, self._context_begun = self._context_begun != context_id, context_id
        if opening:
            self._before = ""
        for piece in await pieces(text, language=self.text_aggregation_language, opening=opening):
            parts = self._voices.stream(
                piece,
                voice=self._voice,
                call_id=self._call_id,
                speculative=self._speculative,
                language=self._language,
                before=self._before,
            )
            self._before = f"{self._before} {piece} "[-_CONTEXT_CHARACTERS:]
            try:
                while speech := await self._in_time(parts):
                    await self.stop_ttfb_metrics()
                    async for frame in self._in_order(speech, context_id, at_s):
                        yield frame
                    at_s += len(speech.pcm) / (_BYTES_PER_SAMPLE * SAMPLE_RATE_HZ)
            except ModelError as error:
                logger.error(f"Call {self._call_id}: {error}")
                self._failed = context_id
                yield ErrorFrame(error=str(error), exception=error)
                return
        self._making = ""

    async def _in_time(self, parts: AsyncGenerator[Speech, None]) -> Speech | None:
        """The next part; None behind the last. Raises ModelLate where it takes too long.

        As long as it may be thrown away, it may also take its time: other calls' work comes before it.
        """
        making = asyncio.ensure_future(anext(parts, None))
        try:
            while not (await asyncio.wait({making}, timeout=PART_DEADLINE_S))[0]:
                if not (self._speculative() if callable(self._speculative) else self._speculative):
                    raise ModelLate(f"The voice said nothing for {PART_DEADLINE_S:.0f} s.")
            return making.result()
        finally:
            if not making.done():
                making.cancel()
                await asyncio.gather(making, return_exceptions=True)

    async def _in_order(self, speech: Speech, context_id: str, at_s: float) -> AsyncGenerator[Frame, None]:
        at = 0
        for word in speech.words:
            if word.end > at:
                pcm = speech.pcm[_BYTES_PER_SAMPLE * at : _BYTES_PER_SAMPLE * word.end]
                yield self._sound(pcm, context_id, speech.network_ms)
            # By now the sound has been queued; the word is queued behind it.
            await self.add_word_timestamps([(word.text, at_s + word.end / SAMPLE_RATE_HZ)], context_id)
            at = word.end
        if rest := speech.pcm[_BYTES_PER_SAMPLE * at :]:
            yield self._sound(rest, context_id, speech.network_ms)

    def _sound(self, pcm: bytes, context_id: str, network_ms: float) -> TTSAudioRawFrame:
        frame = TTSAudioRawFrame(pcm, SAMPLE_RATE_HZ, 1, context_id=context_id)
        if network_ms:
            frame.metadata[NETWORK_MS] = network_ms
        return frame
