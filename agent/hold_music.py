"""What a caller who is held hears."""

from __future__ import annotations

import wave
from functools import cache
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from config.errors import ConfigError
from transports.playout import SAMPLE_RATE_HZ

_LEVEL = 2600.0  # RMS of s16: as loud as a quiet speaker
_BEAT_S = 0.6
_NOTE_S = 2.4
_OVERTONES = ((1, 1.0), (2, 0.35), (3, 0.12))
# Four bars of eight notes, up and down; MIDI numbers, all within a telephone's 300 to 3,400 Hz.
_BARS = (
    (64, 67, 71, 76, 79, 76, 71, 67),
    (64, 69, 72, 76, 81, 76, 72, 69),
    (65, 69, 72, 77, 81, 77, 72, 69),
    (67, 71, 74, 77, 79, 77, 74, 71),
)

Samples = NDArray[np.float64]


@cache
def hold_music(setting: str) -> bytes:
    """By `call.hold_music`: s16le mono at 16 kHz, to be played again and again; empty for none.

    Raises ConfigError.
    """
    if setting == "none":
        return b""
    return generated() if setting == "generated" else _of_file(Path(setting).expanduser())


def generated() -> bytes:
    """A slow run of plucked notes, which ends as it begins."""
    notes = [note for bar in _BARS for note in bar]
    beat, length = round(_BEAT_S * SAMPLE_RATE_HZ), round(_NOTE_S * SAMPLE_RATE_HZ)
    music = np.zeros(beat * len(notes))
    for place, note in enumerate(notes):
        at = (place * beat + np.arange(length)) % len(music)  # what rings on does so into the beginning
        music[at] += _plucked(note, length)
    pcm: bytes = (music * (_LEVEL / np.sqrt(np.mean(music**2)))).astype(np.int16).tobytes()
    return pcm


def tone(hz: float, seconds: float) -> bytes:
    """As loud as the music, with soft ends: s16le mono at 16 kHz."""
    at = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    ends = np.minimum(1.0, np.minimum(at, seconds - at) / 0.01)
    pcm: bytes = (_LEVEL * 2**0.5 * np.sin(2 * np.pi * hz * at) * ends).astype(np.int16).tobytes()
    return pcm


def _plucked(note: int, length: int) -> Samples:
    at = np.arange(length) / SAMPLE_RATE_HZ
    pitch_hz = 440.0 * 2 ** ((note - 69) / 12)
    sound = sum(part * np.sin(2 * np.pi * pitch_hz * nth * at) for nth, part in _OVERTONES)
    swell, ring = np.minimum(1.0, at / 0.02), np.exp(-1.8 * at)
    fade = np.minimum(1.0, (_NOTE_S - at) / 0.1)
    return np.asarray(sound * swell * ring * fade)


def _of_file(path: Path) -> bytes:
    try:
        with wave.open(str(path)) as file:
            channels, width, rate_hz, frames = file.getparams()[:4]
            pcm = file.readframes(frames)
    except (OSError, wave.Error, EOFError) as error:
        raise ConfigError(f"call.hold_music is {path}, which can't be read: {error}.") from None
    if width != 2 or not pcm:
        raise ConfigError(f"call.hold_music is {path}; it must be a WAV file of 16 bit PCM with sound in it.")
    mono = np.frombuffer(pcm, np.int16).reshape(-1, channels).mean(axis=1).astype(np.int16)
    resampled = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ) if rate_hz != SAMPLE_RATE_HZ else mono
    return np.asarray(resampled, np.int16).tobytes()
