"""Takes from text what nobody says: markdown, HTML, emoji, scripts that the voice can't read."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from models.reading.rules import COUNTED

# Written about numbers and units, and of categories whose other characters are pictures or modifiers.
_SIGNS = frozenset("°℃℉№^`´¨~")
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "So", "Sk", "Me"))
_COMPATIBLE = re.compile("[\ufb00-\ufb06\uff01-\uff5e\U0001d400-\U0001d7ff]")
_COMPOSED = re.compile(r"[^\W\d_][\u0300-\u036f]+")
_EMOTICON = re.compile(r"(?:(?<=\s)|^)(?:[:;=]['’]?-?[()DPpO|\\/\]\[*]|<3|\^_?\^|[xX]D)(?=[\s.,!?]|$)")
_HUSH = "\ue000"  # stands for what was taken, until it is known whether a space is needed there

Repl = int | str | Callable[[re.Match[str]], str]

_BLOCKS: tuple[tuple[re.Pattern[str], Repl], ...] = (
    (re.compile(r"^[ \t]*(?:```|~~~).*$", re.M), ""),
    (re.compile(r"^[ \t]*(?:[-*_][ \t]*){3,}$", re.M), ""),
    (re.compile(r"^[ \t]*[=]{3,}[ \t]*$", re.M), ""),
    (re.compile(r"^[ \t|]*:?-{2,}:?[-:| \t]*$", re.M), ""),
    (re.compile(r"^[ \t]*(?:>[ \t]*)+", re.M), ""),
    (re.compile(r"^[ \t]*#{1,6}[ \t]+", re.M), ""),
    (re.compile(r"^[ \t]*(?:[-*+•‣▪◦·–—][ \t]+)+(?:\[[ xX]\][ \t]+)?(?=\S)", re.M), ""),
    (re.compile(rf"^[ \t]*(\d{{1,2}})[.)][ \t]+(?=\S)(?!{COUNTED})", re.M), lambda m: f"{m[1]}, "),
    (re.compile(r"^[ \t]*\|[ \t]*|[ \t]*\|[ \t]*$", re.M), ""),
    (re.compile(r"[ \t]+\|[ \t]+"), ", "),
)
_INLINE: tuple[tuple[re.Pattern[str], Repl], ...] = (
    (re.compile(r"!?\[([^\[\]]*)\]\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)"), 1),
    (re.compile(r"\[([^\[\]]+)\]\[[^\[\]]*\]"), 1),
    (re.compile(r"\[\^?\d+\]"), ""),
    (re.compile(r"<((?:https?://|mailto:)?[^\s<>]+[.@][^\s<>]+)>"), 1),
    (re.compile(r"<br\s*/?>|</(?:p|li|div|h\d)>", re.I), "\n"),
    (re.compile(r"</?[a-zA-Z][^<>]*>|<!--.*?-->", re.S), ""),
    (re.compile(r"&(?:[a-zA-Z]{2,8}|#\d{1,6}|#x[\da-fA-F]{1,5});"), lambda m: html.unescape(m[0])),
    (re.compile(r"`+"), ""),
    (re.compile(r"~~"), ""),
    (
        re.compile(
            r"\*+(?=[^\s*\d.,;:!?)])|(?<=[^\s*\d])\*+|\*\*+|(?<![\d\s])\*(?=\d)|(?<=\d)\*(?!\d)(?=\S|$)"
        ),
        "",
    ),
    (re.compile(r"(?<![\w/@.])_+(?=\S)|(?<=\S)_+(?!\w)"), ""),
    (re.compile(r"\\(?=[^\w\s])"), ""),
)


_HUSHED: tuple[tuple[re.Pattern[str], Repl], ...] = (
    (re.compile(rf"\((?:\s*{_HUSH}\s*[,;·・、。，]?)+\)"), ""),
    (re.compile(rf"[ \t]*(?:{_HUSH}\s*)+(?=[.,;:!?…]|$)"), ""),
    (re.compile(rf"\s*(?:{_HUSH}\s*)+"), " "),
    (re.compile(r"\(\s*\)|\[\s*\]|\"\s*\"|“\s*”|«\s*»"), ""),
)
_LINE_END = re.compile(r"(?<=[\w%€$£°)\]\"”’»])[ \t]*\n\s*(?=\S)")


@dataclass(frozen=True, slots=True)
class Plain:
    """Text, and for each character of it the place in what was written that it comes from."""

    text: str
    origins: tuple[int, ...]


def plain(written: str, scripts: tuple[str, ...] = ("LATIN",)) -> Plain:
    """`written` without what isn't spoken; letters are kept of `scripts`, by their names in Unicode."""
    text, origins = written, list(range(len(written)))
    if not text.isascii():
        text, origins = _edit(text, origins, _COMPATIBLE, lambda m: unicodedata.normalize("NFKC", m[0]))
        text, origins = _edit(text, origins, _COMPOSED, lambda m: unicodedata.normalize("NFC", m[0]))
    if any(mark in text for mark in "\n|`>#-*+•.)="):
        for pattern, repl in _BLOCKS:
            text, origins = _edit(text, origins, pattern, repl)
    if any(mark in text for mark in "[<&`~*_\\"):
        for pattern, repl in _INLINE:
            text, origins = _edit(text, origins, pattern, repl)
    if not text.isascii():
        kept = "".join(each if each.isascii() else _kept(each, scripts) for each in text)
        text, origins = _hushed(kept, origins)
    text, origins = _edit(text, origins, _EMOTICON, _HUSH)
    if _HUSH in text:
        for pattern, repl in _HUSHED:
            text, origins = _edit(text, origins, pattern, repl)
    text, origins = _edit(text, origins, _LINE_END, ". ")
    return Plain(text, tuple(origins))


