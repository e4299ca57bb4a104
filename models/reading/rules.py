"""What a form of writing is: a pattern, and how it is said."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

Say = Callable[[re.Match[str], str], str | None]
"""Says a match, given what stands before it. None where it isn't that form after all.

"|" in what is said stands where one written word ends and the next begins, where they are said in order.
"""
Rule = tuple[re.Pattern[str], Say]

NEED_SPACE = ("A", "B", "J", "N", "s")  # units that are a code's last letter where no space is before them
SPACE = r"[ \u00a0\u202f\u2009]"
START = r"(?<![\w.,])"
DASH = r"[-–—−‑]"
# Behind a number with a full stop, which is an ordinal then and marks no item of a list.
COUNTED = r"(?:Jan|Feb|Mär|Apr|Mai|Ju[nl]|Aug|Sep|Okt|Nov|Dez|bis\b)"


def ends_sentence(text: str, at: int) -> bool:
    """Whether a sentence ends here, with the full stop of what was abbreviated."""
    rest = text[at:].lstrip(" \"'”’»)")
    return not rest or (text[at : at + 1].isspace() and rest[0].isupper())


_DECLINED = re.compile(
    r"(?<!\w)(?:am|vom|im|beim|zu[mr]|dem|den|des|bis|ab"
    r"|(?:dies|jed|jen|(?:[km]|[ds])?ein|ihr|unser)e[mn]"
    r"|(?:ab|an|auf|aus|bei|bis zu|in|mit|nach|seit|von|vor|zu) der)$"
)
_WITH_ARTICLE = re.compile(r"(?<!\w)(?:der|die|das|ins|(?:dies|jed|jen)e[rs]?)$")


def ending(preceding: str, *, alone: str) -> str:
    """A German ordinal's, behind its e, by what stands before it; `alone` where that is no article."""
    if _DECLINED.search(preceding):
        return "n"
    return "" if _WITH_ARTICLE.search(preceding) else alone


def alternatives(words: Iterable[str]) -> str:
    """A pattern for any of the words, the longest first; for none where there are none."""
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True))) or "(?!)"


def number_pattern(*, spaced: bool) -> str:
    """A number with or without grouping; `spaced` where a plain space groups digits too."""
    space = " " if spaced else ""
    marks = ("[.,'’]", rf"[{space}\u00a0\u202f\u2009]")
    grouped = "|".join(rf"\d{{1,3}}(?:{mark}\d{{3}}(?!\d))+(?:[.,]\d+)?" for mark in marks)
    crore = r"\d{1,2}(?:,\d{2})+,\d{3}(?!\d)(?:\.\d+)?"
    return rf"(?:{crore}|{grouped}|\d+(?:[.,]\d+)?)"
