"""Text to speech and uploads over a real socket; the models here are stand-ins."""

from __future__ import annotations

import io
import wave

import av
import httpx2
import numpy as np
import pytest

from agent.http.admission import TextAdmission
from agent.http.app import create_app
from agent.http.recording import RecordingError, decode
from agent.http.speech import STT_BODY_BYTES, speech_router, wav
from config.settings import Settings, TextSettings
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeModels, ToneVoices

TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)).astype(np.int16).tobytes()


@pytest.fixture
def voices() -> ToneVoices:
    return ToneVoices()


@pytest.fixture
async def client(serve: Serve, voices: ToneVoices) -> httpx2.AsyncClient:
    calls, models = FakeCalls(), FakeModels(voices=voices)
    router = speech_router(
        models, TextAdmission(calls, 2), voice="tone", language="en", settings=TextSettings(max_audio_s=2)
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


async def test_a_voice_that_isnt_there(client: httpx2.AsyncClient) -> None:
    response = await client.post("/api/v1/tts", json={"text": "Hi", "voice": "nobody"})
    assert response.status_code == 422
    assert "no voice named" in response.json()["detail"]


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


def test_wav_comes_back_as_it_was() -> None:
    assert decode(wav(TONE), 5) == TONE


def test_ogg_opus_is_decoded_to_16_khz_mono() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000)
        samples = np.repeat(np.frombuffer(TONE, np.int16), 3)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    pcm = np.frombuffer(decode(file.getvalue(), 5), np.int16)
    assert abs(len(pcm) - 16_000) < 400
    spectrum = np.abs(np.fft.rfft(pcm))
    assert abs(int(spectrum.argmax()) * 16_000 / len(pcm) - 440) < 5


def test_a_recording_that_is_too_long_is_refused_before_it_is_all_decoded() -> None:
    with pytest.raises(RecordingError, match="longer than 1 s"):
        decode(wav(TONE * 60), 1)
