"""What a caller's words give away about the turn: read from the closed classes in `lexicon`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

from agent.turn.lexicon import Lexicon
from models.llm import spoken
from models.llm.spoken_words import LANGUAGES

# Devanagari's vowel signs are no letters to `re`.
_LETTER = r"(?:[^\W_]|[\u0900-\u0903\u093a-\u094f])"
_WORD = re.compile(rf"{_LETTER}+(?:['’]{_LETTER}+)*")
DICTATED = 4  # digits, or letters: fewer are in many a sentence
# Possessive: what else the digits could be split into takes for ever, and ends at the same place.
_DIGITS_AT_END = re.compile(r"((?:\+?\d[\d\s,.\-()]*+)++)[\s.,!?…-]*$")


def split(text: str) -> list[str]:
    """The words of `text`, in lower case, with straight apostrophes and no punctuation."""
    return [word.replace("’", "'") for word in _WORD.findall(text.lower())]


def _covers(words: list[str], phrases: tuple[tuple[str, ...], ...]) -> bool:
    """Whether `words` are nothing but `phrases`, one after the other."""
    at = 0
    while at < len(words):
        for phrase in phrases:
            if tuple(words[at : at + len(phrase)]) == phrase:
                at += len(phrase)
                break
        else:
            return False
    return bool(words)


def is_one_of(text: str, phrases: Iterable[str]) -> bool:
    """Whether `text` has just the words of one of `phrases`."""
    return any(split(text) == split(phrase) for phrase in phrases)


def agrees(text: str, consents: Iterable[str], courtesies: Iterable[str], lex: Lexicon) -> bool:
    """Whether `text` has nothing but `consents`, one at least, with courtesies and fillers."""
    said = [word for word in split(text) if word not in lex.fillers]
    agreed, polite = (tuple(tuple(split(one)) for one in phrases) for phrases in (consents, courtesies))
    longest_first = tuple(sorted(agreed + polite, key=len, reverse=True))
    return _covers(said, longest_first) and not _covers(said, polite)


def dictates(text: str, language: str) -> bool:
    """Whether `text` has a number or a word said digit by digit, or letter by letter."""
    digits = spoken.fold(text, language) if language in LANGUAGES else text
    return sum(map(str.isdigit, digits)) >= DICTATED or sum(len(one) == 1 for one in split(text)) >= DICTATED


def hangs(words: list[str], lex: Lexicon) -> bool:
    """Whether the last word is one that a sentence doesn't end on, or a filler."""
    return bool(words) and (words[-1] in lex.hanging or (words[-1] in lex.fillers and len(words) > 1))


def leans(words: list[str], lex: Lexicon) -> bool:
    """Whether the last word is one that a sentence seldom ends on."""
    return bool(words) and words[-1] in lex.leaning


def asks_for_time(words: list[str], lex: Lexicon) -> bool:
    """Whether the words end in "hold on", "let me check my calendar" or the like."""
    for phrase in lex.more_time:
        for at in range(max(0, len(words) - len(phrase) - 4), len(words) - len(phrase) + 1):
            if tuple(words[at : at + len(phrase)]) == phrase:
                return True
    return False


def is_answer(words: list[str], lex: Lexicon) -> bool:
    """Whether the words are a whole turn as they stand: "yes", "no thanks", "goodbye"."""
    return len(words) <= 6 and _covers(words, lex.answers)


def is_backchannel(words: list[str], lex: Lexicon) -> bool:
    """Whether the words only say that the caller is listening."""
    return len(words) <= 5 and _covers(words, lex.backchannels)


def repeats(words: list[str], heard: list[str]) -> bool:
    """Whether most of `words`, three or more, stand in `heard` in their order, two or more at a time."""
    if len(words) < 3:
        return False
    blocks = SequenceMatcher(None, words, heard, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size > 1) > len(words) / 2


def takes_floor(words: list[str], lex: Lexicon) -> bool:
    """Whether the words are nothing but "stop", "wait", "no" and the like."""
    return _covers(words, lex.stops)


def dictated(text: str, lex: Lexicon, *, announced: bool = False) -> int:
    """How many digits or letters the caller has dictated so far, at the end of `text`; 0 when not dictating.

    "My number is oh two", "4 1 5", "K A T": each counts. "A table for two", "at 10" don't, unless a number
    is `announced`, as by the agent's having asked for one.
    """
    numeral = _DIGITS_AT_END.search(text)
    if numeral:
        run = numeral.group(1)
        before = split(text[: numeral.start()])
        groups = re.findall(r"\d+", run)
        count = sum(map(len, groups))
        dictating = len(groups) > 1 and all(len(group) < 5 for group in groups) and "." not in run.strip(" .")
        if groups[0].startswith("0") or dictating or announced or _announced(before, lex):
            return count + _spelled(before, lex)
        return 0
    words = split(text)
    count = _spelled(words, lex)
    return count if count > 1 or (count and (announced or _announced(words[:-1], lex))) else 0


def _announced(before: list[str], lex: Lexicon) -> bool:
    return any(word in lex.dictates for word in before[-6:])


def _spelled(words: list[str], lex: Lexicon) -> int:
    count = 0
    for word in reversed(words):
        if not (word in lex.digits or len(word) == 1 or word.isdigit()):
            break
        count += len(word) if word.isdigit() else 1
    return count
