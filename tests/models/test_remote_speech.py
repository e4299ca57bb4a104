"""Speech servers, as they answer and as they fail, on a loopback socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from agent.http.server import HttpServer
from config.settings import SttSettings, TtsSettings
from models.errors import ModelAway, ModelError, ModelFailed, ModelLate
from models.question import question
from models.remote_recognizer import RemoteRecognizer
from models.remote_voices import RemoteVoices
from models.speech import SAMPLE_RATE_HZ, Speech, Word
from models.transcript import Languages, Transcript
from tests.waiting import until

NEVER = object()
WORDS = "What time do you open tomorrow?"


@dataclass
class FakeServer:
    """OpenAI's speech API, by what each request is to be answered with, the last again and again."""

    answers: list[Any]
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def transcriptions(self, request: Request) -> Response:
        self.keys.append(request.headers.get("Authorization"))
        async with request.form() as form:
            self.asked.append({name: value for name, value in form.items() if isinstance(value, str)})
        return await self._answer()

    async def speech(self, request: Request) -> Response:
        self.asked.append(json.loads(await request.body()))
        return await self._answer()

    async def _answer(self) -> Response:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is NEVER:
            await self.over.wait()
            return Response(status_code=500)
        if isinstance(answer, int):
            return Response(status_code=answer)
        return answer if isinstance(answer, Response) else JSONResponse(answer)


@contextlib.asynccontextmanager
async def fake(*answers: Any) -> AsyncIterator[FakeServer]:
    server = FakeServer(list(answers))
    app = Starlette(
        routes=[
            Route("/v1/audio/transcriptions", server.transcriptions, methods=["POST"]),
            Route("/v1/audio/speech", server.speech, methods=["POST"]),
        ]
    )
    http = HttpServer(app, host="127.0.0.1")
    await http.start()
    server.url = f"http://127.0.0.1:{http.port}/v1"
    try:
        yield server
    finally:
        server.over.set()
        await http.stop(0)


@contextlib.asynccontextmanager
async def hearing(server: FakeServer, local: Any = None, **settings: Any) -> AsyncIterator[RemoteRecognizer]:
    recognizer = RemoteRecognizer(SttSettings(url=server.url, **settings), local=local)
    try:
        yield recognizer
    finally:
        await recognizer.close()


@contextlib.asynccontextmanager
async def speaking(server: FakeServer, local: Any = None, **settings: Any) -> AsyncIterator[RemoteVoices]:
    voices = RemoteVoices(TtsSettings(url=server.url, **settings), [("alloy", "other")], local=local)
    try:
        yield voices
    finally:
        await voices.close()


class Here:
    """A recognizer in this process."""

    def __init__(self) -> None:
        self.lane: Any = SimpleNamespace(idle=True)
        self.heard = 0

    async def transcribe(self, pcm: bytes, **_: Any) -> Transcript:
        self.heard += 1
        return Transcript("heard here", "en", 0.0, 0.0, 0.0)

    async def close(self) -> None: ...


async def transcribe(recognizer: RemoteRecognizer, language: Any = "en-US") -> Transcript:
    return await recognizer.transcribe(question(), call_id="1", language=language)


async def test_what_a_server_hears_is_taken_for_words_alone() -> None:
    said = {"text": f" {WORDS} ", "segments": [{"avg_logprob": -0.3, "no_speech_prob": 0.1}]}
    async with fake(said) as server, hearing(server, model="whisper-9") as recognizer:
        heard = await transcribe(recognizer)
    assert (heard.text, heard.language, heard.avg_logprob, heard.no_speech_prob) == (WORDS, "en", -0.3, 0.1)
    assert (heard.finished, heard.sings, heard.languages) == (None, None, None)
    (asked,) = server.asked
    assert asked == {
        "model": "whisper-9",
        "response_format": "verbose_json",
        "temperature": "0",
        "language": "en",
    }


