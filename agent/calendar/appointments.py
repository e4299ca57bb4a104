"""What callers do with the calendar: ask, book, find, move, cancel. Each act has a key, and is done once."""

from __future__ import annotations

import asyncio
import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from difflib import SequenceMatcher
from pathlib import Path
from typing import Literal, TypeVar
from uuid import uuid4

from agent.calendar.booking import Booking, Events
from agent.calendar.caldav import CalDavStore
from agent.calendar.rules import Refusal, Rules
from agent.calendar.store import Entries, FileStore, Store
from config.calendar import CalendarSettings

T = TypeVar("T")
# How like two names are that one recognizer heard on two days: "Sara Nowak", "Sarah Novak".
LIKE = 0.75
PHONE_DIGITS = 7  # the last ones; what is before them some say and some don't


@dataclass(frozen=True)
class Answer:
    """`others`: when there is room instead, where there is none at the time asked for."""

    status: Literal["free", "booked", "moved", "cancelled", "gone"] | Refusal
    booking: Booking | None = None
    others: tuple[datetime, ...] = ()


class Appointments:
    """Raises CalendarUnavailable, as all its methods do."""

    def __init__(
        self, settings: CalendarSettings, store: Store, now: Callable[[], datetime] | None = None
    ) -> None:
        self.settings = settings
        self.now = now or settings.now
        self._rules = Rules(settings)
        self._store = store

    async def free(self, begin: datetime, people: int = 1) -> Answer:
        """Whether somebody can come then."""

        def look(entries: Entries) -> Answer:
            refused = self._refused(entries, begin, people)
            return refused or Answer("free")

        return await self._change(look)

    async def book(
        self, key: str, begin: datetime, *, name: str, phone: str = "", what: str = "", people: int = 1
    ) -> Answer:
        def book(entries: Entries) -> Answer:
            around = self._around(entries, begin)
            done = (one for one in around if key in one.keys and one.begin == begin and not one.cancelled)
            if booked := next(done, None):
                return Answer("booked", booked)
            if refused := self._refused(entries, begin, people):
                return refused
            uid = f"{uuid4()}@offhook"
            made = Booking(uid, begin, self._rules.end(begin), name, phone, what, people, keys=(key,))
            entries.put(made)
            return Answer("booked", made)

        return await self._change(book)

    async def find(self, *, name: str = "", phone: str = "") -> list[Booking]:
        """What is to come of whoever has this number and name; of the number, where nothing is under both,
        since names are misheard; of the name, where nothing is under the number. All, if neither is given."""
        now = self.now()
        coming = [
            one for one in await self._change(lambda entries: entries.of_callers(now)) if not one.cancelled
        ]
        if name or phone:
            digits = _digits(phone)
            called = [one for one in coming if digits and _digits(one.phone) == digits]
            named = [one for one in coming if name and _alike(one.name, name)]
            coming = [one for one in called if one in named] or called or named
        return sorted(coming, key=lambda one: one.begin)

    async def names(self) -> list[str]:
        """Of all who have something to come, the soonest first."""
        return list(dict.fromkeys(one.name for one in await self.find() if one.name))

    async def move(self, key: str, number: str, begin: datetime) -> Answer:
        def move(entries: Entries) -> Answer:
            found = self._found(entries, number)
            if found is None:
                return Answer("gone")
            if found.begin == begin:
                return Answer("moved", found)
            if refused := self._refused(entries, begin, found.people, besides=found.uid):
                return refused
            moved = replace(found, begin=begin, end=self._rules.end(begin), keys=(*found.keys, key))
            entries.put(moved)
            return Answer("moved", moved)

        return await self._change(move)

    async def cancel(self, key: str, number: str) -> Answer:
        def cancel(entries: Entries) -> Answer:
            found = self._found(entries, number)
            if found is None:
                return Answer("gone")
            cancelled = replace(found, cancelled=True, keys=(*found.keys, key))
            entries.put(cancelled)
            return Answer("cancelled", cancelled)

        return await self._change(cancel)

    async def _change(self, act: Callable[[Entries], T]) -> T:
        def locked() -> T:
            with self._store.changing() as entries:
                return act(entries)

        return await asyncio.to_thread(locked)

    def _refused(self, entries: Entries, begin: datetime, people: int, besides: str = "") -> Answer | None:
        now = self.now()
        taken = [one for one in self._around(entries, begin) if one.uid != besides]
        refusal = self._rules.refusal(begin, people, taken, now)
        if refusal is None:
            return None
        if refusal in ("far", "large"):
            return Answer(refusal)
        return Answer(refusal, others=tuple(self._rules.nearest(begin, people, taken, now)))

    def _around(self, entries: Entries, begin: datetime) -> Sequence[Booking]:
        """All in which a time, or one that may be offered in its place, may be."""
        days = list(self._rules.days(begin.date(), self.now()))
        midnight = datetime.min.time()
        first = min(begin, datetime.combine(days[0], midnight))
        return entries.between(first, datetime.combine(days[-1] + timedelta(days=1), midnight))

    def _found(self, entries: Entries, number: str) -> Booking | None:
        coming = entries.of_callers(self.now())
        return next((one for one in coming if one.number == number and not one.cancelled), None)


def key_of(*parts: str) -> str:
    """Of one act: the same call, the same values, the same key."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def appointments(settings: CalendarSettings, state_dir: Path) -> Appointments:
    """In the calendar that the settings name."""
    events = Events(settings.time_zone)
    if settings.url:
        return Appointments(settings, CalDavStore(settings, state_dir / ".caldav.lock", events))
    return Appointments(settings, FileStore(settings.file or state_dir / "calendar.ics", events))


def _digits(phone: str) -> str:
    return re.sub(r"\D", "", phone)[-PHONE_DIGITS:]


def _alike(one: str, other: str) -> bool:
    first, second = _plain(one), _plain(other)
    shorter, longer = sorted((first.split(), second.split()), key=len)
    if shorter and len(shorter) < len(longer):  # "Baker" is "Ann Baker"
        return all(any(_like(a, b) for b in longer) for a in shorter)
    return _like(first, second)


def _like(one: str, other: str) -> bool:
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= LIKE


def _plain(name: str) -> str:
    decomposed = unicodedata.normalize("NFD", name.lower())
    return "".join(c for c in decomposed if not unicodedata.combining(c)).strip()
