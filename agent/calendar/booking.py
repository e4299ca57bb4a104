"""One appointment, and the iCalendar event that it is (RFC 5545)."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from dateutil.rrule import rruleset, rrulestr
from icalendar import Component

T = TypeVar("T")

_KEYS_KEPT = 20
_ZONES_APART = timedelta(days=2)  # 26 hours at most
_OFTEN = (["SECONDLY"], ["MINUTELY"], ["HOURLY"])  # since years ago: millions
# What icalendar and dateutil raise over what other programs wrote: no time, two where one may be, a rule
# without a frequency, the year 9999.
_UNREADABLE = (ValueError, AttributeError, TypeError, OverflowError)

logger = logging.getLogger("offhook.calendar")


@dataclass(frozen=True)
class Booking:
    """Times are the calendar's own, without a zone. `keys`: of the acts that made it what it is."""

    uid: str
    begin: datetime
    end: datetime
    name: str = ""
    phone: str = ""
    what: str = ""
    people: int = 1
    keys: tuple[str, ...] = ()
    cancelled: bool = False
    ours: bool = True  # False: somebody else's event, in which nobody can come

    @property
    def number(self) -> str:
        """What it goes by where a language model reads it, for whom a uid is thirty tokens."""
        return hashlib.sha256(self.uid.encode()).hexdigest()[:8]

    def overlaps(self, begin: datetime, end: datetime) -> bool:
        return not self.cancelled and self.begin < end and begin < self.end


class _Change(NamedTuple):
    """What became of one occurrence of a recurring event, and of all behind it where `begin` is given."""

    of: Any
    event: Component
    begin: Any