@pytest.mark.parametrize(
    "segments",
    [None, [{"text": WORDS, "avg_logprob": None, "no_speech_prob": None}], [{"no_speech_prob": None}]],
)
async def test_what_a_server_doesnt_know_may_be_null(segments: Any) -> None:
    """As of vLLM's segments."""
    said = {"text": WORDS, "language": "en", "duration": "2.1", "segments": segments, "words": None}
    async with fake(said) as server, hearing(server) as recognizer:
        heard = await transcribe(recognizer)
    assert (heard.text, heard.avg_logprob, heard.no_speech_prob) == (WORDS, None, 0.0)


async def test_a_server_without_segments_is_asked_for_less() -> None:
    async with fake(400, {"text": WORDS}) as server, hearing(server) as recognizer:
        assert (await transcribe(recognizer)).text == WORDS
        await transcribe(recognizer)
    assert [asked["response_format"] for asked in server.asked] == ["verbose_json", "json", "json"]


async def test_what_is_refused_in_any_form_changes_nothing() -> None:
    async with fake(400, 400, {"text": WORDS}) as server, hearing(server) as recognizer:
        with pytest.raises(ModelFailed, match="refuses what it is asked, with HTTP 400"):
            await transcribe(recognizer)
        await transcribe(recognizer)
    assert server.asked[-1]["response_format"] == "verbose_json"


async def test_what_nobody_said_is_left_out() -> None:
    said = {"text": "Thank you.", "segments": [{"avg_logprob": -0.6, "no_speech_prob": 0.5}]}
    async with fake(said) as server, hearing(server) as recognizer:
        assert (await transcribe(recognizer)).text == ""


async def test_a_language_that_may_not_be_is_asked_for_again() -> None:
    seen: list[Languages] = []

    def always_english(languages: Languages) -> str:
        seen.append(languages)
        return "en"

    french = {"text": "Bonjour.", "language": "french"}
    async with fake(french, {"text": WORDS, "language": "english"}) as server, hearing(server) as recognizer:
        heard = await transcribe(recognizer, always_english)
    assert [dict(languages.probabilities) for languages in seen] == [{"fr": 1.0}]
    assert [asked.get("language") for asked in server.asked] == [None, "en"]
    assert (heard.text, heard.language) == (WORDS, "en")
    assert heard.languages == seen[0]


async def test_a_key_is_sent_and_named_where_it_is_wrong() -> None:
    async with fake(401) as server, hearing(server, api_key="a secret") as recognizer:
        with pytest.raises(ModelFailed, match=r"doesn't take the API key: set stt\.api_key\."):
            await transcribe(recognizer)
        assert server.keys == ["Bearer a secret"]
        assert recognizer.state == "ready"  # nothing that time heals


async def test_one_that_is_busy_is_asked_again() -> None:
    async with fake(503, {"text": WORDS}) as server, hearing(server) as recognizer:
        assert (await transcribe(recognizer)).text == WORDS
    assert len(server.asked) == 2


async def test_one_that_stays_busy_is_left_alone_until_a_trial_succeeds() -> None:
    """As a gateway is whose server has gone: each turn of a caller would wait for it."""
    here = Here()
    async with fake(502) as server, hearing(server, here, timeout_s=0.5) as recognizer:
        assert (await transcribe(recognizer)).text == "heard here"
        assert recognizer.state == "degraded"
        server.answers = [{"text": WORDS}]
        await until(lambda: recognizer.state == "ready")
        assert (await transcribe(recognizer)).text == WORDS


async def test_one_that_is_late_is_left_alone_until_a_trial_succeeds() -> None:
    async with fake({"text": WORDS}) as server, hearing(server, timeout_s=0.2) as recognizer:
        answers, server.answers = server.answers, [NEVER]
        with pytest.raises(ModelLate, match=r"within 0\.2 s"):
            await transcribe(recognizer)
        assert recognizer.state == "down"
        assert not recognizer.lane.idle
        with pytest.raises(ModelAway):  # at once
            await transcribe(recognizer)
        server.answers = answers
        await until(lambda: recognizer.state == "ready")
        assert (await transcribe(recognizer)).text == WORDS


