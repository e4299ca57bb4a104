"""Text to speech on a server with OpenAI's API, and by the voices here where that fails."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

import httpx2
import numpy as np
import soxr
from loguru import logger
from pydantic import BaseModel, ValidationError

from config.settings import TtsSettings
from models.errors import ModelFailed, ModelLate
from models.lanes import Priority, Speculative
from models.reading.reader import Reading
from models.speech import (
    AUDIBLE,
    LONGEST_CHARACTERS,
    SAMPLE_RATE_HZ,
    Floats,
    Speech,
    Word,
    gain,
    readings,
    spoken,
)
from models.speech_server import Remote, SpeechServer, besides_work_ms
from models.voices import Choice, Voices, names_in
from models.word_times import spoken_words

RATE_HZ = 24_000  # of OpenAI's samples, where an answer doesn't say another
LONGEST_S = 300  # of sound for the longest text; a server that goes on has lost itself
_RATES_HZ = range(4_000, 400_000)  # beyond them the resampler fails, or hangs
_FILES = (b"RIFF", b"ID3", b"OggS", b"fLaC")  # what begins with these isn't samples
_TRIAL = "One, two, three."
_PER_CHARACTER = SAMPLE_RATE_HZ // 15  # people say so many in a second
_PART_BYTES = SAMPLE_RATE_HZ // 50 * 2
_LEAD_SAMPLES = SAMPLE_RATE_HZ // 200


class WordSaid(BaseModel):
    text: str
    end: int  # in samples of the delta


class Delta(BaseModel):
    """An event of a streamed answer; `words`, which end in it, come from a server of ours."""

    type: str
    audio: str = ""
    words: list[WordSaid] | None = None
    rate_hz: int = RATE_HZ


class RemoteVoices(Remote[Voices]):
    """As `Voices`, over a server. `local` speaks while the server doesn't."""

    precision = None

    def __init__(self, settings: TtsSettings, choices: Sequence[Choice], *, local: Voices | None) -> None:
        super().__init__(SpeechServer("tts", settings, self._try), local)
        self._model = settings.model
        self._timeout_s = settings.timeout_s
        self._names = tuple(dict.fromkeys(names_in(choice)[0] for choice in choices))
        self._gains: dict[str, float] = {}
        self._known: dict[tuple[str, str, str | None], Speech] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    @property
    def described(self) -> str:
        return ", ".join(self._names)

    async def synthesize(
        self,
        text: str,
        *,
        voice: Choice,
        call_id: str,
        speculative: Speculative = False,
        language: str | None = None,
        before: str = "",
        priority: Priority = Priority.CALL,
    ) -> Speech:
        """`stream`, as one."""
        parts = self.stream(
            text,
            voice=voice,
            call_id=call_id,
            speculative=speculative,
            language=language,
            before=before,
            priority=priority,
        )
        return Speech.joined([part async for part in parts])

    async def stream(
        self,
        text: str,
        *,
        voice: Choice,
        call_id: str,
        speculative: Speculative = False,
        language: str | None = None,
        before: str = "",
        priority: Priority = Priority.CALL,
    ) -> AsyncGenerator[Speech, None]:
        """Speak `text`, at most 2,000 characters, part by part, with the persona's first choice of a voice.

        It is read as `Voices` reads it, so that the server is given words alone. Where a server doesn't say
        when they end, it is taken to speak evenly. Raises ValueError for longer text, ModelBusy, ModelFailed.
        """
        if len(text) > LONGEST_CHARACTERS:
            raise ValueError(f"{len(text)} characters to speak; {LONGEST_CHARACTERS} is the most.")
        name = names_in(voice)[0]
        if known := self._known.get((name, text, language)):
            yield known
            return
        read = readings(text, language or "en", language, before)
        if not any(map(spoken_words, [reading.spoken for reading in read])):
            return
        guess = speculative() if callable(speculative) else speculative
        begun = False
        try:
            async with aclosing(self._said(name, read, priority, guess=guess)) as parts:
                async for part in parts:
                    begun = True
                    yield part
            return
        except ModelFailed:
            if begun or self._local is None:
                raise
        async with aclosing(
            self._local.stream(
                text,
                voice=voice,
                call_id=call_id,
                speculative=speculative,
                language=language,
                before=before,
                priority=priority,
            )
        ) as others:
            async for part in others:
                yield part

    async def remember(self, texts: Sequence[str], *, voice: Choice, language: str | None = None) -> None:
        """Say each of them at once, whatever fails later. What fails now is asked of the server again."""
        name = names_in(voice)[0]
        try:
            for text in texts:
                speech = await self.synthesize(text, voice=voice, call_id="remember", language=language)
                self._known[name, text, language] = speech
        except ModelFailed as error:
            logger.warning(f"What is always said isn't kept: {error}")

    async def _try(self) -> None:
        for name in self._names:
            said = self._said(name, readings(_TRIAL, "en"), Priority.CALL, trial=True, raw=True)
            pcm = b"".join([part.pcm async for part in said])
            sound: Floats = np.frombuffer(pcm, np.int16) * np.float32(1 / 32768)
            if not len(sound) or np.abs(sound).max() < AUDIBLE:
                raise ModelFailed(f"{self.server.url} says nothing with the voice {name}.")
            self._gains[name] = gain(sound)

    async def _said(
        self,
        name: str,
        read: Sequence[Reading],
        priority: Priority,
        *,
        guess: bool = False,
        trial: bool = False,
        raw: bool = False,
    ) -> AsyncGenerator[Speech, None]:
        """`raw`: as loud as it comes."""
        words, began = _Places(read), time.monotonic()
        sound = _Sound(1.0 if raw else self._gains.get(name, 1.0))
        async with (
            self.server.asked(
                "audio/speech",
                within_s=self._timeout_s,
                priority=priority,
                guess=guess,
                trial=trial,
                headers={"Accept": "text/event-stream, audio/pcm;q=0.9, audio/*;q=0.5"},
                json={"model": self._model, "voice": name, "input": spoken(read), "response_format": "pcm"},
            ) as answer,
            aclosing(_deltas(answer)) as deltas,
        ):
            while (delta := await self._in_time(deltas)) is not None:
                rate_hz, samples, ended = delta
                if rate_hz not in _RATES_HZ:
                    raise ModelFailed(f"{self.server.url} speaks at {rate_hz} Hz.")
                pcm, cut = sound.add(samples, rate_hz)
                if sound.begun > LONGEST_S * SAMPLE_RATE_HZ:
                    raise ModelFailed(f"{self.server.url} doesn't come to an end.")
                if ended is not None:
                    words.say(ended, rate_hz, sound.begun - len(pcm) // 2 - cut)
                if pcm:
                    first = sound.begun == len(pcm) // 2
                    network_ms = besides_work_ms(answer, began) if first else 0.0
                    yield Speech(pcm, words.until(sound.begun), network_ms)
        pcm = sound.rest()
        if pcm or words.left:
            yield Speech(pcm, words.until(sound.begun, last=True))

    async def _in_time(self, deltas: AsyncGenerator[_Delta, None]) -> _Delta | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await anext(deltas, None)
        except TimeoutError:
            late = ModelLate(f"{self.server.url} said nothing for {self._timeout_s:.1f} s.")
            self.server.failed(late)
            raise late from None


_Delta = tuple[int, bytes, Sequence[WordSaid] | None]
"""The rate, s16le samples, and the words that end in them, where that is told."""


async def _deltas(answer: httpx2.Response) -> AsyncGenerator[_Delta, None]:
    """Whole samples: at least 20 ms of them until the last, or what was told with words."""
    rate_hz, kept = RATE_HZ, b""
    async for rate_hz, samples, ended in _parts(answer):
        kept += samples
        if ended is None and len(kept) < _PART_BYTES:
            continue
        end = len(kept) // 2 * 2
        yield rate_hz, kept[:end], ended
        kept = kept[end:]
    if len(kept) > 1:
        yield rate_hz, kept[: len(kept) // 2 * 2], None


async def _parts(answer: httpx2.Response) -> AsyncIterator[_Delta]:
    """As they come, which may be in the middle of a sample."""
    kind = answer.headers.get("Content-Type", "").lower()
    if kind.startswith("text/event-stream"):
        async for line in answer.aiter_lines():
            if line.startswith("data:") and (said := _event(line.removeprefix("data:"), str(answer.url))):
                yield said
        return
    rate_hz = int(rate) if (rate := kind.partition("rate=")[2].partition(";")[0]).isdigit() else RATE_HZ
    begun = False
    async for chunk in answer.aiter_bytes():
        if not begun and (
            chunk.startswith(_FILES) or (kind.startswith("audio/mpeg") and chunk[:1] == b"\xff")
        ):
            raise ModelFailed(f"{answer.url} answers with a file instead of samples (pcm).")
        begun = True
        yield rate_hz, chunk, None


def _event(data: str, url: str) -> _Delta | None:
    try:
        delta = Delta.model_validate_json(data)
        samples = base64.b64decode(delta.audio)
    except (ValidationError, ValueError):
        raise ModelFailed(f"{url} doesn't stream as OpenAI's API does.") from None
    return (delta.rate_hz, samples, delta.words) if samples else None


class _Sound:
    """What was heard of a server's sound: at our rate and level, without the silence before it."""

    def __init__(self, gain: float) -> None:
        self.begun = 0  # samples that were given by now
        self._gain = gain
        self._resampler: soxr.ResampleStream | None = None

    def add(self, samples: bytes, rate_hz: int) -> tuple[bytes, int]:
        """s16le PCM at 16 kHz, and how many samples of silence were left out before it."""
        sound: Floats = np.frombuffer(samples, "<i2") * np.float32(self._gain / 32768)
        if rate_hz != SAMPLE_RATE_HZ:
            if self._resampler is None:
                self._resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
            sound = self._resampler.resample_chunk(sound)
        cut = 0
        if not self.begun:
            loud = np.flatnonzero(np.abs(sound) > AUDIBLE)
            cut = max(0, int(loud[0]) - _LEAD_SAMPLES) if len(loud) else len(sound)
        return self._given(sound[cut:]), cut

    def rest(self) -> bytes:
        if self._resampler is None:
            return b""
        return self._given(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))

    def _given(self, sound: Floats) -> bytes:
        self.begun += len(sound)
        return (np.clip(sound, -1.0, 1.0) * 32767).astype(np.int16).tobytes()


class _Places:
    """Where each written word ends in what is said of it."""

    def __init__(self, read: Sequence[Reading]) -> None:
        self._written = [reading.written for reading in read]
        self._counts = [len(reading.spoken.split()) for reading in read]
        self._lengths = [len(reading.spoken) + 1 for reading in read]
        self._ends: list[int] | None = None  # of spoken words, in samples, where they are told
        self._told = 0
        self._from = 0

    @property
    def left(self) -> bool:
        return self._told < len(self._written)

    def say(self, words: Sequence[WordSaid], rate_hz: int, offset: int) -> None:
        """Spoken words end in sound that begins at sample `offset`."""
        self._ends = self._ends or []
        for word in words:
            end = offset + word.end * SAMPLE_RATE_HZ // rate_hz
            self._ends += [end] * max(1, len(word.text.split()))

    def until(self, samples: int, *, last: bool = False) -> tuple[Word, ...]:
        """The words that end by then, from the sample on at which the last part ended."""
        found: list[Word] = []
        before = 0
        while self._told < len(self._written):
            end = self._end(self._told)
            if not last and (end is None or end > samples):
                break
            place = max(before, min(samples, samples if end is None else end) - self._from)
            found.append(Word(self._written[self._told], before, place))
            before = place
            self._told += 1
        self._from = samples
        return tuple(found)

    def _end(self, word: int) -> int | None:
        if self._ends is None:
            return sum(self._lengths[: word + 1]) * _PER_CHARACTER
        count = sum(self._counts[: word + 1])
        return 0 if not count else self._ends[count - 1] if count <= len(self._ends) else None
