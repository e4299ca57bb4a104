"""Singers, made of synthesized callers: the words of a sentence on the notes of a melody, some with a band.

Only their melody, their rhythm and the band make them differ from who speaks: that is what is to be told.
"""

from __future__ import annotations

import importlib
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.endpointing.voices import RATE_HZ, Samples, Spoken

Floats = NDArray[np.float64]
FRAME_MS = 5.0
FRAMES_A_S = 200
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9))
PORTAMENTO = 12  # frames
VIBRATO_AFTER = 40


class Voder:
    """The WORLD vocoder, of the package pyworld, which nothing else needs."""

    def __init__(self) -> None:
        try:
            self._world: Any = importlib.import_module("pyworld")
        except ImportError:
            raise SystemExit("pyworld is not installed: run `pip install pyworld`.") from None

    def sing(self, spoken: Spoken, rng: np.random.Generator) -> Samples:
        """The sentence, sung: what has a pitch is held for longer, a note or two a word."""
        pitch, envelope, noise = self._taken_apart(spoken.samples)
        held = np.repeat(np.arange(len(pitch)), _lasting(pitch > 0, rng))
        ends = np.searchsorted(held, np.array(spoken.ends) * FRAMES_A_S // RATE_HZ)
        notes = melody(len(held), ends, float(np.median(pitch[pitch > 0])), rng)
        return self._put_together(np.where(pitch[held] > 0, notes, 0.0), envelope[held], noise[held])

    def say(self, spoken: Spoken) -> Samples:
        """The sentence as it was, through the same vocoder: how that sounds isn't to be what tells them."""
        return self._put_together(*self._taken_apart(spoken.samples))

    def _taken_apart(self, samples: Samples) -> tuple[Floats, Floats, Floats]:
        sound = samples.astype(np.float64)
        raw, at = self._world.dio(sound, RATE_HZ, frame_period=FRAME_MS)
        pitch = self._world.stonemask(sound, raw, at, RATE_HZ)
        envelope = self._world.cheaptrick(sound, pitch, at, RATE_HZ)
        return pitch, envelope, self._world.d4c(sound, pitch, at, RATE_HZ)

    def _put_together(self, pitch: Floats, envelope: Floats, noise: Floats) -> Samples:
        made = self._world.synthesize(
            pitch, np.ascontiguousarray(envelope), np.ascontiguousarray(noise), RATE_HZ, FRAME_MS
        )
        return np.asarray(made / max(1e-6, float(np.abs(made).max())) * 0.7, np.float32)


def _lasting(voiced: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each frame is heard."""
    most = rng.uniform(1.1, 3.0)
    lengths = np.where(voiced, most, 1.0)
    until = np.cumsum(lengths).astype(np.int64)
    return np.diff(until, prepend=0)


def melody(frames: int, ends: NDArray[np.int64], voice_hz: float, rng: np.random.Generator) -> Floats:
    """The pitch of each frame in Hz: a walk on a scale, a note or two a word, with portamento and vibrato."""
    scale = np.array(SCALES[rng.integers(len(SCALES))])
    root = 12 * np.log2(voice_hz / 440) + rng.uniform(-2, 7)
    degree = int(rng.integers(0, len(scale)))
    semitones = np.zeros(frames)
    depth, rate = rng.choice([0.0, 1.0], p=[0.3, 0.7]) * rng.uniform(0.15, 0.6), rng.uniform(4.8, 6.5)
    begin = 0
    for end in [*ends, frames]:
        parts = 2 if end - begin > 0.5 * FRAMES_A_S and rng.random() < 0.5 else 1
        for low, high in pairwise(np.linspace(begin, end, parts + 1).astype(int)):
            degree = int(np.clip(degree + rng.integers(-2, 3), -3, len(scale) + 2))
            octave, step = divmod(degree, len(scale))
            semitones[low:high] = root + 12 * octave + scale[step]
            swing = np.arange(max(0, high - low - VIBRATO_AFTER))
            semitones[low + VIBRATO_AFTER : high] += depth * np.sin(2 * np.pi * rate * swing / FRAMES_A_S)
        begin = end
    kernel = np.hanning(PORTAMENTO)
    smooth = np.convolve(np.pad(semitones, PORTAMENTO, mode="edge"), kernel / kernel.sum(), "same")
    return np.asarray(440 * 2 ** (smooth[PORTAMENTO:-PORTAMENTO] / 12), np.float64)


def band(samples: int, rng: np.random.Generator) -> Samples:
    """Chords, a bass and a beat, as hold music has them, with its loudest at 1."""
    beat_s = rng.uniform(0.35, 0.7)
    at = np.arange(samples) / RATE_HZ
    sound = np.zeros(samples)
    root = rng.uniform(-14, -3)
    for number, begin in enumerate(np.arange(0, samples / RATE_HZ, beat_s)):
        since = at - begin
        playing = (since >= 0) & (since < 4 * beat_s)
        fading = np.exp(-since[playing] / rng.uniform(0.2, 0.9))
        degree = (0, 5, 7, 9)[int(number // 4 * 7 % 4)]
        chord = (0, 4, 7) if degree != 9 else (0, 3, 7)
        for interval in (-12, *chord) if number % 2 == 0 else chord:
            hertz = 440 * 2 ** ((root + degree + interval) / 12)
            for overtone in range(1, 5):
                tone = np.sin(2 * np.pi * hertz * overtone * since[playing])
                sound[playing] += fading * tone / overtone**1.3
        sound[playing] += 0.8 * np.exp(-since[playing] / 0.02) * rng.normal(size=int(playing.sum()))
    return np.asarray(sound / max(1e-6, float(np.abs(sound).max())), np.float32)
