"""What of a model's answer is spoken: two sentences at most, in plain words, and nothing twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pipecat.utils.string import match_endofsentence

from models.reading.reader import reader
from models.reading.rules import COUNTED

SENTENCES = 2
LONGEST_WORDS = 30
# So many words of the first sentence pass as they come. What is beyond them waits for its clause to end, and
# the second sentence for its own end: nobody waits for that, since the voice is busy with the first words.
SURE_WORDS = 10
# Code, and scripts of languages that no voice here speaks: the model has lost its way.
_ASTRAY = re.compile(r"```|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_LIST_MARK = re.compile(rf"\s*(?:[-•–—*+#]+|\d{{1,2}}[.)])\s+(?!{COUNTED})")
_PERHAPS_LIST_MARK = re.compile(r"\s*(?:[-•–—*+#]+\s*|\d{1,2}(?:[.)](?:\s+\w{0,3})?)?)?\s*")
# Links and addresses stay: the voice says the former's text and reads the latter.
# A telephone's key stays too: a star alone, or before digits that no other star closes.
_STAR = r"(?<![^\s(\"“'`])\*"
_MARKUP = re.compile(
    rf"(?P<key>{_STAR}(?=\d+(?![\d*])|[\s.,;:!?)\"”'`]|$))"
    "|[*`~|{}\\\\\u2600-\u27bf\ufe0f\U0001f000-\U0001faff]"
)
_PERHAPS_KEY = re.compile(rf"{_STAR}\d*$")
_CLAUSE_END = re.compile(r"[,;:](?=\s)|\s[—–-](?=\s)")
_END = re.compile(r"[.?!…।]+[\"'”’»)\]]*(?=\s|$)")
_ABBREVIATED_YET = re.compile(r"·\s*\w{0,2}$")  # which the next word may yet show to be the end
_CERTAIN = re.compile(r"[?!।]")
_WORD = re.compile(r"\s+\S+(?=\s)")
_REST_OF_END = re.compile(r"[.?!…।\"'”’»)\]]+")
# Titles and the like, which sentencex 1.0 takes for the end of a sentence in some of the languages.
_ABBREVIATED = re.compile(
    r"\b(?:M|Mme|Mlle|Dr|Dra|Mr|Mrs|Ms|St|Sr|Sra|Srta|Sig|Dott|Prof|Av|Avda|[Nn]|[Tt]el|pag)\.$"
)


def last_answer(messages: Sequence[Any]) -> str:
    """What the agent said last in a conversation, empty where it said nothing."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "assistant":
            return str(message.get("content") or "")
    return ""