class Events:
    """Between events and bookings, in the time zone with that name; "" is the machine's."""

    def __init__(self, time_zone: str) -> None:
        self._zone = ZoneInfo(time_zone) if time_zone else None
        self._unreadable: set[str] = set()  # by uid

    def bookings(self, events: Iterable[Component], begin: datetime, end: datetime) -> list[Booking]:
        """What the events take of that time, each time that they recur; nothing of what can't be read."""
        events = list(events)
        changes: dict[str, list[_Change]] = defaultdict(list)
        for event in events:
            if change := self._read(event, _change):
                changes[str(event.get("UID"))].append(change)

        def taken(event: Component) -> list[Booking]:
            return list(self._taken(event, changes[str(event.get("UID"))], begin, end))

        return [booking for event in events for booking in self._read(event, taken) or ()]

    def booked(self, events: Iterable[Component]) -> list[Booking]:
        """Those that were booked here."""
        return [booking for event in events if (booking := self._read(event, self._booked))]

    def write(self, booking: Booking, event: Component) -> None:
        """Bring the event up to the booking; what others wrote into it stays."""
        people = f" ({booking.people})" if booking.people > 1 else ""
        what = f", {booking.what}" if booking.what else ""
        values = {
            "UID": booking.uid,
            "SUMMARY": f"{booking.name}{people}{what}",
            "DESCRIPTION": booking.phone,
            "DTSTART": self._utc(booking.begin),
            "DTEND": self._utc(booking.end),
            "DTSTAMP": datetime.now(UTC).replace(microsecond=0),
            "STATUS": "CANCELLED" if booking.cancelled else "CONFIRMED",
            "SEQUENCE": int(event.get("SEQUENCE", -1)) + 1,
            "X-OFFHOOK-NAME": booking.name,
            "X-OFFHOOK-PHONE": booking.phone,
            "X-OFFHOOK-WHAT": booking.what,
            "X-OFFHOOK-PEOPLE": str(booking.people),
            "X-OFFHOOK-KEYS": " ".join(booking.keys[-_KEYS_KEPT:]),
        }
        for name, value in values.items():
            event.pop(name, None)
            event.add(name, value)

    def _read(self, event: Component, read: Callable[[Component], T]) -> T | None:
        """None if it can't be read, which is told once."""
        try:
            return read(event)
        except _UNREADABLE:
            uid = str(event.get("UID"))
            if uid not in self._unreadable:
                self._unreadable.add(uid)
                logger.warning("an event can't be read, and callers may be booked into its time: %s", uid)
            return None

    def _booked(self, event: Component) -> Booking | None:
        if "X-OFFHOOK-KEYS" not in event:
            return None
        begin = self._local(_moment(event, "DTSTART"))
        return self._booking(event, begin, begin + self._length(event))

    def _taken(
        self, event: Component, changes: Sequence[_Change], begin: datetime, end: datetime
    ) -> Iterator[Booking]:
        if "DTSTART" not in event:
            return
        for one, at, length in self._recurrences(event, changes, begin, end):
            if at < end and begin < at + length and one.get("TRANSP") != "TRANSPARENT":
                yield self._booking(one, at, at + length)

    def _booking(self, event: Component, begin: datetime, end: datetime) -> Booking:
        ours = "X-OFFHOOK-KEYS" in event
        summary = str(event.get("SUMMARY", ""))
        return Booking(
            uid=str(event.get("UID", "")),
            begin=begin,
            end=end,
            name=str(event.get("X-OFFHOOK-NAME", summary)),
            phone=str(event.get("X-OFFHOOK-PHONE", "")),
            what=str(event.get("X-OFFHOOK-WHAT", "")),
            people=int(event.get("X-OFFHOOK-PEOPLE", 1)),
            keys=tuple(str(event.get("X-OFFHOOK-KEYS", "")).split()),
            cancelled=event.get("STATUS") == "CANCELLED",
            ours=ours,
        )

    def _length(self, event: Component) -> timedelta:
        start = _moment(event, "DTSTART")
        if "DURATION" in event:
            length: timedelta = _moment(event, "DURATION")
            return length
        if "DTEND" in event:
            return self._local(_moment(event, "DTEND")) - self._local(start)
        return timedelta(0) if isinstance(start, datetime) else timedelta(days=1)

    def _recurrences(
        self, event: Component, changes: Sequence[_Change], begin: datetime, end: datetime
    ) -> Iterator[tuple[Component, datetime, timedelta]]:
        """By the clocks of its own zone, but for those that are events of their own.

        Each with its length, and the event that says what it is.
        """
        start = _moment(event, "DTSTART")
        length = self._length(event)
        if "RRULE" not in event and "RDATE" not in event:
            yield event, self._local(start), length
            return
        own = start.tzinfo if isinstance(start, datetime) else None
        zone = own or self._zone
        rules = rruleset()
        if "RRULE" not in event:
            rules.rdate(_clock(start, zone))
        for rule in _listed(event, "RRULE"):
            if rule.get("FREQ") in _OFTEN or rule.get("INTERVAL", [1])[0] < 1:
                raise ValueError("It recurs too often to be counted.")
            rule = rule.copy()  # what is changed in the event itself is written
            if until := rule.get("UNTIL"):
                rule["UNTIL"] = [_clock(one, zone, time.max) for one in until]
            rules.rrule(rrulestr(rule.to_ical().decode().replace("Z", ""), dtstart=_clock(start, zone)))
        lengths: dict[datetime, timedelta] = {}
        for date in _dates(event, "RDATE"):
            first, *until = date if isinstance(date, tuple) else (date,)  # a period has an end, or a length
            rules.rdate(at := _clock(first, zone))
            for last in until:
                lengths[at] = last if isinstance(last, timedelta) else _clock(last, zone) - at
        for date in _dates(event, "EXDATE"):
            rules.exdate(_clock(date, zone))
        parts = [(datetime.min, event, timedelta(0))]
        for change in changes:
            rules.exdate(at := _clock(change.of, zone))
            if change.begin is not None:
                parts.append((at, change.event, _clock(change.begin, zone) - at))
        parts.sort(key=lambda part: part[0])
        ends = [*(since for since, _, _ in parts[1:]), datetime.max]
        for (since, one, shift), until in zip(parts, ends, strict=True):
            length = self._length(one)
            longest = max(length, *lengths.values(), timedelta(0))
            try:
                earliest = begin - longest - shift - _ZONES_APART
                latest = end - shift + _ZONES_APART
            except OverflowError:  # moved out of the calendar
                continue
            for at in rules.between(earliest, latest, inc=True):
                if since <= at < until:
                    yield one, self._local((at + shift).replace(tzinfo=own)), lengths.get(at, length)

    def _local(self, moment: Any) -> datetime:
        return _clock(moment, self._zone)

    def _utc(self, moment: datetime) -> datetime:
        return (moment.replace(tzinfo=self._zone) if self._zone else moment).astimezone(UTC)


def _moment(event: Component, name: str) -> Any:
    value: Any = event[name]
    return value.dt


def _listed(event: Component, name: str) -> list[Any]:
    given: Any = event.get(name, [])
    return given if isinstance(given, list) else [given]


def _dates(event: Component, name: str) -> Iterator[Any]:
    return (one.dt for dates in _listed(event, name) for one in dates.dts)


def _change(event: Component) -> _Change | None:
    """Of a recurring event, if it is one."""
    if "RECURRENCE-ID" not in event:
        return None
    of = _moment(event, "RECURRENCE-ID")
    later = event["RECURRENCE-ID"].params.get("RANGE", "").upper() == "THISANDFUTURE"
    return _Change(of, event, _moment(event, "DTSTART") if later else None)


def _clock(moment: Any, zone: tzinfo | None, of_day: time = time.min) -> datetime:
    """What clocks show then in that zone; None is the machine's. A day is its moment `of_day`."""
    if not isinstance(moment, datetime):
        return datetime.combine(moment, of_day)
    return moment.astimezone(zone).replace(tzinfo=None) if moment.tzinfo else moment
