"""Keeps a model from reciting what it was instructed, whatever a caller says to it.

A policy: no I/O. Paraphrases and translations pass: what must stay secret doesn't belong into a prompt.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Sequence, Set
from contextlib import aclosing
from functools import lru_cache
from typing import Any

from openai.types.chat import ChatCompletionChunk

from models.knowledge.index import idle_words
from models.llm.brevity import sentences
from models.llm.chunks import completion_chunk

Words = tuple[str, ...]

RECITED = 7  # words of the instructions in a row
SENTENCE = 5  # or a whole sentence of at least so many
QUOTED = 4  # or so many, once the caller has said as many themselves, and has the model go on from there
NEXT = 2  # of those that follow what they said, so many
TURNS = 3  # in which callers say them, the last ones
HELD = 2  # so many of them are held back, until it is clear what becomes of them
_TAIL = 250  # characters: more than so many words have
_WORD = re.compile(r"[\w'’]+")
# Who is addressed by what isn't a fact: of a prompt that says "We are open until six" that may be told.
_ADDRESSES = {
    "en": r"\b(?:you|your|yourself)\b|^(?:answer|reply|respond|say|speak|keep|ask|offer|be|use|never|always|"
    r"don't|do not|only|stay|tell|give|make|avoid|refuse|let|remember|pretend|act|write|invent|read)\b",
    "es": r"\b(?:tú|tu|tus|eres|usted|tuyo)\b|^(?:responde|contesta|di|habla|usa|pregunta|ofrece|nunca|sé)\b",
    "fr": r"\b(?:tu|toi|ton|ta|tes|vous|votre|vos)\b|^(?:réponds|sois|dis|utilise|demande|parle|ne)\b",
    "it": r"\b(?:tu|tuo|tua|tue|tuoi|sei)\b|^(?:rispondi|di|parla|usa|chiedi|offri|mai|sii)\b",
    "pt": r"\b(?:você|tu|teu|tua)\b|^(?:responda|responde|diga|fale|use|pergunte|ofereça|nunca|seja)\b",
}


class Instructions:
    """What of a persona's prompt is addressed to the model, in any of its stretches of some words."""

    def __init__(
        self, prompt: str, *, language: str, name: str, always: Sequence[str] = (), public: Sequence[str] = ()
    ) -> None:
        """`always` are instructions whatever they look like; who the agent is, by its `name`, may be told, as
        may what `public` texts say, too."""
        code = language.partition("-")[0]
        addresses = re.compile(_ADDRESSES.get(code, ""), re.IGNORECASE)
        stretches, stretch = [_words(text) for text in always], list[str]()
        whole = {tuple(one) for one in stretches}
        for sentence in sentences(" ".join(prompt.split()), language=code):
            if addresses.search(sentence) and name.lower() not in sentence.lower():
                stretch += _words(sentence)
                whole.add(tuple(_words(sentence)))
            else:
                stretches.append(stretch)
                stretch = []
        stretches.append(stretch)
        told = {run for text in public for run in runs(_words(text), RECITED)}
        self._runs = {
            length: {run for one in stretches for run in runs(one, length)}
            for length in range(1, RECITED + 1)
        }
        self._runs[RECITED] -= told
        public_runs = {run for text in public for run in runs(_words(text), QUOTED)}
        self._quotable = self._runs[QUOTED] - public_runs
        idle = idle_words(code)
        self._next = {
            run[:QUOTED]: run[QUOTED:]
            for one in stretches
            for run in runs(one, QUOTED + NEXT)
            if not idle.issuperset(run[QUOTED:])
        }
        spoken = {
            run
            for text in public
            for length in range(SENTENCE, RECITED)
            for run in runs(_words(text), length)
        }
        self._whole = {one for one in whole if SENTENCE <= len(one) < RECITED} - spoken

    def stretch(self, words: Sequence[str]) -> int:
        """How many of the last words, RECITED at most, are a stretch of the instructions."""
        for length in range(min(RECITED, len(words)), 0, -1):
            if tuple(words[-length:]) in self._runs[length]:
                return length
        return 0

    def quoted(self, messages: Sequence[Any]) -> Set[Words]:
        """What the caller said of them of late."""
        said = [str(one.get("content")) for one in messages if one.get("role") == "user"][-TURNS:]
        return {run for text in said for run in runs(_words(text), QUOTED) if run in self._quotable}

    def recited(self, words: Sequence[str], quoted: Set[Words] = frozenset()) -> int:
        """How many of the last words are recited: enough of them in a row, or a sentence; else 0.

        Fewer are enough where some are `quoted`.
        """
        if (length := self.stretch(words)) >= RECITED:
            return length
        if quoted and tuple(words[-QUOTED:]) in self._quotable:
            return QUOTED
        if tuple(words[-NEXT:]) in {self._next.get(run) for run in quoted}:
            return NEXT
        return next((n for n in range(SENTENCE, RECITED) if tuple(words[-n:]) in self._whole), 0)