class Brevity:
    """Takes an answer piece by piece and lets through what is to be spoken of it.

    The answer is `over` behind its second sentence; before one that it, or the answer `before`, has said
    already; and before the clause that would make it longer than thirty words. The first sentence always
    passes, so that something is said.
    """

    def __init__(self, *, language: str | None = None, before: str = "") -> None:
        self.over = False
        self._language = language
        self._known = {plain(sentence) for sentence in sentences(before, language=language)}
        self._held = ""  # of a line's beginning, which may be a list's mark
        self._in_line = False
        self._before = " "  # a space where a key's star may follow, or x
        self._last = ""  # the last character that was no space
        self._text = ""  # the sentence that is being written
        self._passed = 0  # characters of it
        self._words = 0  # in the sentence before it
        self._sentences = 0

    def take(self, piece: str) -> str:
        """What may be spoken now that `piece` has come."""
        astray = _ASTRAY.search(piece)
        said = self._add(self._speakable(piece[: astray.start()] if astray else piece))
        return said + self.finish(cut_off=True) if astray else said

    def finish(self, *, cut_off: bool = False) -> str:
        """What may still be spoken at the end; `cut_off` where the model didn't come to it."""
        if self.over:
            return ""
        said = self._add(self._line_text(ended=True), ended=not cut_off)
        if not self.over:
            said += self._cut()
        return said

    def _speakable(self, piece: str) -> str:
        """`piece` as words alone: without markup, the items of a list joined by commas."""
        spoken = ""
        for part in re.split(r"(\n)", piece):
            if part == "\n":
                spoken += self._line_text(ended=True)
                self._in_line = False
                self._before = " "
            else:
                self._held += part
                if self._in_line or not _PERHAPS_LIST_MARK.fullmatch(self._held):
                    spoken += self._line_text()
        return spoken

    def _line_text(self, *, ended: bool = False) -> str:
        text, self._held = self._held, ""
        if not self._in_line:
            if mark := _LIST_MARK.match(text):
                text = text[mark.end() :]
            if not re.search(r"\w", text):
                return ""
            if self._last:
                text = (", " if self._last.isalnum() else " ") + text.lstrip()
            self._in_line = True
        text = self._before + text
        if not ended and (star := _PERHAPS_KEY.search(text)):
            text, self._held = text[: star.start()], text[star.start() :]
        self._before = " " if text[-1] in " \t(\"“'`" else "x"
        text = _MARKUP.sub(lambda match: match["key"] or "", text)[1:]
        self._last = text.rstrip()[-1:] or self._last
        return text

    def _add(self, text: str, *, ended: bool = False) -> str:
        """What passes now that `text` has come; `ended` where no more will."""
        self._text += text
        said = ""
        while not self.over:
            if self._sentences:
                self._text = self._text[_end_of(self._text) :]
            end, decided = _sentence_end(self._text, self._language, ended=ended)
            if end and self._repeats(self._text[:end]):
                self.over = True
                return said
            if self._words + len(self._text[: end or decided].split()) > LONGEST_WORDS and self._may_cut():
                return said + self._cut()
            if not end:
                return said + self._pass(min(decided, self._sure()))
            said += self._pass(end)
            self._words += len(self._text[:end].split())
            self._known.add(plain(self._text[:end]))
            self._sentences += 1
            self.over = self._sentences == SENTENCES or (ended and end == len(self._text))
            self._text, self._passed = self._text[end:], 0
        return said

    def _sure(self) -> int:
        """How much passes of a sentence that isn't finished."""
        if self._sentences:
            return 0
        words = len(self._text.split())
        if words <= SURE_WORDS or words > LONGEST_WORDS:
            return len(self._text)
        return self._clause()

    def _may_cut(self) -> bool:
        """Whether the sentence can still be ended, or left out, at a place where that makes sense."""
        return bool(self._sentences) or self._clause() >= self._passed

    def _clause(self) -> int:
        """Where the last of the sentence's clauses ends that fits the longest answer; 0 where none does."""
        ends = [clause.start() for clause in _CLAUSE_END.finditer(self._text)]
        return max(
            (end for end in ends if self._words + len(self._text[:end].split()) <= LONGEST_WORDS), default=0
        )

    def _repeats(self, sentence: str) -> bool:
        return bool(self._sentences) and plain(sentence) in self._known

    def _pass(self, end: int) -> str:
        passed, self._passed = self._text[self._passed : end], max(self._passed, end)
        return passed

    def _cut(self) -> str:
        """End the answer with the last clause that fits."""
        self.over = True
        said = self._pass(self._clause())
        return said + "." if self._text[: self._passed][-1:].isalnum() else said


def sentences(text: str, *, language: str | None = None) -> list[str]:
    """A whole text's sentences."""
    found = []
    while text.strip():
        end, _ = _sentence_end(text, language, ended=True)
        found.append(text[:end].strip())
        text = text[end + _end_of(text[end:]) :]
    return found


def _sentence_end(text: str, language: str | None, *, ended: bool = False) -> tuple[int, int]:
    """Where the first sentence of a growing text ends, 0 if it doesn't; and up to where that is decided.

    Whether a full stop ends a sentence shows in the word that follows.
    """
    marks = reader(language or "en").without_false_ends(text)
    for mark in _END.finditer(marks):
        end = mark.end()
        if _CERTAIN.search(mark.group()):
            return end, end
        follows = _WORD.match(marks, end)
        if not follows and not ended:
            return 0, end
        known = marks[: follows.end()] if follows else marks
        if 0 < match_endofsentence(known, language=language) <= end and not _ABBREVIATED.search(text[:end]):
            return end, end
    if ended:
        return len(text), len(text)
    abbreviated = _ABBREVIATED_YET.search(marks)
    return 0, abbreviated.start() + 1 if abbreviated else len(text)


def _end_of(rest: str) -> int:
    """How much of what follows a sentence still belongs to its end."""
    more = _REST_OF_END.match(rest)
    return more.end() if more else 0


def plain(sentence: str) -> str:
    """Its words alone, by which one is found again."""
    return " ".join(re.findall(r"\w+", sentence.lower()))
