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
from models.llm.brevity import sentences

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
    """A passage, and how well it fits; `may_fit` where it can't be told whether it does."""

    passage: Passage
    fit: float
    fits: bool
    may_fit: bool


@dataclass(frozen=True)
class _Meanings:
    """Of passages and their sentences, as vectors; `of` which passage each sentence is."""

    passages: Floats
    sentences: Floats
    of: npt.NDArray[np.int64]

    def near(self, question: Floats) -> Floats:
        """How near each passage is: as a whole and by its nearest sentence, alike."""
        sentence = np.full(len(self.passages), -1, np.float32)
        np.maximum.at(sentence, self.of, self.sentences @ question)
        return np.float32(0.5) * (self.passages @ question + sentence)


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
        said = [sentences(one.text, language=self._language) for one in self.passages]
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
        if self._lane is None or not self.by_meaning:
            return self._by_words(words)
        try:
            fits = await self._lane.run(call_id, lambda: self._fits(words))
            if before and fits.max() < FITS and len(words.split()) <= FOLLOWS:
                together = await self._lane.run(call_id, lambda: self._fits(f"{before} {words}"))
                fits = np.where((fits >= FITS_ALONE) & (together >= FITS_TOGETHER), together, fits)
        except ModelError:
            return self._by_words(words)
        asks = self.asks_something(words)
        return [
            self._found(int(number), float(fits[number]), FITS, MAY_FIT if asks else FITS)
            for number in np.argsort(-fits)[:BEST]
        ]

    def asks_something(self, words: str) -> bool:
        """Whether any word tells what they are about."""
        return self._index.tells(words)

    def _fits(self, words: str) -> Floats:
        """Of each passage. On the lane's thread."""
        assert self._embedder is not None
        assert self._meanings is not None
        near = self._meanings.near(self._embedder.embed([words])[0])
        return near + WORDS * self._index.shares(words)

    def _by_words(self, words: str) -> list[Found]:
        shares = self._index.shares(words)
        return [
            self._found(number, float(shares[number]), FITS_BY_WORDS, FITS_BY_WORDS)
            for number in self._index.ranked(words)[:BEST]
        ]

    def _found(self, number: int, fit: float, fits: float, may_fit: float) -> Found:
        return Found(self.passages[number], fit, fit >= fits, may_fit <= fit < fits)


@lru_cache(maxsize=32)
def knowledge_of(pages: Pages, language: str, found: str, perhaps: str, nothing: str) -> Knowledge:
    """The same for the same pages, which every call of a persona shares. Takes a second or two for 2 MB."""
    return Knowledge(pages, language, found=found, perhaps=perhaps, nothing=nothing)
