"""Which passages a language model is told in one call, and before which of the caller's turns.

They stand before the words, and stay there: so a model that reads along has read them when the caller is
done, and what stands in a prompt is where it was in the prompt before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from models.knowledge.knowledge import Found, Knowledge
from models.knowledge.passages import Passage
from models.llm.acts import caller_turns
from models.llm.foreign import neutral

READ_S = 0.8  # of a model's time for what is found, which it may read anew behind the caller's last word
CHARACTERS_PER_TOKEN = 4
STILL_THERE = 3  # turns, for which what was told needn't be told again

Message = Mapping[str, Any]
Sentence = tuple[Passage, str]


@dataclass(frozen=True)
class Note:
    """Looked up for these `words`; `told` are the sentences that `text` holds, `sources` where what may
    answer them stands."""

    words: str
    text: str = ""
    told: frozenset[Sentence] = frozenset()
    sources: tuple[str, ...] = ()


class Recall:
    """One call's."""

    def __init__(self, call_id: str) -> None:
        self._call_id = call_id
        self._notes: dict[int, Note] = {}  # by the turn's number

    def forget(self) -> None:
        """Somebody else goes on, who has other pages."""
        self._notes.clear()

    async def look_up(
        self,
        knowledge: Knowledge,
        conversation: Sequence[Message],
        words: str | None = None,
        *,
        tokens_s: float | None,
    ) -> Sequence[str]:
        """Find what answers the caller's last turn, or the `words` so far of the one that isn't in the
        conversation yet; the model reads `tokens_s`, if that is known.

        What was found for fewer words of a turn stays, as long as the best for all of them is in it.
        Returns the sources.
        """
        said = caller_turns(conversation)
        if over := words is None:
            if not said:
                return ()
            words = said.pop()
        number = len(said) + 1
        note = self._notes.get(number)
        if note is not None and note.words == words and (note.text or not over):
            return note.sources
        found = await knowledge.search(words, before=said[-1] if said else "", call_id=self._call_id)
        fitting = [one for one in found if one.fits] or [one for one in found if one.may_fit]
        known = frozenset[Sentence]().union(*map(self._told, range(number - STILL_THERE, number)))
        if fitting:
            best = fitting[0].passage, fitting[0].sentences[0]
            if note is not None and note.told and best in known | note.told:
                self._notes[number] = replace(note, words=words)
            else:
                self._notes[number] = _note(knowledge, words, fitting, known, tokens_s)
        elif over and (note is None or not note.told):
            told = knowledge.nothing if knowledge.asks_something(words) else ""
            self._notes[number] = Note(words, told)
        return self._notes[number].sources if number in self._notes else ()

    def told(self, conversation: Sequence[Message], *, goes_on: bool = False) -> list[Message]:
        """The conversation with what was found, each before its turn; `goes_on` where one is being said."""
        told: list[Message] = []
        number = 0
        for message in conversation:
            if message["role"] == "user":
                number += 1
                told += self._as_message(number)
            told.append(message)
        return told + self._as_message(number + 1) if goes_on else told

    def _as_message(self, number: int) -> list[Message]:
        note = self._notes.get(number)
        return [{"role": "system", "content": note.text}] if note is not None and note.text else []

    def _told(self, number: int) -> frozenset[Sentence]:
        return self._notes[number].told if number in self._notes else frozenset()


def _note(
    knowledge: Knowledge,
    words: str,
    fitting: Sequence[Found],
    known: frozenset[Sentence],
    tokens_s: float | None,
) -> Note:
    """The nearest sentences of each passage, as many as are read in time, and one in any case; none that is
    `known`."""
    room = math.inf if tokens_s is None else READ_S * tokens_s * CHARACTERS_PER_TOKEN
    told = set[Sentence]()
    lines: list[str] = []
    for nth, (passage, sentences) in enumerate((one.passage, one.sentences) for one in fitting):
        new = [one for one in sentences if (passage, one) not in known]
        least = 1 if nth == 0 else 0
        while len(new) > least and len(passage.line_of(new)) > room:
            new = new[:-1] if nth == 0 else []
        if new:
            lines.append(passage.line_of(new))
            room -= len(lines[-1])
            told |= {(passage, one) for one in new}
    given = [one.passage for one in fitting if any(one.passage is of for of, _ in told | known)]
    text = knowledge.found if fitting[0].fits else knowledge.perhaps
    text = "\n".join([text, *(f"- {neutral(line)}" for line in lines)]) if lines else ""
    return Note(words, text, frozenset(told), tuple(passage.source for passage in given))
