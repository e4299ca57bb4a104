"""OpenAI's speech API, on the models that are loaded, for telephone nodes and whoever else speaks it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import time
import uuid
import wave
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, File, Form, Header, Request, Response, UploadFile
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from agent.http.access import OPERATE
from agent.http.problems import ProblemError, responses
from agent.http.speech import transcribe
from agent.http.upload import UnknownFormat, UploadError, decode
from config.settings import TextSettings
from models.expected import Expected
from models.lanes import Priority
from models.pool import ModelPool
from models.remote_recognizer import Beyond, Heard, SegmentHeard
from models.remote_voices import Delta, WordSaid
from models.speech import SAMPLE_RATE_HZ, wav
from models.speech_server import PRIORITY, WORK
from models.speech_text import pieces
from models.transcript import Transcript
from models.whisper import LONGEST_S

T = TypeVar("T")

Urgency = Literal["call", "guess", "text", "bulk"]
Asked = Annotated[Urgency, Header(alias=PRIORITY, description="As whose work it is done.")]
MAX_TEXT = 4096  # OpenAI's


class SpeechRequest(BaseModel):
    """OpenAI's; what isn't named here is ignored."""

    input: str = Field(min_length=1, max_length=MAX_TEXT, examples=["Hello, this is offhook."])
    voice: str = Field(max_length=200, examples=["en_US-joe-medium"], description="A loaded one.")
    model: str = "tts-1"
    response_format: Literal["pcm", "wav"] = Field(
        "wav", description="`pcm` is streamed: 16 kHz, mono, s16le."
    )
    stream_format: Literal["audio", "sse"] = Field(
        "audio",
        description="`sse`, or `Accept: text/event-stream`: events with the sound in base64, and `words` "
        "with the sample of the event at which each ends.",
    )


def openai_speech_router(pool: ModelPool, settings: TextSettings) -> APIRouter:
    router = APIRouter(tags=["OpenAI"], dependencies=[OPERATE])

    @router.post(
        "/v1/audio/transcriptions",
        summary="Transcribe a recording",
        response_model=Heard,
        responses=responses(400, 413, 415, 422, 502, 503),
    )
    async def transcriptions(
        request: Request,
        file: Annotated[UploadFile, File()],
        language: Annotated[str | None, Form(pattern="^[A-Za-z]{2}(-.*)?$")] = None,
        prompt: Annotated[str, Form(max_length=2000)] = "",
        response_format: Annotated[Literal["json", "verbose_json", "text"], Form()] = "json",
        asked: Asked = "text",
    ) -> Response:
        """An utterance of 30 s at most is heard as a caller's is, anything longer in parts.

        `verbose_json` has `offhook` besides: how finished it sounds, and what else calls are told.
        """
        began = time.monotonic()
        data = await file.read()
        pcm = _plain_pcm(data) or await _decoded(data, settings.max_audio_s)
        if len(pcm) <= LONGEST_S * SAMPLE_RATE_HZ * 2:
            heard = await _while_there(
                request,
                pool.recognizer.transcribe(
                    pcm,
                    call_id=f"v1-{uuid.uuid4().hex[:8]}",
                    language=language,
                    speculative=asked == "guess",
                    expected=Expected(prompt),
                    priority=_priority(asked),
                ),
            )
            answer = _heard(heard, len(pcm) / 2 / SAMPLE_RATE_HZ)
        else:
            reply = await _while_there(request, transcribe(pool, pcm, language))
            answer = Heard(text=reply.text, language=reply.language, duration=reply.audio_ms / 1000)
        headers = {WORK: f"work;dur={(time.monotonic() - began) * 1000:.1f}"}
        if response_format == "text":
            return PlainTextResponse(f"{answer.text}\n", headers=headers)
        shown = {"text"} if response_format == "json" else None
        return Response(answer.model_dump_json(include=shown), media_type="application/json", headers=headers)

    @router.post(
        "/v1/audio/speech",
        summary="Speak a text",
        response_class=Response,
        responses=responses(400, 422, 502, 503),
    )
    async def speech(
        request: SpeechRequest,
        accept: Annotated[str, Header(include_in_schema=False)] = "",
        asked: Asked = "text",
    ) -> Response:
        """Streamed as it is made, but for a WAV, which comes whole."""
        began = time.monotonic()
        if request.voice not in pool.voices.names:
            loaded = ", ".join(pool.voices.names)
            raise ProblemError(422, f"voice: {request.voice} isn't loaded; loaded are: {loaded}.")
        said = _said(pool, request, asked)
        first = await anext(said, None)
        headers = {WORK: f"work;dur={(time.monotonic() - began) * 1000:.1f}"}
        if request.stream_format == "sse" or "text/event-stream" in accept:
            stream = _events(first, said)
            return StreamingResponse(stream, media_type="text/event-stream", headers=headers)
        if request.response_format == "pcm":
            kind = f"audio/pcm;rate={SAMPLE_RATE_HZ};channels=1"
            return StreamingResponse(_samples(first, said), media_type=kind, headers=headers)
        pcm = b"".join([part async for part in _samples(first, said)])
        return Response(wav(pcm), media_type="audio/wav", headers=headers)

    return router


def _heard(heard: Transcript, duration_s: float) -> Heard:
    languages = heard.languages
    return Heard(
        text=heard.text,
        language=heard.language,
        duration=round(duration_s, 3),
        segments=[SegmentHeard(avg_logprob=heard.avg_logprob, no_speech_prob=heard.no_speech_prob)],
        offhook=Beyond(
            word_logprob=heard.word_logprob,
            finished=heard.finished,
            sings=heard.sings,
            languages=dict(languages.probabilities) if languages else None,
            audible_s=languages.audible_s if languages else 0.0,
        ),
    )


def _plain_pcm(data: bytes) -> bytes | None:
    """Of a WAV file as we want it; None of any other."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            ours = (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLE_RATE_HZ)
            return file.readframes(file.getnframes()) if ours else None
    except (wave.Error, EOFError):
        return None