async def test_weights_that_are_here_hear_meanwhile() -> None:
    here = Here()
    async with fake({"text": WORDS}) as server:
        pass
    async with hearing(server, here) as recognizer:  # which has gone
        for times in (1, 2):
            assert (await transcribe(recognizer)).text == "heard here"
            assert here.heard == times
        assert recognizer.state == "degraded"
        assert recognizer.lane is here.lane


async def test_what_isnt_openais_api_is_told() -> None:
    async with fake({"words": 1}) as server, hearing(server) as recognizer:
        with pytest.raises(ModelError, match="doesn't answer as OpenAI's API does"):
            await transcribe(recognizer)


def tone(seconds: float, rate_hz: int) -> bytes:
    at = np.arange(int(seconds * rate_hz)) / rate_hz
    return (8000 * np.sin(2 * np.pi * 440 * at)).astype("<i2").tobytes()


async def parts(voices: RemoteVoices, text: str) -> list[Speech]:
    return [part async for part in voices.stream(text, voice=("alloy", "other"), call_id="1", language="en")]


async def test_samples_become_ours_and_words_are_spread_over_them() -> None:
    silence = bytes(24_000 // 5 * 2)
    stream = Response(silence + tone(1.0, 24_000), media_type="audio/pcm")
    async with fake(stream) as server, speaking(server, model="tts-9") as voices:
        said = await parts(voices, "It costs $5.")
    assert server.asked == [
        {"model": "tts-9", "voice": "alloy", "input": "It costs five dollars.", "response_format": "pcm"}
    ]
    whole = Speech.joined(said)
    assert abs(len(whole.pcm) / 2 / SAMPLE_RATE_HZ - 1.0) < 0.02  # without the silence before it
    assert [word.text for word in whole.words] == ["It", "costs", "$5."]
    ends = [word.end for word in whole.words]
    assert ends == sorted(ends)
    assert 0 < ends[0] < ends[1] < ends[2] <= len(whole.pcm) // 2


async def test_places_that_are_told_are_kept() -> None:
    half = base64.b64encode(tone(0.5, SAMPLE_RATE_HZ)).decode()
    events = [
        {"type": "speech.audio.delta", "audio": half, "rate_hz": SAMPLE_RATE_HZ, "words": []},
        {
            "type": "speech.audio.delta",
            "audio": half,
            "rate_hz": SAMPLE_RATE_HZ,
            "words": [{"text": "It", "end": 1000}, {"text": "costs", "end": 3000}],
        },
        {
            "type": "speech.audio.delta",
            "audio": half,
            "rate_hz": SAMPLE_RATE_HZ,
            "words": [{"text": "five", "end": 4000}, {"text": "dollars.", "end": 8000}],
        },
        {"type": "speech.audio.done"},
    ]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    async with fake(Response(body, media_type="text/event-stream")) as server, speaking(server) as voices:
        said = await parts(voices, "It costs $5.")
    assert [part.words for part in said if part.words] == [
        (Word("It", 0, 1000), Word("costs", 1000, 3000)),
        (Word("$5.", 0, 8000),),
    ]


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        ("audio/mpeg", b"\xff\xfb\x90"),
        ("audio/pcm", b"ID3\x04"),
        ("audio/wav", b"RIFF"),
        ("audio/ogg", b"OggS"),
    ],
)
async def test_a_file_isnt_played_as_samples(kind: str, head: bytes) -> None:
    """Some servers know MP3 alone, whatever they are asked for: played as it is, that is noise."""
    noise = np.random.default_rng(1).bytes(40_000)
    async with fake(Response(head + noise, media_type=kind)) as server, speaking(server) as voices:
        with pytest.raises(ModelFailed, match="answers with a file instead of samples"):
            await parts(voices, "Hello.")