@lru_cache(maxsize=64)
def instructions_of(prompt: str, **known: Any) -> Instructions:
    """The same for the same persona, which its calls share."""
    return Instructions(prompt, **known)


class Discretion:
    """One answer's. Takes it piece by piece, and lets through what isn't recited."""

    def __init__(self, instructions: Instructions, instead: str, messages: Sequence[Any] = ()) -> None:
        """`instead` is said in the place of what is recited, and of what follows, in answer to `messages`."""
        self.over = False
        self._instructions = instructions
        self._quoted = instructions.quoted(messages)
        self._instead = instead
        self._tail = ""  # of what has passed
        self._held = ""

    def take(self, piece: str, *, last: bool = False) -> str:
        """What may be said now that `piece` has come; `last` where no more will."""
        if self.over:
            return ""
        passed = len(self._tail)
        text = self._tail + self._held + piece
        words = [found for found in _WORD.finditer(text) if last or found.end() < len(text)]
        plain = [_plain(found[0]) for found in words]
        for number, word in enumerate(words, 1):
            if word.end() < passed:  # it was looked at before it passed
                continue
            if recited := self._instructions.recited(plain[max(0, number - RECITED) : number], self._quoted):
                self.over = True
                said = text[passed : max(passed, words[number - recited].start())]
                return said + self._refusal(text[: passed + len(said)])
        run = self._instructions.stretch(plain[-RECITED:])
        if last or not run:
            cut = len(text)
        else:  # of a word that may begin it, the next is awaited
            cut = max(passed, words[-run].start() if run >= HELD else words[-1].end())
        self._tail, self._held = text[:cut][-_TAIL:], text[cut:]
        return text[passed:cut]

    def _refusal(self, before: str) -> str:
        """What is said instead, as it goes on from what was said."""
        said = before.rstrip()
        gap = "" if not said else "... " if said[-1].isalnum() else "" if before != said else " "
        return gap + self._instead


async def discreet(
    chunks: AsyncGenerator[ChatCompletionChunk, None], discretion: Discretion
) -> AsyncGenerator[ChatCompletionChunk, None]:
    """The stream without what is recited. It ends there."""
    async with aclosing(chunks):
        async for chunk in chunks:
            choice = chunk.choices[0] if chunk.choices else None
            if choice is not None:
                written, last = choice.delta.content or "", choice.finish_reason is not None
                choice.delta.content = discretion.take(written, last=last) or None
            yield chunk
            if discretion.over:
                yield completion_chunk(chunk.id, chunk.model, {}, finish_reason="stop")
                return


def _words(text: str) -> list[str]:
    return [_plain(word) for word in _WORD.findall(text)]


def _plain(word: str) -> str:
    return word.lower().replace("’", "'").strip("'_")


def runs(words: Sequence[str], length: int) -> Iterator[Words]:
    """All stretches of so many words."""
    return (tuple(words[start : start + length]) for start in range(len(words) - length + 1))
