"""Which passages a language model is told in one call, and with which of the caller's turns.

They stand before the words, and stay there: so a model that reads along has read them when the caller is
done, and what stands in a prompt is where it was in the prompt before. What the last words alone have found
stands behind them, so that a slow model, which has read them, needn't read them again; unless it may be about
something else, since a small model says what it was told last.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from models.knowledge.knowledge import Found, Knowledge
from models.knowledge.passages import Passage
from models.llm.acts import caller_turns
from models.llm.completeness import clean
from models.llm.foreign import neutral

# Of a model's time: for what is found, which may be found behind the caller's last word alone; and for that
# and more of the same, where the caller goes on.
FOUND_S, MORE_S = 0.4, 0.8
# By how much a passage fits better than the next, of which a slow model is told before the caller is done.
# It is the best for all the words then in three of four cases of the library's questions (bench/knowledge),
# and in half of the hotel's; any other is in some 40%.
STANDS_OUT = 0.1
CHARACTERS_PER_TOKEN = 4
STILL_THERE = 3  # turns, for which what was told needn't be told again

_WORD = re.compile(r"\w{3,}")

Message = Mapping[str, Any]
Sentence = tuple[Passage, str]


@dataclass(frozen=True)
class Note:
    """Looked up for these `words`; `told` are the sentences that `text` holds, of the passage `last` at its
    end, `sources` where what may answer them stands. `more`: more of the same may be told."""

    words: str
    text: str = ""
    told: frozenset[Sentence] = frozenset()
    last: Passage | None = None
    sources: tuple[str, ...] = ()
    more: bool = False


class Recall:
    """One call's."""

    def __init__(self, call_id: str) -> None:
        self._call_id = call_id
        self._before: dict[int, Note] = {}  # by the turn's number
        self._behind: dict[int, Note] = {}

    def forget(self) -> None:
        """Somebody else goes on, who has other pages."""
        self._before.clear()
        self._behind.clear()

    async def look_up(
        self,
        knowledge: Knowledge,
        conversation: Sequence[Message],
        words: str | None = None,
        *,
        over: bool = False,
        tokens_s: float | None,
    ) -> Sequence[str]:
        """Find what answers the caller's last turn, or the `words` so far of the one that isn't in the
        conversation yet, `over` where these may be all; the model reads `tokens_s`, if that is known.

        What was found for fewer words of a turn stays, as long as the best for all of them is in it; once,
        more is told behind it.
        Returns the sources.
        """
        said = caller_turns(conversation)
        if words is None:
            if not said:
                return ()
            words, over = said.pop(), True
        words, number = clean(words), len(said) + 1
        for note in (self._behind.get(number), self._before.get(number)):
            if note is not None and note.words == words and (note.text or not over):
                return note.sources
        found = await knowledge.search(words, before=said[-1] if said else "", call_id=self._call_id)
        fitting = [one for one in found if one.fits] or [one for one in found if one.may_fit]
        self._behind.pop(number, None)
        note = self._before.get(number, Note(words))
        if not over and tokens_s is not None and not _stands_out(found):
            return note.sources
        known = frozenset[Sentence]().union(*map(self._told, range(number - STILL_THERE, number)))
        # What answers is told behind words that the model has read.
        late = over and tokens_s is not None and not (fitting and not fitting[0].fits)
        place = self._behind if late else self._before
        if fitting and note.told and (fitting[0].passage, fitting[0].sentences[0]) in known | note.told:
            place = self._before
            if note.more and not over:
                note = replace(_more(note, fitting, known, MORE_S, tokens_s), more=False)
        elif fitting:
            known |= note.told if late else frozenset()
            note = Note(words, knowledge.found if fitting[0].fits else knowledge.perhaps)
            note = _more(note, fitting, known, FOUND_S, tokens_s)
        elif over and not note.told:
            note = Note(words, knowledge.nothing if knowledge.asks_something(words) else "")
        else:
            place = self._before
        place[number] = note = replace(note, words=words)
        return note.sources

    def told(self, conversation: Sequence[Message], *, goes_on: bool = False) -> list[Message]:
        """The conversation with what was found, each with its turn; `goes_on` where one is being said."""
        told: list[Message] = []
        number = 0
        for message in conversation:
            if message["role"] != "user":
                told.append(message)
                continue
            number += 1
            told += [*_message(self._before.get(number)), message, *_message(self._behind.get(number))]
        return [*told, *_message(self._before.get(number + 1))] if goes_on else told

    def _told(self, number: int) -> frozenset[Sentence]:
        notes = self._before.get(number), self._behind.get(number)
        return frozenset[Sentence]().union(*(note.told for note in notes if note is not None))


def _stands_out(found: Sequence[Found]) -> bool:
    """Whether the best is likely to stay that, whatever the caller adds."""
    return bool(found) and found[0].fits and (len(found) == 1 or found[0].fit - found[1].fit >= STANDS_OUT)


def _message(note: Note | None) -> list[Message]:
    return [{"role": "system", "content": note.text}] if note is not None and note.text else []


def _more(
    note: Note, fitting: Sequence[Found], known: frozenset[Sentence], seconds: float, tokens_s: float | None
) -> Note:
    """With the nearest sentences of each passage behind it, as many as are read in time, and one in any
    case; none that is `known`."""
    room = math.inf if tokens_s is None else seconds * tokens_s * CHARACTERS_PER_TOKEN - len(note.text)
    text, told, last = note.text, set(note.told), note.last
    for nth, (passage, sentences) in enumerate((one.passage, one.sentences) for one in fitting):
        new = [one for one in sentences if (passage, one) not in known | told]
        least = 1 if nth == 0 and not told else 0
        while len(new) > least and len(passage.line_of(new)) > room:
            new = new[:-1] if nth == 0 else []
        if new:
            line = neutral(_line(passage, new, behind=passage == last))
            text += line
            room -= len(line)
            told |= {(passage, one) for one in new}
            last = passage
    given = [one.passage for one in fitting if any(one.passage is of for of, _ in told | known)]
    return replace(
        note,
        text=text if told else "",
        told=frozenset(told),
        last=last,
        sources=tuple(passage.source for passage in given),
        more=tokens_s is not None,
    )


def _line(passage: Passage, sentences: Sequence[str], *, behind: bool) -> str:
    """As it is told, `behind` others of the same passage; the heading only where they don't say it."""
    text = passage.text_of(sentences)
    if behind:
        return f" {text}"
    about = set(_WORD.findall(passage.heading.rpartition(", ")[2].lower()))
    return f"\n- {passage.line_of(sentences) if about.isdisjoint(_WORD.findall(text.lower())) else text}"