def _hushed(text: str, origins: list[int]) -> tuple[str, list[int]]:
    """The digit of a keycap stays, and what only joins or colours what was taken goes with it."""
    return _edit(text, origins, re.compile("\ue001+"), "")


@lru_cache(4096)
def _kept(character: str, scripts: tuple[str, ...]) -> str:
    """The character, or what stands for one that isn't spoken."""
    category = unicodedata.category(character)
    if character in _SIGNS or category == "Zs":
        return character
    if category in ("Cf", "Me") or "VARIATION SELECTOR" in unicodedata.name(character, ""):
        return "\ue001"
    if category in _INVISIBLE:
        return _HUSH
    if category[0] in "LM" and character not in "ªºµΩπ" and not _read(character, scripts):
        return _HUSH
    if category == "Nd" and not _read(character, scripts):
        return str(unicodedata.digit(character))
    return {"。": ".", "，": ",", "！": "!", "？": "?", "、": ","}.get(character, character)


def _read(character: str, scripts: tuple[str, ...]) -> bool:
    return unicodedata.name(character, "").startswith((*scripts, "MODIFIER LETTER", "COMBINING"))


def _edit(text: str, origins: list[int], pattern: re.Pattern[str], repl: Repl) -> tuple[str, list[int]]:
    """Each match replaced by a text, by what a function makes of it, or by one of its groups."""
    if not pattern.search(text):
        return text, origins
    parts: list[str] = []
    places: list[int] = []
    at = 0
    for match in pattern.finditer(text):
        parts.append(text[at : match.start()])
        places += origins[at : match.start()]
        if isinstance(repl, int):
            parts.append(match[repl])
            places += origins[match.start(repl) : match.end(repl)]
        else:
            put = repl if isinstance(repl, str) else repl(match)
            parts.append(put)
            places += [origins[min(match.start(), len(origins) - 1)]] * len(put)
        at = match.end()
    parts.append(text[at:])
    places += origins[at:]
    return "".join(parts), places
