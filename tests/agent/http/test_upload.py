"""Uploads: what people's machines record, what is damaged, and what means harm."""

from __future__ import annotations

import asyncio
import io
import os
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import av
import numpy as np
import pytest

from agent.http import decoder, upload
from agent.http.upload import UnknownFormat, Upload, UploadError, decode
from models.speech import wav

TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)).astype(np.int16).tobytes()


async def sent(body: bytes, longest_s: int = 10) -> Upload:
    """As it is decoded when it arrives in pieces."""

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 65_536):
            yield body[at : at + 65_536]

    return await decode(pieces(), longest_s)


def encoded(
    container: str,
    codec: str,
    *,
    seconds: int = 1,
    rate: int = 48_000,
    options: dict[str, str] | None = None,
) -> bytes:
    """So many seconds of the tone, as PyAV writes them."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options or {}) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        wave = 8000 * np.sin(2 * np.pi * 440 * np.arange(rate * seconds) / rate)
        resampler = av.AudioResampler(
            format=stream.format.name, layout="mono", rate=rate, frame_size=stream.frame_size or 1024
        )
        frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = rate
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    return file.getvalue()


def pitch_hz(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, np.int16)
    return float(np.abs(np.fft.rfft(samples)).argmax()) * 16_000 / len(samples)


async def test_wav_comes_back_as_it_was() -> None:
    assert await sent(wav(TONE)) == Upload(TONE, None)


KINDS = {
    "Ogg Opus": ("ogg", "libopus", {}),
    "Firefox's WebM": ("webm", "libopus", {}),
    "an iPhone's m4a": ("ipod", "aac", {}),
    "Safari's MP4": ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}),
    "MP3": ("mp3", "libmp3lame", {}),
    "MP3 without tags": ("mp3", "libmp3lame", {"id3v2_version": "0", "write_xing": "0"}),
    "AAC": ("adts", "aac", {}),
    "FLAC": ("flac", "flac", {}),
    "AIFF": ("aiff", "pcm_s16be", {}),
    "CAF": ("caf", "pcm_s16le", {}),
    "WAV of a telephone": ("wav", "pcm_mulaw", {}),
}


@pytest.mark.parametrize(("container", "codec", "options"), KINDS.values(), ids=KINDS.keys())
async def test_what_people_record_is_taken(container: str, codec: str, options: dict[str, str]) -> None:
    heard = await sent(encoded(container, codec, options=options))
    assert heard.missing is None
    assert abs(len(heard.pcm) // 2 - 16_000) < 2000  # codecs add a little at either end
    assert abs(pitch_hz(heard.pcm) - 440) < 5


async def test_what_is_too_long_is_refused_before_it_is_all_decoded() -> None:
    with pytest.raises(UploadError, match=r"longer than 1 s \(text\.max_audio_s\)"):
        await sent(wav(TONE * 60), 1)


@pytest.mark.parametrize("body", [b"not a recording", b"#EXTM3U\nfile:///etc/passwd", b"\xff"])
async def test_what_is_no_recording_is_told_by_its_first_bytes(body: bytes) -> None:
    with pytest.raises(UnknownFormat, match=r"^Send WAV, FLAC, .* or AMR\.$"):
        await sent(body)


async def test_of_a_damaged_recording_the_good_part_is_heard() -> None:
    whole = encoded("ogg", "libopus", seconds=4)
    middle = len(whole) // 2
    heard = await sent(whole[:middle] + bytes(300) + whole[middle + 300 :])
    assert 2 < len(heard.pcm) / 32_000 < 4
    cut = await sent(whole[: middle + 10])
    assert 1.5 < len(cut.pcm) / 32_000 < 2.5


async def test_what_is_missing_is_said() -> None:
    half = wav(TONE * 4)[: 44 + 2 * len(TONE)]
    heard = await sent(half)
    assert heard == Upload(TONE * 2, "Only 2.0 s of 4.0 s could be read.")
    damaged = bytearray(encoded("ipod", "aac", seconds=4))
    damaged[len(damaged) // 2 : len(damaged) // 2 + 3000] = bytes(range(250)) * 12
    heard = await sent(bytes(damaged))
    assert "damaged parts were left out" in (heard.missing or "")
    assert 3 < len(heard.pcm) / 32_000 < 4


def matroska(rate_hz: float, channels: int = 1, seconds: int = 1) -> bytes:
    """40 kB that say of themselves how much they are to be made into."""
    body = encoded("matroska", "pcm_s16le", rate=16_000, seconds=seconds)
    assert body.count(b"\xb5\x88" + struct.pack(">d", 16_000)) == 1
    body = body.replace(b"\xb5\x88" + struct.pack(">d", 16_000), b"\xb5\x88" + struct.pack(">d", rate_hz))
    assert body.count(b"\x9f\x81\x01") == 1
    return body.replace(b"\x9f\x81\x01", b"\x9f\x81" + bytes([channels]))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (matroska(1), "has 1 samples a second; 4000 to 192000 are taken"),
        (matroska(100_000_000), "has 100000000 samples a second"),
        (matroska(16_000, 200), "has 200 channels; 1 to 8 are taken"),
        (b"RIFF\x00\x00\x00\x00WAVEjunk", "decoded"),
        (b"OggS" + bytes(100), "decoded"),
        (b"\x00\x00\x00\x20ftypisom" + bytes(1000), "decoded"),
    ],
    ids=["1 Hz", "100 MHz", "200 channels", "WAV", "Ogg", "MP4"],
)
async def test_what_means_harm_is_refused_before_anything_is_made_of_it(body: bytes, why: str) -> None:
    with pytest.raises(UploadError, match=why):
        await sent(body, 3600)


@pytest.mark.parametrize(
    "harm",
    [
        "os.kill(os.getpid(), 11)",
        "bytearray(1 << 33)",
        "time.sleep(60)",
        "while True: os.write(1, b'x' * 65536)",
    ],
    ids=["crash", "memory", "time", "flood"],
)
async def test_a_decoder_that_is_taken_over_harms_nobody(
    harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "decoder.py"
    limits = "resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))"
    script.write_text(f"import os, resource, time\n{limits}\n{harm}\n")
    monkeypatch.setattr(decoder, "__file__", str(script))
    monkeypatch.setattr(upload, "DECODE_S", 1.0)
    with pytest.raises(UploadError, match="takes more than it may, or breaks the decoder"):
        await asyncio.wait_for(sent(bytes(1_000_000), 1), 10)


async def test_memory_that_a_file_asks_for_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "_MEMORY_BYTES", 140 * 1024 * 1024)
    with pytest.raises(UploadError, match="more"):
        await sent(wav(TONE * 700), 1)


async def test_who_leaves_in_the_middle_leaves_no_process() -> None:
    async def leaving() -> AsyncIterator[bytes]:
        yield wav(TONE)
        raise ConnectionResetError

    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text()  # noqa: ASYNC240
    with pytest.raises(ConnectionResetError):
        await decode(leaving(), 10)
    assert children.read_text() == before  # noqa: ASYNC240
