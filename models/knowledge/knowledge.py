"""What a persona knows by its pages, and what of it the language model is told before a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from config.pages import Pages
from models.errors import ModelError
from models.knowledge.embedder import LANGUAGES, Embedder
from models.knowledge.index import Floats, Index
from models.knowledge.passages import Passage
from models.knowledge.vectors import Vectors
from models.lanes import Lane

BEST = 3
# What bench.knowledge fitted on questions that pages answer and others that none does.
WORDS = 0.15  # how much the words that both have count beside the meaning
FITS = 0.40  # from so much on a passage answers
MAY_FIT = 0.28  # and from so much on perhaps: a model that reads it can tell
FITS_BY_WORDS = 0.46  # where words alone tell
FOLLOWS = 10  # so few words may go on with the turn before
FITS_ALONE, FITS_TOGETHER = 0.25, 0.45  # then by themselves, and with that


@dataclass(frozen=True)
class Found:
    """A passage, how well it fits, and its sentences, the nearest first; `may_fit` where it can't be told
    whether it does."""

    passage: Passage
    sentences: Sequence[str]
    fit: float
    fits: bool
    may_fit: bool


@dataclass(frozen=True)
class _Meanings:
    """Of passages and their sentences, as vectors; `of` which passage each sentence is."""

    passages: Floats
    sentences: Floats
    of: npt.NDArray[np.int64]

    def near(self, question: Floats) -> tuple[Floats, Floats]:
        """How near each passage is, as a whole and by its nearest sentence, alike; and each sentence."""
        sentences = self.sentences @ question
        nearest = np.full(len(self.passages), -1, np.float32)
        np.maximum.at(nearest, self.of, sentences)
        return np.float32(0.5) * (self.passages @ question + nearest), sentences

    def nearest(self, passage: Passage, number: int, sentences: Floats) -> list[str]:
        """A passage's sentences, the nearest first."""
        order = np.argsort(-sentences[self.of == number], kind="stable")
        return [passage.sentences[nth] for nth in order]


class Knowledge:
    """One persona's. It finds passages by their words from the start, and by meaning once it was told of a
    model (`learn`) for its language.

    `found` is what the model is told before passages that fit, `perhaps` before others, and `nothing` in the
    place of any.
    """

    def __init__(self, pages: Pages, language: str, *, found: str, perhaps: str, nothing: str) -> None:
        self._index = Index(pages, language)
        self._language = language.partition("-")[0]
        self.found, self.perhaps, self.nothing = found, perhaps, nothing
        self._lane: Lane | None = None
        self._embedder: Embedder | None = None
        self._meanings: _Meanings | None = None

    @property
    def passages(self) -> Sequence[Passage]:
        return self._index.passages

    @property
    def by_meaning(self) -> bool:
        return self._meanings is not None

    def learns_from(self, languages: Sequence[str] = LANGUAGES) -> bool:
        return self._language in languages

    def learn(self, embedder: Embedder, lane: Lane, kept: Path) -> None:
        """Find by meaning from now on. Some 20 ms for each passage that isn't `kept` from an earlier start.

        Blocks: call it off the event loop.
        """
        said = [one.sentences for one in self.passages]
        with Vectors(kept) as vectors:
            self._meanings = _Meanings(
                vectors.of([one.line for one in self.passages], embedder),
                vectors.of([one for passage in said for one in passage], embedder),
                np.repeat(np.arange(len(said)), [len(passage) for passage in said]),
            )
        self._embedder, self._lane = embedder, lane

    async def search(self, words: str, *, before: str = "", call_id: str = "") -> list[Found]:
        """The three passages that fit best, the best first; of pages without a word of it, none.

        Where none fits, the words may go on with what the caller said `before`: "And on Sundays?"
        """
        if not self.passages:
            return []
        if self._lane is None or self._meanings is None:
            return self._by_words(words)
        try:
            fits, near = await self._lane.run(call_id, lambda: self._fits(words))
            if before and fits.max() < FITS and len(words.split()) <= FOLLOWS:
                together, _ = await self._lane.run(call_id, lambda: self._fits(f"{before} {words}"))
                fits = np.where((fits >= FITS_ALONE) & (together >= FITS_TOGETHER), together, fits)
        except ModelError:
            return self._by_words(words)
        may_fit = MAY_FIT if self.asks_something(words) else FITS
        found = []
        for number in map(int, np.argsort(-fits)[:BEST]):
            passage, fit = self.passages[number], float(fits[number])
            nearest = self._meanings.nearest(passage, number, near)
            found.append(Found(passage, nearest, fit, fit >= FITS, may_fit <= fit < FITS))
        return found

    def asks_something(self, words: str) -> bool:
        """Whether any word tells what they are about."""
        return self._index.tells(words)

    def _fits(self, words: str) -> tuple[Floats, Floats]:
        """How well each passage fits, and how near each sentence is. On the lane's thread."""
        assert self._embedder is not None
        assert self._meanings is not None
        near, sentences = self._meanings.near(self._embedder.embed([words])[0])
        return near + WORDS * self._index.shares(words), sentences

    def _by_words(self, words: str) -> list[Found]:
        shares = self._index.shares(words)
        found = []
        for number in self._index.ranked(words)[:BEST]:
            passage, fit = self.passages[number], float(shares[number])
            nearest = self._index.nearest(words, passage.sentences)
            found.append(Found(passage, nearest, fit, fit >= FITS_BY_WORDS, may_fit=False))
        return found


@lru_cache(maxsize=32)
def knowledge_of(pages: Pages, language: str, found: str, perhaps: str, nothing: str) -> Knowledge:
    """The same for the same pages, which every call of a persona shares. Takes a second or two for 2 MB."""
    return Knowledge(pages, language, found=found, perhaps=perhaps, nothing=nothing)
