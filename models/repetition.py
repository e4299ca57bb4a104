"""A decoder that has lost its way says one phrase again and again."""

from __future__ import annotations

import re
import unicodedata

MOST_REPEATED = 5
_WORD = re.compile(r"[\w\u0900-\u0963\u0966-\u0dff]+")  # the vowels of India's scripts are marks


def plain(text: str) -> str:
    """The words alone: lower case, without accents and marks."""
    letters = unicodedata.normalize("NFKD", text.lower())
    return " ".join(
        _WORD.findall("".join(c for c in letters if _WORD.match(c) or not unicodedata.combining(c)))
    )


def _period(words: list[str]) -> int:
    """The length of the shortest phrase that `words` repeats, its last copy perhaps cut short."""
    for period in range(1, len(words) // 2 + 1):
        if all(word == words[i % period] for i, word in enumerate(words)):
            return period
    return len(words)


def repeats(text: str) -> bool:
    """Whether the text is one phrase said again and again. Callers do that too, but rarely."""
    words = plain(text).split()
    return _period(words) < len(words)


def once_only(text: str) -> str:
    """The text, in which a phrase at the end that is repeated more than a caller would stands once."""
    found = list(_WORD.finditer(text))
    words = [plain(word[0]) for word in found]
    for period in range(1, len(words) // MOST_REPEATED + 1):
        start = len(words) - 1
        while start > 0 and (
            start + period > len(words) - 1 or words[start - 1] == words[start - 1 + period]
        ):
            start -= 1
        if len(words) - start >= MOST_REPEATED * period:
            end = found[start + period - 1].end()
            mark = re.match(r"[.?!…]*", text[end:])
            return text[:end] + (mark[0] if mark else "")
    return text
