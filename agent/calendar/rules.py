"""What may be booked: hours, capacity, and how far ahead. Without I/O and clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Literal

from agent.calendar.booking import Booking
from config.calendar import CalendarSettings

# Of closed days, and of times between those at which appointments begin, or outside the hours.
Refusal = Literal["past", "far", "closed", "between", "large", "taken"]
OFFERED = 2


class Rules:
    def __init__(self, settings: CalendarSettings) -> None:
        self._settings = settings
        self._length = timedelta(minutes=settings.minutes)

    def end(self, begin: datetime) -> datetime:
        return begin + self._length

    def refusal(
        self, begin: datetime, people: int, taken: Iterable[Booking], now: datetime
    ) -> Refusal | None:
        """Why nobody can come then; None if they can. `taken` is all around that time."""
        if begin < now:
            return "past"
        if begin.date() > now.date() + timedelta(days=self._settings.days_ahead):
            return "far"
        if not (starts := self._starts(begin.date())):
            return "closed"
        if begin.time() not in starts:
            return "between"
        if self._places(people) > self._settings.capacity:
            return "large"
        if begin < now + timedelta(minutes=self._settings.notice_minutes):
            return "past"
        return None if self._places(people) <= self._left(begin, taken) else "taken"

    def free(self, day: date, people: int, taken: Sequence[Booking], now: datetime) -> list[datetime]:
        """When people can come on that day."""
        starts = (datetime.combine(day, at) for at in self._starts(day))
        return [begin for begin in starts if self.refusal(begin, people, taken, now) is None]

    def nearest(
        self, begin: datetime, people: int, taken: Sequence[Booking], now: datetime
    ) -> list[datetime]:
        """Those nearest to a time that can't be had: on its day, else the first on the next day with any."""
        for day in self.days(begin.date(), now):
            if free := self.free(day, people, taken, now):
                near = free if day != begin.date() else sorted(free, key=lambda at: abs(at - begin))
                return sorted(near[:OFFERED])
        return []

    def days(self, begin: date, now: datetime) -> Iterator[date]:
        """From there on, the two weeks in which others are offered."""
        first = max(begin, now.date())
        yield from (first + timedelta(days=number) for number in range(14))

    def _starts(self, day: date) -> list[time]:
        starts = []
        for opens, closes in self._settings.open_on(day):
            at, last = datetime.combine(day, opens), datetime.combine(day, closes) - self._length
            while at <= last:
                starts.append(at.time())
                at += timedelta(minutes=self._settings.every_minutes)
        return starts

    def _places(self, people: int) -> int:
        return people if self._settings.people else 1

    def _left(self, begin: datetime, taken: Iterable[Booking]) -> int:
        """Places that are free all the time from `begin` on."""
        end = self.end(begin)
        around = [one for one in taken if one.overlaps(begin, end)]
        if not all(one.ours for one in around):
            return 0
        moments = [begin, *(one.begin for one in around if one.begin > begin)]
        most = max(
            sum(self._places(one.people) for one in around if one.begin <= at < one.end) for at in moments
        )
        return self._settings.capacity - most
