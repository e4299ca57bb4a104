"""Reads a text aloud, and keeps which spoken words belong to which written ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from models.reading.addresses import Addresses
from models.reading.amounts import Amounts
from models.reading.dates import Dates
from models.reading.fractions import Fractions
from models.reading.language import Language
from models.reading.plain import plain
from models.reading.rules import alternatives
from models.reading.sizes import Sizes
from models.reading.words import Words

_TOKEN = re.compile(r"\S+")
_PARTS = re.compile(r"\s+|\S+")
_SPACES = re.compile(r"\s+")
# What espeak-ng would read aloud or take for phonemes.
_UNSPOKEN = re.compile(r"[*_`#~<>|\[\]{}\\^=+@/\ue000-\uf8ff]")
_STOPS = re.compile(r"[.!?…]")
# Before a German ordinal; and behind one, where it isn't a month.
_DETERMINER = r"(?i:am|vom|im|beim|zu[mr]|de[mnrs]|die|das|(?:dies|jed|jen|[dms]?ein|ihr|unser)e[mnrs]?)"
_COUNTED = r"[a-zäöü]|\w{0,2}$|Stock|Etage|Klasse|Reihe"
_STRAY = re.compile(r"\s+(?=[,.;:!?)\]]+(?:\s|$))")


@dataclass(frozen=True, slots=True)
class Reading:
    """Written words, and what is said for them: "12,50 €", "douze euros cinquante"."""

    written: str
    spoken: str


class Reader:
    """How one language is read aloud."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._words = Words(self._language)
        dates, amounts = Dates(self._language), Amounts(self._language)
        self._months = dates.months
        if self._language.known:
            addresses, sizes = Addresses(self._language), Sizes(self._language)
            words = [*dates.weekdays(), *self._words.abbreviated()]
            self._rules = [
                *addresses.web(),
                *dates.times(),
                *addresses.combinations(),
                *dates.numeric(),
                *dates.named(),
                *words,
                *sizes.in_one_word(),
                *amounts.decades(),
                *addresses.in_digits(),
                *addresses.in_letters(),
                *amounts.money(),
                *sizes.sizes(),
                *amounts.measures(),
                *Fractions(self._language).rules(),
                *amounts.numbers(),
                *self._words.others(dates.months),
            ]
            self._without_digits = [
                *addresses.web(),
                *words,
                *addresses.in_letters(),
                *self._words.others(dates.months),
            ]
        else:
            # Of which no more is known than names of currencies, units and months.
            self._rules = [*dates.numeric(), *amounts.money(), *amounts.measures()]
            self._without_digits = []
        months = rf"(?:{alternatives(self._months)})"
        counted = rf"{_DETERMINER}\s\d{{1,2}}\.(?=\s)|\d{{1,2}}\.(?=\s+(?:{months}|{_COUNTED}))"
        day = rf"|(?<![\w.,:])(?:{counted})" if self._language.code == "de" else ""
        self._false_ends = re.compile(
            rf"(?:https?://|www\.)(?:\S*$|\S*[^\s.!?…])|(?<![\w.])(?:{self._words.bound})(?!\w)"
            rf"|(?<![\w.])(?:{self._words.weekdays})(?=\s*(?:$|[^\sA-ZÀ-Þ]|[A-ZÀ-Þ]\w?$|{months}))"
            rf"|(?<![\w.])(?:{self._words.dotted})(?=\s+[a-zà-ÿ])|(?<![\w.])(?:{self._words.parted})|(?:^|\n)\s*\d{{1,2}}\.(?=\s){day}"
        )

    def read(self, text: str, before: str = "") -> list[Reading]:
        """The words of `text`, of which each is in one reading; `before` is what was said just before it."""
        words = [match.span() for match in _TOKEN.finditer(text)]
        if not words:
            return []
        said = [""] * len(words)
        joined: set[int] = set()  # words that belong to the one before
        word_at = _places(words, len(text))
        bare = plain(text, self._language.scripts)
        for begin, end, spoken in self._spans(bare.text, before):
            first, last = word_at[bare.origins[begin]], word_at[bare.origins[end - 1]]
            parts = spoken.split("|")
            if len(parts) != last - first + 1:
                parts = [spoken.replace("|", " ")]
                joined.update(range(first + 1, last + 1))
            for number, part in enumerate(parts):
                said[first + number] += part
        return list(_grouped(text, words, said, joined))

    def spoken(self, text: str, before: str = "") -> str:
        """All that is said."""
        return " ".join(reading.spoken for reading in self.read(text, before) if reading.spoken)

    @property
    def code(self) -> str:
        """What is said for a program's text, which nobody reads aloud; empty where no word is known."""
        return str(self._language.table["words"].get("code", ""))

    def binds(self, text: str) -> bool:
        """Whether the text ends with an abbreviation that belongs to what follows."""
        return self._words.binds(text)

    def is_month(self, word: str) -> bool:
        return word.strip("(\"'").rstrip(".,") in self._months

    def without_false_ends(self, text: str) -> str:
        """As long a text, with no stop in an address, or behind an abbreviation or a list's number."""
        return self._false_ends.sub(lambda match: _STOPS.sub("·", match[0]), text)

    def joins(self, text: str, at: int) -> bool:
        """Whether a form goes across the space at this place."""
        bare = plain(text, self._language.scripts)
        return any(
            bare.origins[begin] < at <= bare.origins[end - 1]
            for begin, end, _ in self._matches(bare.text, "")
        )

    def _spans(self, text: str, before: str) -> Iterator[tuple[int, int, str]]:
        """The whole text, as forms and as the words between them, in order."""
        at = 0
        for begin, end, spoken in self._matches(text, before):
            yield from _between(text, at, begin)
            # Words that are said in place of signs stand apart from the words around them.
            spaced = spoken
            if begin and text[begin - 1].isalnum() and spoken[:1].isalnum():
                spaced = f" {spaced}"
            if text[end : end + 1].isalnum() and spoken[-1:].isalnum():
                spaced += " "
            yield begin, end, spaced
            at = end
        yield from _between(text, at, len(text))

    def _matches(self, text: str, before: str) -> list[tuple[int, int, str]]:
        has_digits = any(map(str.isnumeric, text))
        taken = bytearray(len(text))
        found: list[tuple[int, int, str]] = []
        for pattern, say in self._rules if has_digits else self._without_digits:
            for match in pattern.finditer(text):
                begin, end = match.span()
                if begin == end or any(taken[begin:end]):
                    continue
                spoken = say(match, before)
                if spoken is not None:
                    found.append((begin, end, spoken))
                    taken[begin:end] = b"\x01" * (end - begin)
        return sorted(found)


