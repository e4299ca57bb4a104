"""A flow's slots, as the kinds of `agent.slots` read and say them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from babel.lists import format_list

from agent import slots as kinds
from agent.slots.choice import place
from agent.slots.names import FEWEST_SPELLED, spelled
from agent.slots.numbers import FEWEST_FOUND
from agent.slots.slot import Problem
from agent.slots.words import code_of
from config.flow import Flow, Slot, fill
from models.llm import spoken

FEWEST_ASKED = 5  # digits in a row that are a telephone number's, where one was asked for
GOES_ON = ("several", "vague", "short")  # what is said next may make a value of it


@dataclass(frozen=True)
class Wrong:
    """Why words are no value: what to say of it, and whether what comes next may complete them."""

    says: str
    goes_on: bool = False


class Slots:
    """One persona's. `language` is BCP 47."""

    def __init__(self, flow: Flow, language: str) -> None:
        self._flow = flow
        self._language = language
        self._kinds = {name: kind_of(slot) for name, slot in flow.slots.items()}

    def read(self, name: str, words: str, now: datetime) -> Any | Wrong | None:
        """The value in the answer to its question; None where none is meant."""
        value = self._kinds[name].read(words, language=self._language, now=now)
        return self._told(name, value) if isinstance(value, Problem) else value

    def find(self, name: str, words: str, now: datetime, *, dialling: bool = False) -> Any | Wrong | None:
        """The value that any sentence gives it beyond doubt; None where there is none.

        `dialling`: a telephone number was asked for, whose digits are no time, even if some aren't heard.
        """
        if self._kinds[name].kind in ("time", "count"):
            fewest = FEWEST_ASKED if dialling else FEWEST_FOUND
            words = spoken.without_dialled(words, code_of(self._language), fewest)
        value = self._kinds[name].find(words, language=self._language, now=now)
        return self._told(name, value) if isinstance(value, Problem) else value

    def offered(self, name: str, words: str, offers: Sequence[datetime]) -> date | time | None:
        """The part of the moment, of those that were offered, that the words take by its place."""
        kind = self._kinds[name].kind
        if kind not in ("date", "time") or (taken := place(words, self._language, len(offers))) is None:
            return None
        return offers[taken].date() if kind == "date" else offers[taken].time()

    def spells(self, name: str, words: str) -> bool:
        """Whether they spell a name where one is asked for."""
        if self._kinds[name].kind != "name":
            return False
        letters, _ = spelled(words, self._language)
        return len(letters) >= FEWEST_SPELLED

    def say(self, name: str, value: Any) -> str:
        return self._kinds[name].say(value, language=self._language)

    def _told(self, name: str, problem: Problem) -> Wrong | None:
        if problem.reason == "nothing":
            return None
        phrases, slot = self._flow.phrases, self._flow.slots[name]
        goes_on = problem.reason in GOES_ON
        if problem.reason == "several":
            choices = [self.say(name, value) for value in problem.choices]
            listed = format_list(choices, style="or", locale=self._language.replace("-", "_"))
            return Wrong(fill(phrases.which, {"choices": listed}), goes_on)
        if goes_on:
            return Wrong(phrases.more, goes_on)
        return Wrong(slot.wrong or phrases.cant_be)


class _Text:
    """Whatever is said."""

    kind = "text"

    def read(self, words: str, *, language: str, now: datetime) -> str | Problem:
        return words.strip() or Problem("nothing")

    def find(self, words: str, *, language: str, now: datetime) -> None:
        return None

    def say(self, value: str, *, language: str) -> str:
        return value


_UNBOUNDED: Mapping[str, kinds.Slot[Any]] = {
    "phone": kinds.Phone(),
    "duration": kinds.Duration(),
    "email": kinds.Email(),
    "name": kinds.Name(),
}


def kind_of(slot: Slot) -> kinds.Slot[Any]:
    """What reads it, within its bounds."""
    least, most = slot.minimum, slot.maximum
    match slot.kind:
        case "date":
            return kinds.Date(int(most)) if most else kinds.Date()
        case "time":
            first, last = time.fromisoformat(least or "00:00"), time.fromisoformat(most or "23:59")
            return kinds.Time(((first, last),))
        case "count":
            return kinds.Count(int(least or 1), int(most or 1000))
        case "amount":
            return kinds.Amount(None, Decimal(least or 0), Decimal(most or 1_000_000))
        case "choice":
            return _Choice({name: tuple(said) for name, said in slot.choices.items()})
        case "text":
            return _Text()
        case _:
            kind: kinds.Slot[Any] = _UNBOUNDED[slot.kind]
            return kind


class _Choice(kinds.Choice):
    """Says the first of an option's words, since its name is for the file."""

    def say(self, value: str, *, language: str) -> str:
        return next(iter(self.options[value]), value)
