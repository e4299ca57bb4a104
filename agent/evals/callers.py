"""Callers who react: what each wants, what they say to which question, and what must then be booked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Self

import phonenumbers
from babel.dates import format_date
from num2words import num2words
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from agent.calendar.appointments import PHONE_DIGITS
from agent.calendar.booking import Booking
from config.errors import ConfigError
from config.files import read_yaml
from config.primer import Text, lessons
from config.section import Section

MOST_TURNS = 30
MOST_REPEATED = 3  # so often what wasn't understood
# What is asked for: anything that isn't known, the name and its letters, the number aloud and by keys,
# whether what was read back is right, anything else.
OTHER, SPELL, PHONE, KEYS, CONFIRM, FAREWELL = "other", "spell", "phone", "keys", "confirm", "anything_else"
_NUMBER = re.compile(r"\+?\(?\d[\d() -]*\d")
_PLACED = re.compile(r"\{(\w+)(?::(\w+))?\}")


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str | dict) else value


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"'{pattern}' isn't a regular expression: {error}") from None
    return pattern


class Line(Section):
    """What is said, and what the caller breaks in with, so long after the answer to it begins."""

    says: Text
    breaks_in: Text | None = None
    after_ms: int = Field(1000, ge=100, le=10_000)


class Entry(Section):
    """An appointment in the calendar."""

    day: str
    at: time
    name: Text
    phone: str | None = None

    def begin(self, days: Mapping[str, date]) -> datetime:
        return datetime.combine(days[self.day], self.at)


def _as_line(value: object) -> object:
    return {"says": value} if isinstance(value, str) else value


Lines = Annotated[
    tuple[Annotated[Line, BeforeValidator(_as_line)], ...], BeforeValidator(_listed), Field(min_length=1)
]


class Caller(Section):
    name: Text
    days: Mapping[str, int] = Field(
        {}, description="Days by a name of one's own: so many of Monday to Friday from today on."
    )
    had: tuple[Entry, ...] = Field((), description="In the calendar before the call.")
    opens: Annotated[Line, BeforeValidator(_as_line)] = Field(description="Said after the greeting.")
    answers: Mapping[str, Lines] = Field(
        {},
        description="By what is asked; each time the next one, and the last one again. Where there is none, "
        "callers say once more what they said last.",
    )
    entries: tuple[Entry, ...] = Field((), description="In the calendar after it, and no other.")

    @property
    def calls_themselves(self) -> str:
        return next((entry.name for entry in (*self.entries, *self.had)), "")

    @property
    def number(self) -> str:
        """Their telephone number, as it is keyed in at home."""
        phone = next((entry.phone for entry in (*self.entries, *self.had) if entry.phone), None)
        return str(phonenumbers.parse(phone).national_number) if phone else ""

    @model_validator(mode="after")
    def _days_are_known(self) -> Self:
        named = {entry.day for entry in (*self.had, *self.entries)}
        lines = [self.opens, *(line for lines in self.answers.values() for line in lines)]
        said = " ".join(text for line in lines for text in (line.says, line.breaks_in or ""))
        named |= {match[1] for match in _PLACED.finditer(said)}
        if unknown := sorted(named - self.days.keys()):
            raise ValueError(f"the caller '{self.name}' names the day {unknown[0]}, which isn't in its days")
        return self


class CallerSet(Section):
    """One file."""

    name: Text
    language: str = Field("en", pattern=r"^[a-z]{2,3}$", description="ISO 639.")
    pass_: float = Field(1.0, ge=0, le=1, alias="pass", description="The share of callers who get it right.")
    persona: Text
    asks: Mapping[str, Annotated[str, AfterValidator(_compiled)]] = Field(
        description="By a name of one's own, what the agent says that asks for it; the first that is found. "
        "At `spell` callers say their name and its letters, at `phone` their number, if they have no answer "
        "to that, and at `keys` they key it in. What wasn't understood at `confirm` they say again, and what "
        "they broke in with before it, and they object to another number than theirs."
    )
    otherwise: Mapping[str, Lines] = Field({}, description="What callers answer who have no answer to it.")
    callers: tuple[Caller, ...] = Field(min_length=1)
    file: Path = Path()


@dataclass(frozen=True)
class Said:
    """`keys` are pressed, and nothing is said then."""

    text: str
    breaks_in: str = ""
    after_ms: int = 0
    keys: str = ""


class Conversation:
    """One caller's side of it. Without I/O and clock: told what the agent said, it says what comes next."""

    def __init__(self, found: CallerSet, caller: Caller, today: date) -> None:
        self._asks = found.asks
        self._answers = {**found.otherwise, **caller.answers}
        self._caller = caller
        self._language = found.language
        self._not_understood = lessons(found.language).flow.not_understood
        self._asked = Counter[str]()
        self._objected = 0
        self._said_last = caller.opens
        self._broke_in = ""
        self.days = {name: open_day(today, number) for name, number in caller.days.items()}

    def begin(self) -> Said:
        return self._said(self._caller.opens)

    def reply(self, heard: str) -> Said | None:
        """None: the caller hangs up."""
        if self._asked.total() >= MOST_TURNS:
            return None
        asked = self._topic(heard)
        if asked == OTHER and (self._asked[FAREWELL] or self._asked[OTHER] >= MOST_REPEATED):
            return None
        digits = self._caller.number
        if asked == CONFIRM and digits and _reads_another(heard, digits) and self._objected < MOST_REPEATED:
            self._objected += 1
            return Said(f"No, the number is {self._aloud(digits)}.")
        if asked == CONFIRM and self._not_understood in heard:
            if self._broke_in:
                again, self._broke_in = self._broke_in, ""
                return self._said(Line(says=again))
            self._asked[asked] = max(0, self._asked[asked] - 1)
        number = self._asked[asked]
        self._asked[asked] += 1
        lines = self._answers.get(asked)
        if asked == SPELL and lines is None and (name := self._caller.calls_themselves):
            return Said(f"{name}. {', '.join(name.split()[-1].upper())}.")
        if asked == PHONE and lines is None and digits:
            return Said(f"{self._aloud(digits)}.")
        if asked == KEYS and lines is None and digits:
            return Said(f"DTMF: {digits}#", keys=f"{digits}#")  # the text is what a session makes of keys
        if lines is None:  # asked to say it again, or for what they have just said
            return self._said(self._said_last) if number < MOST_REPEATED else None
        line = lines[min(number, len(lines) - 1)]
        if asked != OTHER:
            self._said_last, self._broke_in = line, line.breaks_in or ""
        return self._said(line)

    def _topic(self, heard: str) -> str:
        """What the agent asks for, in its last sentence that asks for anything."""
        for sentence in reversed(re.split(r"(?<=[.?!])\s+", heard.strip())):
            for topic, pattern in self._asks.items():
                if re.search(pattern, sentence, re.IGNORECASE):
                    return topic
        return OTHER

    def _aloud(self, digits: str) -> str:
        return ", ".join(num2words(int(digit), lang=self._language) for digit in digits)

    def _said(self, line: Line) -> Said:
        return Said(self._filled(line.says), self._filled(line.breaks_in or ""), line.after_ms)

    def _filled(self, text: str) -> str:
        return _PLACED.sub(lambda match: say_day(self.days[match[1]], match[2] or "weekday"), text)


