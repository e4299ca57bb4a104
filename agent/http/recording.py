"""An uploaded recording as PCM, and where in it someone speaks."""

from __future__ import annotations

import io
from collections.abc import Sequence

import av
import av.error

SAMPLE_RATE_HZ = 16_000
CHUNK_MS = 32  # what one probability of the voice activity model stands for

_VOICED = 0.5
_UNVOICED = 0.35
_GAP_MS = 480  # a pause this long ends a segment
_PAD_MS = 160
_MIN_MS = 96
_MAX_MS = 14_000  # fits the recognizer's 15 s window


class RecordingError(Exception):
    """The recording can't be used; the message says why."""


def decode(body: bytes, max_s: float) -> bytes:
    """Decode WAV, Ogg, WebM or FLAC. Returns s16le mono PCM at 16 kHz. Raises RecordingError.

    The container is told by its first bytes and never guessed by the library, whose probing also
    finds playlists that name other files.
    """
    container = _container(body)
    if container is None:
        raise RecordingError("Send WAV, Ogg (Opus or Vorbis), WebM or FLAC.")
    pcm = bytearray()
    limit = int(max_s * SAMPLE_RATE_HZ) * 2
    try:
        with av.open(io.BytesIO(body), mode="r", format=container) as recording:
            if not recording.streams.audio:
                raise RecordingError("There is no sound in this recording.")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
            for frame in recording.decode(audio=0):
                for resampled in resampler.resample(frame):
                    pcm += bytes(resampled.planes[0])[: resampled.samples * 2]
                if len(pcm) > limit:
                    raise RecordingError(f"The recording is longer than {max_s:.0f} s (text.max_audio_s).")
            for resampled in resampler.resample(None):
                pcm += bytes(resampled.planes[0])[: resampled.samples * 2]
    except (av.error.FFmpegError, ValueError) as error:
        raise RecordingError("The recording can't be decoded. Is the file whole?") from error
    if not pcm:
        raise RecordingError("There is no sound in this recording.")
    return bytes(pcm[:limit])


def _container(body: bytes) -> str | None:
    if body[:4] == b"RIFF" and body[8:12] == b"WAVE":
        return "wav"
    magic = {b"OggS": "ogg", b"fLaC": "flac", b"\x1a\x45\xdf\xa3": "matroska"}
    return magic.get(body[:4])


def spoken_ms(probabilities: Sequence[float]) -> list[tuple[int, int]]:
    """Where someone speaks: start and end in milliseconds, none longer than the recognizer hears at once.

    `probabilities` are the voice activity model's, one for each 32 ms.
    """
    found: list[tuple[int, int]] = []
    start: int | None = None
    last = 0
    for index, probability in enumerate(probabilities):
        at = index * CHUNK_MS
        if probability >= (_VOICED if start is None else _UNVOICED):
            start = at if start is None else start
            last = at + CHUNK_MS
        if start is not None and (at + CHUNK_MS - last >= _GAP_MS or last - start >= _MAX_MS - 2 * _PAD_MS):
            found.append((start, last))
            start = None
    if start is not None:
        found.append((start, last))
    end = len(probabilities) * CHUNK_MS
    long_enough = [(start, stop) for start, stop in found if stop - start >= _MIN_MS]
    return [(max(0, start - _PAD_MS), min(end, stop + _PAD_MS)) for start, stop in long_enough]
