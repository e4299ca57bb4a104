"""Text to speech and speech to text, on the models that calls use."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from agent.http.access import OPERATE
from agent.http.admission import TextAdmission
from agent.http.ahead import ahead
from agent.http.contracts import Models, Voices
from agent.http.decoder import SAMPLE_RATE_HZ
from agent.http.problems import ProblemError, responses
from agent.http.upload import CHUNK_MS, UnknownFormat, UploadError, decode, spoken_ms
from config.settings import TextSettings
from models.lanes import Priority
from models.speech import wav
from models.speech_text import pieces
from models.voices import names_in

STT_BODY_BYTES = 24 * 1024 * 1024
MAX_TEXT = 2000
_VAD_STEP_CHUNKS = 30  # about 3 ms of the event loop


class TtsRequest(BaseModel):
    text: str = Field(min_length=1, max_length=MAX_TEXT, examples=["Hello, this is offhook."])
    voice: str | None = Field(None, max_length=200, description="A loaded one; the persona's by default.")
    format: Literal["wav", "pcm", "l16"] | None = Field(
        None,
        description="`wav`, or streamed 16 kHz mono samples: `pcm` little-endian, `l16` big-endian as "
        "RFC 2586 has it. By default what `Accept` asks for, else `wav`.",
    )


class Segment(BaseModel):
    start_ms: int
    end_ms: int
    text: str


class SttReply(BaseModel):
    text: str = Field(examples=["What's the weather like?"])
    language: str | None = Field(examples=["en"])
    audio_ms: int
    decode_ms: float = Field(description="Time at work in the recognizer.")
    segments: list[Segment]
    missing: str | None = Field(
        None, description="What couldn't be read of a damaged recording.", examples=[None]
    )


_RECORDINGS = (
    *(f"audio/{kind}" for kind in ("wav", "mp4", "mpeg", "ogg", "webm", "flac", "aac")),
    "application/octet-stream",
)
_MEDIA = {
    "wav": "audio/wav",
    "pcm": f"audio/pcm;rate={SAMPLE_RATE_HZ};channels=1",
    "l16": f"audio/L16;rate={SAMPLE_RATE_HZ};channels=1",
}


def speech_router(
    models: Models,
    admission: TextAdmission,
    *,
    voice: str | tuple[str, ...],
    language: str,
    settings: TextSettings,
) -> APIRouter:
    """`voice` and `language`, a BCP 47 tag, are the persona's."""
    router = APIRouter(tags=["Text"], dependencies=[OPERATE])

    @router.post(
        "/api/v1/tts",
        summary="Speak a text",
        response_class=Response,
        responses={
            200: {
                "description": "Speech. `X-Latency-Ms` is the time to the first sound, `X-Audio-Ms` "
                "the length of it all (absent where it is streamed).",
                "content": {
                    media: {"schema": {"type": "string", "format": "binary"}} for media in _MEDIA.values()
                },
            },
            **responses(400, 422, 502, 503),
        },
    )
    async def tts(
        request: TtsRequest, http: Request, accept: Annotated[str, Header(include_in_schema=False)] = ""
    ) -> Response:
        """Streamed samples begin while the rest of the text is being spoken; a WAV comes whole."""
        form = request.format or _asked(accept)
        started = time.monotonic()
        speaker = request.voice or voice
        own = request.voice is None or request.voice in names_in(voice)
        reads = language if own else None  # another voice has a language of its own
        parts = await pieces(request.text, language=reads, opening=False)
        if not parts:
            raise ProblemError(422, "text: there is nothing to say in it.")
        sound = ahead(_spoken(models.voices, parts, speaker, reads, admission))
        first = await anext(sound, b"")
        headers = {"X-Latency-Ms": f"{(time.monotonic() - started) * 1000:.1f}"}
        if form != "wav":
            stream = _stream(first, sound, form)
            return StreamingResponse(stream, media_type=_MEDIA[form], headers=headers)
        pcm = bytearray(first)
        async with aclosing(sound):
            async for part in sound:
                if await http.is_disconnected():
                    raise ClientDisconnect
                pcm += part
        headers["X-Audio-Ms"] = str(len(pcm) * 1000 // (2 * SAMPLE_RATE_HZ))
        return Response(wav(bytes(pcm)), media_type=_MEDIA[form], headers=headers)

    @router.post(
        "/api/v1/stt",
        summary="Transcribe a recording",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    media: {"schema": {"type": "string", "format": "binary"}} for media in _RECORDINGS
                },
            }
        },
        responses=responses(400, 408, 413, 415, 422, 502, 503),
    )
    async def stt(request: Request) -> SttReply:
        """The file is the body: `curl --data-binary @question.wav -H 'Content-Type: audio/wav'`.

        Segments are where someone speaks, by the same voice activity model that listens to calls. Of a
        damaged recording the good part is transcribed, and `missing` says what isn't.
        """
        with admission(bulk=True):
            try:
                recording = await decode(request.stream(), settings.max_audio_s)
            except UploadError as error:
                raise ProblemError(415 if isinstance(error, UnknownFormat) else 422, str(error)) from error
            reply = await transcribe(models, recording.pcm, language, request)
            return reply.model_copy(update={"missing": recording.missing})

    return router


