"""One of several that are given."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from agent.slots.slot import Problem, settled
from agent.slots.words import code_of, words_of
from models.llm import spoken

_WORD = re.compile(r"[\w']+")
LIKE = 0.8  # of what a recognizer makes of "Dr. Okafor", or "haircut" of "hair cut"


def place(words: str, language: str, offered: int) -> int | None:
    """Which of so many moments, in their order, is taken: "the second one, please". None where the words say
    anything else."""
    known = words_of(language)
    said = _WORD.findall(re.sub(known.polite, " ", words.lower()))
    left = [word for word in said if not re.fullmatch(known.taking, word)]
    if len(left) != 1:
        return None
    if re.fullmatch(known.sooner, left[0]):
        return 0
    return offered - 1 if re.fullmatch(known.later, left[0]) else _named_place(left[0], language, offered)


def _named_place(words: str, language: str, offered: int) -> int | None:
    """The place, from 0 on, that an ordinal among the words names, or "the last"."""
    known = words_of(language)
    for number, ordinal in enumerate(known.ordinals[:offered]):
        if re.search(rf"\b(?:{ordinal})\b", words, re.IGNORECASE):
            return number
    return offered - 1 if re.search(rf"\b(?:{known.last})\b", words, re.IGNORECASE) else None


@dataclass(frozen=True)
class Choice:
    """One of `options`: each with the other words for it, as they are said."""

    options: Mapping[str, Sequence[str]]
    kind: ClassVar[str] = "choice"

    def read(self, words: str, *, language: str, now: datetime) -> str | Problem:
        return settled(words, language, lambda said: self._read(said, language, asked=True))

    def find(self, words: str, *, language: str, now: datetime) -> str | Problem | None:
        value = settled(words, language, lambda said: self._read(said, language, asked=False))
        if isinstance(value, Problem) and value.reason == "nothing":
            return None
        return value

    def say(self, value: str, *, language: str) -> str:
        return value

    def _read(self, words: str, language: str, *, asked: bool) -> str | Problem:
        code = code_of(language)
        said = spoken.fold(words, code)
        # "Cut and colour" is that, and neither of its parts.
        named: dict[str, int] = {}
        for option, others in self.options.items():
            for name in (option, *others):
                folded = spoken.fold(name, code)
                if re.search(rf"(?<!\w){re.escape(folded)}s?(?!\w)", said):
                    named[option] = max(named.get(option, 0), len(folded))
        if named:
            longest = [o for o, size in named.items() if not self._inside(o, size, named)]
            return longest[0] if len(longest) == 1 else Problem("several", tuple(longest))
        if asked:
            return self._by_place(words, language) or self._like(said, code) or Problem("nothing")
        return Problem("nothing")

    def _inside(self, option: str, size: int, named: Mapping[str, int]) -> bool:
        """Whether the option's name is part of another's that was named as well."""
        return any(
            other != option and named[other] > size and option.lower() in other.lower() for other in named
        )

    def _by_place(self, words: str, language: str) -> str | None:
        named = _named_place(words, language, len(self.options))
        return None if named is None else list(self.options)[named]

    def _like(self, said: str, code: str) -> str | None:
        names = {
            spoken.fold(name, code): option
            for option, others in self.options.items()
            for name in (option, *others)
        }
        parts = said.split()
        longest = max((len(name.split()) for name in names), default=1) + 1
        runs = [" ".join(parts[a:b]) for a in range(len(parts)) for b in range(a + 1, a + longest + 1)]
        near = [name for run in runs for name in difflib.get_close_matches(run, names, n=1, cutoff=LIKE)]
        options = {names[name] for name in near}
        return options.pop() if len(options) == 1 else None