def _reads_another(heard: str, digits: str) -> bool:
    """Whether a telephone number is read back that isn't this one."""
    numbers = (re.sub(r"\D", "", one) for one in _NUMBER.findall(heard))
    same = (one.endswith(digits) or digits.endswith(one) for one in numbers if len(one) >= PHONE_DIGITS)
    return not all(same)


def open_day(today: date, number: int) -> date:
    """The so-manieth of Monday to Friday from tomorrow on."""
    day = today
    while number:
        day += timedelta(days=1)
        number -= day.weekday() < 5
    return day


def say_day(day: date, form: str) -> str:
    """In English: Friday; May third; the third of May; the third; 5/3.

    Not by `agent.slots`, which reads it: who says it and who reads it must not err alike.
    """
    ordinal = num2words(day.day, to="ordinal")
    month = format_date(day, "MMMM", locale="en")
    forms = {
        "weekday": format_date(day, "EEEE", locale="en"),
        "date": f"{month} {ordinal}",
        "of": f"the {ordinal} of {month}",
        "number": f"the {ordinal}",
        "full": f"{format_date(day, 'EEEE', locale='en')} the {ordinal}",
    }
    return forms[form]


def score(expected: Iterable[Entry], days: Mapping[str, date], found: Sequence[Booking]) -> list[str]:
    """A sentence for each difference between what is in the calendar and what should be."""
    wanted = {entry.begin(days): entry for entry in expected}
    there = Counter(booking.begin for booking in found)
    failures = [f"nothing is booked for {at:%A %H:%M}" for at in wanted if at not in there]
    failures += [f"{at:%A %d %H:%M} is booked, which nobody wanted" for at in there if at not in wanted]
    failures += [f"{at:%A %H:%M} is booked {count} times" for at, count in there.items() if count > 1]
    for booking in found:
        entry = wanted.get(booking.begin)
        if entry and entry.phone and booking.phone != entry.phone:
            failures.append(f"the number is {booking.phone or 'missing'}, not {entry.phone}")
    return failures


def load_caller_sets(folder: Path, only: Sequence[str] = ()) -> list[CallerSet]:
    """Those of the folder's files that have callers: these callers, or those whose `file/name` or whose file
    matches one of `only`; none where it has no such file. Raises ConfigError.
    """
    sets = []
    for path in sorted(folder.glob("*.yaml")):
        content = read_yaml(path, "The scenario file")
        if "callers" in content:
            found = _caller_set(path, content)
            kept = tuple(caller for caller in found.callers if _chosen(path.stem, caller.name, only))
            if kept:
                sets.append(found.model_copy(update={"callers": kept}))
    return sets


def shard(sets: Sequence[CallerSet], part: str) -> list[CallerSet]:
    """The n-th of m parts, written n/m, of all callers, dealt out in turn. Raises ConfigError."""
    match = re.fullmatch(r"([1-9]\d{0,2})/([1-9]\d{0,2})", part)
    if match is None or int(match[1]) > int(match[2]):
        raise ConfigError(f"The part is '{part}'; it must be as in 1/3, the first of three.")
    number, parts = int(match[1]) - 1, int(match[2])
    count, kept = 0, []
    for found in sets:
        callers = [c for at, c in enumerate(found.callers, count) if at % parts == number]
        count += len(found.callers)
        if callers:
            kept.append(found.model_copy(update={"callers": tuple(callers)}))
    return kept


def _chosen(stem: str, name: str, only: Sequence[str]) -> bool:
    return not only or any(fnmatch(stem, glob) or fnmatch(f"{stem}/{name}", glob) for glob in only)


def _caller_set(path: Path, content: Mapping[str, object]) -> CallerSet:
    try:
        return CallerSet.model_validate({"name": path.stem} | dict(content) | {"file": path})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{key} in the callers' file {path} can't be used: {first['msg']}.") from None
