"""Cuts the text of an answer into what is spoken at one go."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from pipecat.utils.string import match_endofsentence
from pipecat.utils.text.base_text_aggregator import Aggregation, BaseTextAggregator, TextType

from models.reading.reader import reader

FIRST_WORDS = 3
SPARED_WORDS = 2  # so few aren't parted from the sentence that they end
LONGEST_CHARACTERS = 200
_CERTAIN_END = re.compile(r"[?!।。！？][\"'”’»)\]]*|\n")
_POSSIBLE_END = re.compile(r"[.…][\"'”’»)\]]*(?=\s)")
# A comma in "1,234" or a colon in "5:30" has no space behind it.
_CLAUSE_END = re.compile(r"[,;:](?=\s)|\s[—–-](?=\s)|—")
_SPACE = re.compile(r"\s+")
_WORD_BEHIND = re.compile(r"\s*\S+\s")
_FORM = re.compile(r"[\d$€£¥₹+%@]")
_GROUPS = re.compile(r"\d\)? +[\d(]")  # of one number, perhaps
_KEY = re.compile(r"\s*[*#](?:[\s.,]|$)")  # at a piece's beginning it would mark an item of a list
_HALF_DAY = re.compile(r"\s*[ap]\.(?:\s+\S*)?$", re.IGNORECASE)  # perhaps
_CODE = re.compile(r"[ \t]*(```|~~~)[\w+#.-]*[ \t]*\n.*?\1[ \t]*", re.S)
# What may yet become such a block.
_OPEN_CODE = re.compile(r"`{1,2}$|~{1,2}$|(?:```|~~~)[\w+#.-]*[ \t]*(?:\n|$)")
# A link whose text, or address, isn't complete.
_OPEN_LINK = re.compile(r"\[[^\[\]]{0,80}$|\]\([^()\s]*$")


class Chunks(BaseTextAggregator):
    """Pipecat's aggregator for spoken text: whole sentences, but the first one's beginning at once.

    The first piece of an answer ends with a clause, or after three words, so that it can be spoken
    while the rest is still being written. A full stop may belong to "Dr." or "3.5", so it ends a
    sentence only once what follows it is known; a question mark needs no such proof. What is read as one
    ("December 25, 2026", "12,50 €") stays in one piece. Code between fences isn't spoken, but named.
    """

    def __init__(self, *, language: str | None = None, opening: bool = True) -> None:
        super().__init__(aggregation_type=TextType.SENTENCE, language=language)
        self._text = ""
        self._marks = ""  # the text, with other signs where a stop ends no sentence
        self._first = opening

    @property
    def text(self) -> Aggregation:
        return Aggregation(text=self._text.strip(), type=TextType.SENTENCE)

    async def aggregate(self, text: str) -> AsyncIterator[Aggregation]:
        self._text = self._without_code(self._text + text)
        while end := self._end():
            piece, self._text = self._text[:end].strip(), self._text[end:]
            if piece:
                self._first = False
                yield Aggregation(text=piece, type=TextType.SENTENCE)

    async def flush(self) -> Aggregation | None:
        if code := _OPEN_CODE.search(self._text):  # it never ends
            self._text = self._text[: code.start()] + (self._code if "\n" in code[0] else "")
        piece = self._text.strip()
        await self.reset()
        return Aggregation(text=piece, type=TextType.SENTENCE) if piece else None

    async def handle_interruption(self) -> None:
        await self.reset()

    async def reset(self) -> None:
        self._text = ""
        self._first = True

    def _end(self) -> int:
        """How much of the text is the next piece; 0 while that isn't decided."""
        code = _OPEN_CODE.search(self._text)
        until = code.start() if code else len(self._text)
        self._marks = reader(self.language).without_false_ends(self._text)
        ends = [end for end in (self._sentence_end(), self._first_end(), self._longest_end()) if end]
        return min([end for end in ends if end <= until], default=0)

    @property
    def _code(self) -> str:
        said = reader(self.language).code
        return f"{said}.\n" if said else "\n"

    def _without_code(self, text: str) -> str:
        return _CODE.sub(lambda _: self._code, text) if "```" in text or "~~~" in text else text

    def _sentence_end(self) -> int:
        certain = _CERTAIN_END.search(self._marks)
        end = certain.end() if certain else 0
        possible = _POSSIBLE_END.search(self._marks, 0, end or len(self._marks))
        if possible and self._marks[possible.end() :].strip():
            found = match_endofsentence(self._marks, language=self.language)
            return found if self._marks[found:].strip() else end
        return end

    def _first_end(self) -> int:
        if not self._first:
            return 0
        for clause in _CLAUSE_END.finditer(self._text):
            if len(self._text[: clause.start()].split()) >= 2 and not self._joins(clause.end()):
                return clause.end()
        words = [space.start() for space in _SPACE.finditer(self._text.rstrip()) if space.start()]
        end = next((word for word in words[FIRST_WORDS - 1 :] if not self._joins(word)), 0)
        if not end:
            return 0
        sentence_end = self._sentence_end()
        few_follow = len(self._text[end:sentence_end].split()) <= SPARED_WORDS
        return 0 if sentence_end and few_follow else end

    def _joins(self, at: int) -> bool:
        """Whether what is written before and behind this place is read as one, or may yet be."""
        reading = reader(self.language)
        head = self._text[:at].rstrip()
        if reading.binds(head) or _OPEN_LINK.search(head) or self._marks[: len(head)].endswith("·"):
            return True
        if _KEY.match(self._text, at):
            return True
        last = head.rpartition(" ")[2]
        if not (_FORM.search(last) or reading.is_month(last)):
            return False
        if _HALF_DAY.match(self._text, at):
            return True
        if not _WORD_BEHIND.match(self._text, at) or _GROUPS.search(self._text, at - 2, at + 2):
            return True
        return reading.joins(self._text, at)

    def _longest_end(self) -> int:
        if len(self._text) <= LONGEST_CHARACTERS:
            return 0
        clauses = [
            clause.end()
            for clause in _CLAUSE_END.finditer(self._text, 0, LONGEST_CHARACTERS)
            if not self._joins(clause.end())
        ]
        return (
            clauses[-1] if clauses else self._text.rfind(" ", 1, LONGEST_CHARACTERS) + 1 or LONGEST_CHARACTERS
        )


async def pieces(text: str, *, language: str | None = None, opening: bool = True) -> list[str]:
    """A whole text, cut as `Chunks` would cut it; `opening` tells whether an answer begins with it."""
    chunks = Chunks(language=language, opening=opening)
    cut = [piece.text async for piece in chunks.aggregate(text)]
    rest = await chunks.flush()
    return [*cut, rest.text] if rest else cut
