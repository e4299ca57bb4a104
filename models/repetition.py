"""A decoder that has lost its way says one phrase again and again."""

from __future__ import annotations

import re
import unicodedata


def plain(text: str) -> str:
    """The words alone: lower case, without accents and marks."""
    letters = unicodedata.normalize("NFKD", text.lower())
    return " ".join(re.findall(r"\w+", "".join(c for c in letters if not unicodedata.combining(c))))


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
    """The text, or its phrase said once if it is repeated more than a caller would."""
    words = plain(text).split()
    period = _period(words)
    if len(words) < 5 * period:
        return text
    return " ".join(text.split()[:period])