async def transcribe(
    models: Models, pcm: bytes, language: str | None, request: Request | None = None
) -> SttReply:
    """Transcribe s16le mono PCM at 16 kHz, segment by segment.

    Raises ClientDisconnect where whoever asked has left, ModelError.
    """
    job = f"stt-{uuid.uuid4().hex[:8]}"
    segments: list[Segment] = []
    heard: str | None = None
    decode_ms = 0.0
    for start_ms, end_ms in spoken_ms(await _voice_probabilities(models, pcm)):
        if request and await request.is_disconnected():
            raise ClientDisconnect
        part = pcm[_offset(start_ms) : _offset(end_ms)]
        transcript = await models.recognizer.transcribe(
            part, call_id=job, language=language, priority=Priority.BULK
        )
        decode_ms += transcript.decode_ms
        heard = heard or transcript.language
        if transcript.text.strip():
            segments.append(Segment(start_ms=start_ms, end_ms=end_ms, text=transcript.text.strip()))
    return SttReply(
        text=" ".join(segment.text for segment in segments),
        language=heard,
        audio_ms=len(pcm) * 1000 // (2 * SAMPLE_RATE_HZ),
        decode_ms=round(decode_ms, 1),
        segments=segments,
    )


async def _voice_probabilities(models: Models, pcm: bytes) -> list[float]:
    activity = models.vad.voice_activity()
    step = _offset(_VAD_STEP_CHUNKS * CHUNK_MS)
    probabilities: list[float] = []
    for at in range(0, len(pcm), step):
        probabilities += activity.process(pcm[at : at + step])
        await asyncio.sleep(0)  # calls come first
    # The last, incomplete chunk.
    return probabilities + activity.process(bytes(_offset(CHUNK_MS)))


async def _spoken(
    voices: Voices,
    parts: Sequence[str],
    voice: str | tuple[str, ...],
    language: str | None,
    admission: TextAdmission,
) -> AsyncGenerator[bytes, None]:
    """The sound of a text, piece by piece; whoever wants two words waits for one piece at most."""
    job, long = f"tts-{uuid.uuid4().hex[:8]}", len(parts) > 1
    priority = Priority.BULK if long else Priority.TEXT
    with admission(bulk=long):
        for part in parts:
            spoken = voices.stream(part, voice=voice, call_id=job, language=language, priority=priority)
            async for speech in spoken:
                yield speech.pcm


async def _stream(first: bytes, rest: AsyncGenerator[bytes, None], form: str) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield _ordered(first, form)
        async for pcm in rest:
            yield _ordered(pcm, form)


def _offset(ms: int) -> int:
    return ms * SAMPLE_RATE_HZ // 1000 * 2


def _ordered(pcm: bytes, form: str) -> bytes:
    return np.frombuffer(pcm, "<i2").astype(">i2").tobytes() if form == "l16" else pcm


def _asked(accept: str) -> Literal["wav", "pcm", "l16"]:
    accept = accept.lower()
    if "audio/l16" in accept:
        return "l16"
    return "pcm" if "audio/pcm" in accept else "wav"
