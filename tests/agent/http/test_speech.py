"""Text to speech and uploads over a real socket; the models here are stand-ins."""

from __future__ import annotations

import asyncio
import io
import wave

import httpx2
import numpy as np
import pytest

from agent.http.admission import TextAdmission
from agent.http.app import create_app
from agent.http.speech import STT_BODY_BYTES, speech_router
from config.settings import Settings, TextSettings
from models.lanes import Priority
from models.pool import ModelPool
from models.question import question
from models.speech import wav
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeModels, ToneVoices
from tests.waiting import until

TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)).astype(np.int16).tobytes()


@pytest.fixture
def voices() -> ToneVoices:
    return ToneVoices()


@pytest.fixture
def admission() -> TextAdmission:
    return TextAdmission(FakeCalls(), 2)


@pytest.fixture
async def client(serve: Serve, voices: ToneVoices, admission: TextAdmission) -> httpx2.AsyncClient:
    calls, models = FakeCalls(), FakeModels(voices=voices)
    router = speech_router(
        models, admission, voice="tone", language="en-GB", settings=TextSettings(max_audio_s=2)
    )
    app = create_app(
        settings=Settings(),
        calls=calls,
        models=models,
        routers=[router],
        body_bytes={"/api/v1/stt": STT_BODY_BYTES},
    )
    return await serve(app)


async def test_wav_with_its_length_and_latency(client: httpx2.AsyncClient) -> None:
    response = await client.post("/api/v1/tts", json={"text": "Hello. You."})
    assert response.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(response.content)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        length_ms = file.getnframes() / 16
    assert float(response.headers["x-audio-ms"]) == length_ms == 100
    assert float(response.headers["x-latency-ms"]) >= 0  # a fake voice takes no time


async def test_streamed_samples_come_in_the_order_asked_for(
    client: httpx2.AsyncClient, voices: ToneVoices
) -> None:
    text = {"text": "Hello there. How are you?"}
    little = await client.post("/api/v1/tts", json=text | {"format": "pcm"})
    big = await client.post("/api/v1/tts", json=text, headers={"Accept": "audio/L16"})
    assert voices.said == ["Hello there.", "How are you?"] * 2
    assert little.headers["content-type"] == "audio/pcm;rate=16000;channels=1"
    assert big.headers["content-type"] == "audio/L16;rate=16000;channels=1"
    assert np.array_equal(np.frombuffer(little.content, "<i2"), np.frombuffer(big.content, ">i2"))
    assert "x-latency-ms" in big.headers


async def test_while_the_models_load_it_says_so(serve: Serve, admission: TextAdmission) -> None:
    models = ModelPool(Settings(), voices=["tone"], languages=["en"])
    router = speech_router(models, admission, voice="tone", language="en-GB", settings=TextSettings())
    app = create_app(settings=Settings(), calls=FakeCalls(), models=FakeModels(), routers=[router])
    client = await serve(app)
    answers = [
        await client.post("/api/v1/tts", json={"text": "Hello."}),
        await client.post("/api/v1/stt", content=wav(question())),
    ]
    for answer in answers:
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.json()["detail"] == "The models aren't loaded. GET /health says more."


async def test_the_persona_s_voice_reads_as_the_persona_and_another_in_its_own_language(
    client: httpx2.AsyncClient, voices: ToneVoices
) -> None:
    for more in ({}, {"voice": "tone"}, {"voice": "ff_siwis"}):
        await client.post("/api/v1/tts", json={"text": "12/25"} | more)
    assert voices.languages == ["en-GB", "en-GB", None]


async def test_a_voice_that_isnt_there(client: httpx2.AsyncClient) -> None:
    response = await client.post("/api/v1/tts", json={"text": "Hi", "voice": "nobody"})
    assert response.status_code == 422
    assert "nobody isn't loaded" in response.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 422, "body is empty"),
        (b"not a recording", 415, "Send WAV"),
        (b"#EXTM3U\nfile:///etc/passwd", 415, "Send WAV"),
        (b"RIFF\x00\x00\x00\x00WAVEjunk", 422, "decoded"),
        (b"OggS" + bytes(100), 422, "decoded"),
        (wav(TONE * 3), 422, "longer than 2 s"),
    ],
)
async def test_uploads_that_are_refused(
    client: httpx2.AsyncClient, body: bytes, status: int, words: str
) -> None:
    response = await client.post("/api/v1/stt", content=body)
    assert response.status_code == status
    assert words in response.json()["detail"]


async def test_an_upload_for_which_there_is_no_place_is_refused_before_its_body_comes(
    client: httpx2.AsyncClient,
) -> None:
    port = client.base_url.port
    head = b"POST /api/v1/stt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\nRIFF"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    refused = None
    async with asyncio.timeout(5):
        while refused is None or refused.status_code != 503:  # once the first has its place
            refused = await client.post("/api/v1/stt", content=wav(TONE))
            second, other = await asyncio.open_connection("127.0.0.1", port)
            other.write(head)
            answer = await second.readline()
            other.close()
    assert answer == b"HTTP/1.1 503 Service Unavailable\r\n"
    assert "uploads or long texts are at work" in refused.json()["detail"]
    assert (await client.post("/api/v1/tts", json={"text": "Two words."})).status_code == 200
    writer.close()
    del reader


async def test_a_long_text_is_spoken_in_pieces_behind_everybody_else(
    client: httpx2.AsyncClient, voices: ToneVoices
) -> None:
    long = " ".join(["word"] * 399)
    assert (await client.post("/api/v1/tts", json={"text": long})).status_code == 200
    assert " ".join(voices.said) == long
    assert max(map(len, voices.said)) <= 200
    assert set(voices.priorities) == {Priority.BULK}
    voices.priorities.clear()
    await client.post("/api/v1/tts", json={"text": "Two words."})
    assert voices.priorities == [Priority.TEXT]


async def test_who_doesnt_read_holds_no_place(
    client: httpx2.AsyncClient, voices: ToneVoices, admission: TextAdmission
) -> None:
    voices.bytes_each = 100_000
    text = " ".join(["word"] * 399)
    request = client.build_request("POST", "/api/v1/tts", json={"text": text, "format": "pcm"})
    response = await client.send(request, stream=True)
    await until(lambda: len(" ".join(voices.said)) == len(text) and admission.at_work == 0)
    await response.aclose()


async def test_who_leaves_isnt_worked_for(
    client: httpx2.AsyncClient, voices: ToneVoices, admission: TextAdmission
) -> None:
    voices.pause_s = 0.05
    asking = asyncio.create_task(client.post("/api/v1/tts", json={"text": " ".join(["word"] * 399)}))
    await until(lambda: len(voices.said) == 2)
    asking.cancel()
    await until(lambda: admission.at_work == 0)
    assert len(voices.said) < 6
