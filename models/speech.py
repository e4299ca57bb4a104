"""What every voice makes: sound at one rate and one level, with the place of every word in it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import soxr

from models.reading.reader import Reading, reader
from models.word_times import Timed, reading_ends

SAMPLE_RATE_HZ = 16_000
LONGEST_CHARACTERS = 2000
MOST_FRAMES = 160  # that are made into sound at one go
_LEVEL = 0.1  # -20 dBFS, the level of active speech on telephone lines
AUDIBLE = 0.004  # of full scale: -48 dBFS
_LEAD_S = 0.005
_TRAIL_S = 0.2
_FADE_SAMPLES = SAMPLE_RATE_HZ * 3 // 1000
_BYTES_PER_SAMPLE = 2

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it is written, with the samples at 16 kHz between which it is heard."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Speech:
    """s16le mono PCM at 16 kHz, and the words that end in it.

    Words follow each other without gaps; silence after the last is its own. A part of a speech may end
    within a word, which is then the next part's.
    """

    pcm: bytes
    words: tuple[Word, ...]
    network_ms: float = 0.0  # that a server's first part took besides its work, where it tells that

    @staticmethod
    def joined(parts: Iterable[Speech]) -> Speech:
        """The parts as one."""
        pcm, words = bytearray(), list[Word]()
        for part in parts:
            offset = len(pcm) // _BYTES_PER_SAMPLE
            for word in part.words:
                start = words[-1].end if words else 0
                words.append(Word(word.text, start, word.end + offset))
            pcm += part.pcm
        return Speech(bytes(pcm), tuple(words))


class Voice(Protocol):
    """One voice of an engine. Not thread-safe; `Voices` runs it on a lane."""

    name: str
    engine: str
    device: str
    precision: str
    weights: Path

    def synthesize(self, text: str, *, language: str | None = None, before: str = "") -> Speech:
        """Speak `text` (at most 2,000 characters), on the calling thread.

        It is read as `language` is (en-GB), by default as the voice's own; `before` is what was just said.
        """

    def parts(self, text: str, *, language: str | None = None, before: str = "") -> Iterator[Speech]:
        """The same part by part. The first is short, so that it is there soon."""


def wav(pcm: bytes) -> bytes:
    """A WAV file around s16le mono PCM at 16 kHz."""
    rate = SAMPLE_RATE_HZ
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + len(pcm), b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16, b"data", len(pcm)),
    )
    return header + pcm


def readings(text: str, own: str, language: str | None = None, before: str = "") -> list[Reading]:
    """What a voice whose own language is `own` says of `text`.

    Raises ValueError if that is longer than 2,000 characters.
    """
    if len(text) > LONGEST_CHARACTERS:
        raise ValueError(f"{len(text)} characters to speak; {LONGEST_CHARACTERS} is the most.")
    # "en" leaves it to the voice whether 3/4 is in March or in April.
    same = language is None or language in (own, own.partition("-")[0])
    return reader(own if same else str(language)).read(text, before)


def spoken(read: Iterable[Reading]) -> str:
    """All that is said for it."""
    return " ".join(reading.spoken for reading in read)


def spans(count: int, first: int, least: int) -> Iterator[tuple[int, int]]:
    """The pieces in which so many frames are made into sound: `first` of them, then ever more at a time."""
    at, size = 0, first
    while at < count:
        until = count if count - at - size < least else at + size
        yield at, until
        at, size = until, min(2 * size, MOST_FRAMES)


def gain(sound: Floats) -> float:
    """What makes every voice equally loud, from a sentence of it. To scale each piece to its peak, as Piper
    does, makes short ones louder than long ones."""
    power = np.square(sound, dtype=np.float64)
    active = power[power > power.max(initial=0) / 1000]
    return float(_LEVEL / np.sqrt(active.mean())) if len(active) else 1.0


def in_parts(
    read: Sequence[Reading],
    phonemes: Sequence[Timed],
    phonemes_in: Callable[[str], int],
    pieces: Iterable[tuple[Floats, bool]],
    rate_hz: int,
) -> Iterator[Speech]:
    """The speech of what is `read`, and where each written word of it ends: see `reading_ends`.

    The phonemes' durations are samples at the rate of the pieces; with each of these comes whether it is the
    last.
    """
    words, ends = [reading.written for reading in read], reading_ends(read, phonemes, phonemes_in)
    resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
    began: int | None = None
    told = said = 0  # words, and samples at 16 kHz
    for at, sound, last in _trimmed(pieces, rate_hz):
        began = at if began is None else began
        pcm = _to_pcm(resampler.resample_chunk(sound, last=last), begins=said == 0, ends=last)
        places = [round((end - began) * SAMPLE_RATE_HZ / rate_hz) - said for end in ends[told:]]
        if last:
            places = [*(min(place, len(pcm)) for place in places[:-1]), *(len(pcm) for _ in places[-1:])]
        places = [max(0, place) for place in places if place <= len(pcm)]
        starts = [0, *places[:-1]]
        yield Speech(pcm.tobytes(), tuple(map(Word, words[told:], starts, places)))
        told, said = told + len(places), said + len(pcm)


def _trimmed(pieces: Iterable[tuple[Floats, bool]], rate_hz: int) -> Iterator[tuple[int, Floats, bool]]:
    """(place, sound, whether it is the last) without the silence before, and most of that behind."""
    at, begun = 0, False
    for sound, last in pieces:
        loud = np.flatnonzero(np.abs(sound) > AUDIBLE)
        first = max(0, int(loud[0]) - round(_LEAD_S * rate_hz)) if len(loud) and not begun else 0
        end = (int(loud[-1]) if len(loud) else 0) + round(_TRAIL_S * rate_hz) if last else len(sound)
        begun = begun or len(loud) > 0
        if begun:
            yield at + first, sound[first:end], last
        at += len(sound)


def _to_pcm(sound: Floats, *, begins: bool, ends: bool) -> npt.NDArray[np.int16]:
    fade = np.linspace(0.0, 1.0, min(_FADE_SAMPLES, len(sound)), dtype=np.float32)
    if begins:
        sound[: len(fade)] *= fade
    if ends:
        sound[len(sound) - len(fade) :] *= fade[::-1]
    return (np.clip(sound, -1.0, 1.0) * 32767).astype(np.int16)
