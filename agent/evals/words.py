"""How words are compared: without case, accents and typographic signs."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_SIGNS = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "\u00a0": " ", "\u202f": " "}
)
_WORD = re.compile(r"\w+(?:'\w+)*")
# A full stop that ends no sentence.
_ABBREVIATION = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|St|No|vs|approx|Sr|Sra|Dra|Sig|Mme|M|etc|(?:[A-Za-z]\.)+[A-Za-z])\.(?=\s)"
)
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'»)\]]*\s+|\n+")
_CLAUSE_END = re.compile(r"[.!?…;:,\n]+")


def folded(text: str) -> str:
    """Lower case, no accents, plain signs, single spaces."""
    plain = unicodedata.normalize("NFKD", text.translate(_SIGNS))
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).casefold().split())


@lru_cache(maxsize=4096)
def pattern(text: str) -> re.Pattern[str]:
    """A regular expression that finds `text` as whole words in what `folded` returns. Raises re.error.

    Accents and case in it don't matter either; `tabl\\w*` finds the beginning of a word.
    """
    plain = unicodedata.normalize("NFKD", text.translate(_SIGNS))
    bare = "".join(c for c in plain if not unicodedata.combining(c))
    return re.compile(rf"(?<!\w)(?:{bare})(?!\w)", re.IGNORECASE)


def words(text: str) -> list[str]:
    return _WORD.findall(folded(text))


def sentences(text: str) -> list[str]:
    """What ends in a full stop or the like, or in a new line; without those that hold no word."""
    spared = _ABBREVIATION.sub(lambda found: found[0].replace(".", "․"), text.strip())
    return [part.strip() for part in _SENTENCE_END.split(spared) if _WORD.search(part)]


def clauses(text: str) -> list[str]:
    """The parts between punctuation, as words alone."""
    return [plain for part in _CLAUSE_END.split(text) if (plain := " ".join(words(part)))]