async def test_samples_that_are_cut_between_events_are_whole() -> None:
    sound = tone(0.5, SAMPLE_RATE_HZ)
    heard = []
    for cuts in ((), (1, 4001, 9000)):
        pieces = [sound[start:end] for start, end in itertools.pairwise((0, *cuts, len(sound)))]
        events = [
            {
                "type": "speech.audio.delta",
                "audio": base64.b64encode(piece).decode(),
                "rate_hz": SAMPLE_RATE_HZ,
            }
            for piece in pieces
        ]
        body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
        async with fake(Response(body, media_type="text/event-stream")) as server, speaking(server) as voices:
            heard.append(Speech.joined(await parts(voices, "Hello.")).pcm)
    assert len(heard[0]) > SAMPLE_RATE_HZ // 2
    assert heard[0] == heard[1]


@pytest.mark.parametrize(
    ("rate", "why"), [("0", "speaks at 0 Hz"), ("9" * 9, "speaks at 999999999 Hz"), ("²", "isn't understood")]
)
async def test_a_rate_that_cant_be_is_told_and_tried_again(rate: str, why: str) -> None:
    wrong = Response(tone(1.0, 24_000), media_type=f"audio/pcm;rate={rate}")
    async with fake(wrong) as server, speaking(server) as voices:
        with pytest.raises(ModelFailed, match=why):
            await parts(voices, "Hello.")
        await voices.start()
        assert why in (voices.server.down or "")
        server.answers = [Response(tone(1.0, 24_000), media_type="audio/pcm")]
        await until(lambda: voices.state == "ready")


async def test_an_interruption_reaches_the_server() -> None:
    gone = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield tone(0.1, 24_000)
            await asyncio.Event().wait()
        finally:
            gone.set()

    async with (
        fake(StreamingResponse(endless(), media_type="audio/pcm")) as server,
        speaking(server) as voices,
    ):
        stream = voices.stream("Hello.", voice="alloy", call_id="1", language="en")
        await anext(stream)
        assert voices.server.stats.running
        await stream.aclose()
        async with asyncio.timeout(30):
            await gone.wait()
        assert not voices.server.stats.running


async def test_a_server_that_speaks_without_end_is_left() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield tone(30.0, 24_000)
            await asyncio.sleep(0)  # uvicorn waits for nothing once nobody is there to send to

    async with (
        fake(StreamingResponse(endless(), media_type="audio/pcm")) as server,
        speaking(server) as voices,
    ):
        with pytest.raises(ModelFailed, match="doesn't come to an end"):
            await parts(voices, "Hello.")
        assert not voices.server.stats.running


async def test_voices_that_are_here_speak_meanwhile() -> None:
    class Local:
        lane = SimpleNamespace(idle=True)

        async def stream(self, text: str, **_: Any) -> AsyncIterator[Speech]:
            yield Speech(b"\1\0", (Word(text, 0, 1),))

        async def close(self) -> None: ...

    async with fake(500) as server, speaking(server, Local(), timeout_s=0.3) as voices:
        assert [part.pcm for part in await parts(voices, "Hello.")] == [b"\1\0"]


async def test_a_trial_finds_the_level() -> None:
    loud = Response(tone(1.0, 24_000), media_type="audio/pcm")
    async with fake(loud) as server, speaking(server) as voices:
        await voices.start()
        (part, *_) = await parts(voices, "Hello.")
        level = np.sqrt(np.square(np.frombuffer(part.pcm, np.int16)[1000:] / 32768).mean())
    assert voices.state == "ready"
    assert level == pytest.approx(0.1, abs=0.02)  # -20 dBFS


async def test_silence_is_no_voice() -> None:
    async with fake(Response(bytes(48_000), media_type="audio/pcm")) as server, speaking(server) as voices:
        await voices.start()
        assert "says nothing with the voice alloy" in (voices.server.down or "")
        assert voices.state == "down"