def _places(words: Sequence[tuple[int, int]], length: int) -> list[int]:
    """For each character of the text the word that it is in, or is behind."""
    places = [0] * (length + 1)
    for number, (begin, _) in enumerate(words):
        end = words[number + 1][0] if number + 1 < len(words) else length + 1
        places[begin:end] = [number] * (end - begin)
    return places


def _between(text: str, begin: int, end: int) -> Iterator[tuple[int, int, str]]:
    for match in _PARTS.finditer(text, begin, end):
        yield match.start(), match.end(), _UNSPOKEN.sub(" ", match[0])


def _grouped(
    text: str, words: Sequence[tuple[int, int]], said: Sequence[str], joined: set[int]
) -> Iterator[Reading]:
    """Words without sound go with the word before them; the first ones with the word behind."""
    begin = 0
    spoken = ""
    sounded = False
    for number, part in enumerate(said):
        sounds = any(map(str.isalnum, part))
        if number and number not in joined and sounds and sounded:
            yield Reading(text[words[begin][0] : words[number - 1][1]], _tidy(spoken))
            begin, spoken = number, ""
        spoken += f" {part}"
        sounded = sounded or sounds
    yield Reading(text[words[begin][0] : words[-1][1]], _tidy(spoken))


def _tidy(spoken: str) -> str:
    return _STRAY.sub("", _SPACES.sub(" ", spoken)).strip()


@lru_cache
def reader(tag: str) -> Reader:
    """Who reads this language, such as en-GB."""
    language = Language(tag)
    return Reader(language) if tag == language.tag else reader(language.tag)
