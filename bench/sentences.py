"""Sentences that are said in one go, with the end of every word, and a pause put between two of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from faster_whisper import WhisperModel
from numpy.typing import NDArray

Audio = NDArray[np.float32]

RATE_HZ = 8000
FRAME_SAMPLES = 80  # 10 ms
QUIET_DB = -30.0  # under the voice's own level, as where metrics looks for speech packets
NEAR_S = 0.06  # a word ends at the quietest place so near to where the recognizer has it
FADE_SAMPLES = 40
SENTENCE_GAP_S = 0.1


class Word(NamedTuple):
    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Sentence:
    """8 kHz, in the telephone band."""

    audio: Audio
    words: tuple[Word, ...]
    voice: str

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class Boundary:
    """Between two words: `words` are before it. Silent from `begin` to `end`, cut at `at`; all samples."""

    words: int
    begin: int
    at: int
    end: int

    @property
    def gap_s(self) -> float:
        return (self.end - self.begin) / RATE_HZ


def boundaries(sentence: Sentence) -> list[Boundary]:
    """Behind each word but the last, the one with the longest gap first."""
    count = len(sentence.audio) // FRAME_SAMPLES
    frames = sentence.audio[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES)
    level = np.sqrt(np.mean(np.square(frames), axis=1))
    quiet = level < np.percentile(level, 95) * 10 ** (QUIET_DB / 20)
    found = []
    for words, word in enumerate(sentence.words[:-1], 1):
        low, high = (int((word.end_s + side * NEAR_S) * RATE_HZ / FRAME_SAMPLES) for side in (-1, 1))
        low, high = max(1, low), min(count - 1, high)
        if low >= high:
            continue
        at = low + int(np.argmin(level[low:high]))
        begin = end = at
        while begin > 0 and quiet[begin - 1]:
            begin -= 1
        while end < count and quiet[end]:
            end += 1
        found.append((level[at], Boundary(words, *(place * FRAME_SAMPLES for place in (begin, at, end)))))
    return [one for _, one in sorted(found, key=lambda pair: (-pair[1].gap_s, pair[0]))]


def paused(sentence: Sentence, where: Boundary, pause_s: float) -> Audio:
    """The sentence with a silence of `pause_s` there, its own gap counted in."""
    before, after = sentence.audio[: where.at].copy(), sentence.audio[where.at :].copy()
    fade = np.linspace(1, 0, FADE_SAMPLES, dtype=np.float32)
    before[-FADE_SAMPLES:] *= fade[-len(before) :]
    after[:FADE_SAMPLES] *= fade[::-1][: len(after)]
    silence = np.zeros(max(0, round((pause_s - where.gap_s) * RATE_HZ)), np.float32)
    return np.concatenate([before, silence, after])


def split(words: Sequence[Word], *, fewest: int = 1) -> Iterator[Sequence[Word]]:
    """What was said in a recording, sentence by sentence; of so many words each, but for the last."""
    begin = 0
    for at, word in enumerate(words, 1):
        last = at == len(words)
        ends = word.text.endswith((".", "?", "!")) and at - begin >= fewest
        if last or (ends and words[at].start_s - word.end_s >= SENTENCE_GAP_S):
            yield words[begin:at]
            begin = at


def plain(text: str) -> tuple[str, ...]:
    """Its words, without case and punctuation."""
    return tuple(re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower()))


class Aligner:
    """Tells where words end, by Whisper's attention. Blocks: use it on a thread."""

    def __init__(self, weights: Path) -> None:
        self._model = WhisperModel(str(weights), device="cpu", compute_type="int8", cpu_threads=1)

    def words(self, audio: Audio, language: str | None = None) -> tuple[str, list[Word]]:
        """Of s16-scaled `audio` at 16 kHz: the language, given or heard, and the words."""
        parts, about = self._model.transcribe(
            audio / 32768, language=language, word_timestamps=True, condition_on_previous_text=False
        )
        pieces = (Word(one.word, one.start, one.end) for part in parts for one in part.words or ())
        return about.language, together(pieces)


def together(pieces: Iterable[Word]) -> list[Word]:
    """Words of which Whisper's are pieces: it parts "p.m."."""
    words: list[Word] = []
    for piece in pieces:
        if words and not piece.text.startswith(" "):
            words[-1] = Word(words[-1].text + piece.text, words[-1].start_s, piece.end_s)
        else:
            words.append(piece._replace(text=piece.text.strip()))
    return words
