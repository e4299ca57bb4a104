"""What of a persona's pages answers a question, by its words: SQLite's full-text search over their passages.

In memory, since all that pages may hold is indexed in a second or two: so it is never stale.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import Stemmer
import yaml

from config.pages import Pages
from models.knowledge.passages import passages_of

Floats = npt.NDArray[np.float32]

LONGEST_QUESTION = 60  # words, the last ones
HEADING = 2.0  # BM25 weighs a word of a heading so much more than one below it
# Snowball's. Other languages are found by whole words.
_STEMMERS = {
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fr": "french",
    "hi": "hindi",
    "it": "italian",
    "nl": "dutch",
    "pt": "portuguese",
}


class Index:
    """The passages of one persona's pages. For one thread at a time."""

    def __init__(self, pages: Pages, language: str) -> None:
        """`language`: a BCP 47 tag."""
        code = language.partition("-")[0]
        self.passages = [passage for page in pages.pages for passage in passages_of(page, language)]
        self._idle = idle_words(code)
        self._stemmer = Stemmer.Stemmer(_STEMMERS[code]) if code in _STEMMERS else None
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.execute(
            "CREATE VIRTUAL TABLE passages USING fts5"
            "(heading, text, tokenize = 'unicode61 remove_diacritics 2')"
        )
        self._db.executemany(
            "INSERT INTO passages (rowid, heading, text) VALUES (?, ?, ?)",
            (
                (number, " ".join(self._stems(one.heading)), " ".join(self._stems(one.text)))
                for number, one in enumerate(self.passages)
            ),
        )

    def shares(self, words: str) -> Floats:
        """How much of a question is in each passage, 0 to 1: a rare word is a larger part of it."""
        shares = np.zeros(len(self.passages), np.float32)
        total = 0.0
        for term in self._terms(words):
            having = [number for (number,) in self._db.execute(_HAVING, (f'"{term}"',))]
            weight = math.log(1 + (len(self.passages) - len(having) + 0.5) / (len(having) + 0.5))
            shares[having] += weight
            total += weight
        return shares / total if total else shares

    def ranked(self, words: str) -> list[int]:
        """The passages that have any of the question's words, the best first (BM25)."""
        if not (terms := self._terms(words)):
            return []
        any_of = " OR ".join(f'"{term}"' for term in terms)
        return [number for (number,) in self._db.execute(_RANKED, (any_of, HEADING))]

    def nearest(self, words: str, sentences: Iterable[str]) -> list[str]:
        """Those that have most of the question's words first."""
        terms = set(self._terms(words))
        return sorted(sentences, key=lambda one: -len(terms.intersection(self._stems(one))))

    def tells(self, words: str) -> bool:
        """Whether any of the words says what they are about."""
        return bool(self._terms(words))

    def _terms(self, words: str) -> list[str]:
        """The words that tell what is asked for, each once."""
        said = [word for word in _words(words)[-LONGEST_QUESTION:] if word not in self._idle]
        return list(dict.fromkeys(self._stemmed(said)))

    def _stems(self, text: str) -> list[str]:
        return self._stemmed(_words(text))

    def _stemmed(self, words: Iterable[str]) -> list[str]:
        listed = list(words)
        return self._stemmer.stemWords(listed) if self._stemmer else listed


@cache
def idle_words(language: str) -> frozenset[str]:
    """A language's words that don't tell what a question is about; none where they aren't known."""
    known: Mapping[str, str] = yaml.safe_load(
        (files("models") / "data" / "idle_words.yaml").read_text(encoding="utf-8")
    )
    return frozenset(known.get(language.partition("-")[0], "").split())


_HAVING = "SELECT rowid FROM passages WHERE passages MATCH ?"
_RANKED = "SELECT rowid FROM passages WHERE passages MATCH ? ORDER BY bm25(passages, ?, 1.0) LIMIT 50"


def _words(text: str) -> list[str]:
    """In lower case, without what an apostrophe takes off."""
    return re.findall(r"\w+", re.sub(r"['’](?:s|m|d|ll|re|ve|t)\b", "", text.lower()))
