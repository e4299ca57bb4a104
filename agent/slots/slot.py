"""What all kinds of slots have in common."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeVar

from agent.slots.words import words_of

T = TypeVar("T")
FEWEST_WORDS = 2  # that may have been a value

Reason = Literal["nothing", "vague", "several", "contradiction", "past", "range", "short", "long", "invalid"]


@dataclass(frozen=True)
class Problem:
    """Why words can't be taken for a value, which is what to ask.

    - nothing: none is named. vague: one is meant, and not which ("some time next week").
    - several: `choices` are named, or fit equally well. contradiction: "Thursday the 13th", a Friday.
    - past: it is over. range: `choices` are outside what may be.
    - short, long: a telephone number without all its digits, or with too many. invalid: there is none such.
    """

    reason: Reason
    choices: tuple[Any, ...] = ()


class Slot(Protocol[T]):
    """A kind of value. `language` is BCP 47: en, pt-BR."""

    @property
    def kind(self) -> str: ...

    def read(self, words: str, *, language: str, now: datetime) -> T | Problem:
        """The value in the answer to the question for it: "eight" is a time if a time was asked for."""
        ...

    def find(self, words: str, *, language: str, now: datetime) -> T | Problem | None:
        """What any sentence says of it beyond doubt of its kind, or None."""
        ...

    def say(self, value: T, *, language: str) -> str:
        """As it is written for the voice, which reads dates, times and numbers aloud."""
        ...


def as_json(value: Any) -> Any:
    """A slot's value as JSON has it: ISO 8601 for dates and times, minutes for durations, amounts as text."""
    match value:
        case date() | time():
            return value.isoformat() if isinstance(value, date) else value.isoformat("minutes")
        case timedelta():
            return value // timedelta(minutes=1)
        case Decimal():
            return str(value)
        case _ if is_dataclass(value):
            return {name: as_json(getattr(value, name)) for name in value.__dataclass_fields__}
        case _:
            return value


def settled(
    words: str, language: str, read: Callable[[str], T | Problem], *, retracts: bool = False
) -> T | Problem:
    """What `read` makes of the words, or of what they are corrected to: "Friday, no, Saturday".

    Where that may be several, it is none of what was said before; where it isn't said ("Friday. No, wait."),
    nothing. With `retracts` it is nothing, too, where several words that mean nothing follow "sorry":
    "Tuesday, sorry, I meant Wednesday" is heard as "Tuesday, sorry, I'm and Wendy".
    """
    known = words_of(language)
    meant = re.sub(known.denied, " ", words, flags=re.IGNORECASE)
    taken_back = re.search(rf"(?:{known.taken_back})[\s,.;-]*$", meant, flags=re.IGNORECASE)
    if taken_back and isinstance(read(taken_back[0]), Problem):  # "no" may be one of several choices
        return Problem("nothing")
    behind = re.split(known.retracted, meant, flags=re.IGNORECASE)[1:] if retracts else ()
    last = re.sub(known.polite, " ", behind[-1], flags=re.IGNORECASE) if behind else ""
    if len(last.split()) >= FEWEST_WORDS and read(last) == Problem("nothing"):
        return Problem("nothing")
    parts = [part for part in re.split(known.corrected, meant, flags=re.IGNORECASE) if part.strip(" ,.;-")]
    problem: Problem | None = None
    for part in reversed(parts):
        value = read(part)
        if not isinstance(value, Problem):
            return value
        if value.reason == "several":
            return problem or value
        if value.reason != "nothing" and problem is None:
            problem = value
    return problem or read(meant)