async def _decoded(data: bytes, longest_s: int) -> bytes:
    async def body() -> AsyncIterator[bytes]:
        yield data

    try:
        return (await decode(body(), longest_s)).pcm
    except UploadError as error:
        raise ProblemError(415 if isinstance(error, UnknownFormat) else 422, str(error)) from error


async def _while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The outcome, unless whoever asked leaves. Raises ClientDisconnect."""

    async def left() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.create_task(work), asyncio.create_task(left())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.wait({working, leaving})


async def _said(pool: ModelPool, request: SpeechRequest, asked: Urgency) -> AsyncGenerator[Delta, None]:
    job = f"v1-{uuid.uuid4().hex[:8]}"
    for piece in await pieces(request.input, language=None, opening=False):
        spoken = pool.voices.stream(
            piece,
            voice=request.voice,
            call_id=job,
            speculative=asked == "guess",
            priority=_priority(asked),
        )
        async for part in spoken:
            yield Delta(
                type="speech.audio.delta",
                audio=base64.b64encode(part.pcm).decode(),
                words=[WordSaid(text=word.text, end=word.end) for word in part.words],
                rate_hz=SAMPLE_RATE_HZ,
            )


async def _events(first: Delta | None, rest: AsyncGenerator[Delta, None]) -> AsyncIterator[str]:
    async with aclosing(rest):
        if first:
            yield f"data: {first.model_dump_json()}\n\n"
            async for delta in rest:
                yield f"data: {delta.model_dump_json()}\n\n"
    yield f"data: {json.dumps({'type': 'speech.audio.done'})}\n\n"


async def _samples(first: Delta | None, rest: AsyncGenerator[Delta, None]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        if first:
            yield base64.b64decode(first.audio)
            async for delta in rest:
                yield base64.b64decode(delta.audio)


def _priority(asked: Urgency) -> Priority:
    return Priority.CALL if asked == "guess" else Priority[asked.upper()]
