"""One appointment, and the iCalendar event that it is (RFC 5545)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rruleset, rrulestr
from icalendar import Component

_KEYS_KEPT = 20


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


class Events:
    """Between events and bookings, in the time zone with that name; "" is the machine's."""

    def __init__(self, time_zone: str) -> None:
        self._zone = ZoneInfo(time_zone) if time_zone else None

    def bookings(self, event: Component, begin: datetime, end: datetime) -> Iterator[Booking]:
        """What the event takes of that time, each time that it recurs."""
        if "DTSTART" not in event or event.get("TRANSP") == "TRANSPARENT":
            return
        first = self._local(_moment(event, "DTSTART"))
        length = self._length(event)
        for at in self._recurrences(event, first, begin - length, end):
            if at < end and begin < at + length:
                yield self._booking(event, at, at + length)

    def booking(self, event: Component) -> Booking | None:
        """One that was booked here; None for others' events."""
        if "X-OFFHOOK-KEYS" not in event:
            return None
        begin = self._local(_moment(event, "DTSTART"))
        return self._booking(event, begin, begin + self._length(event))

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
        self, event: Component, first: datetime, begin: datetime, end: datetime
    ) -> list[datetime]:
        if "RRULE" not in event:
            return [first]
        rules = rruleset()
        given: Any = event["RRULE"]
        for rule in given if isinstance(given, list) else [given]:
            if until := rule.get("UNTIL"):
                rule["UNTIL"] = [self._local(one) for one in until]
            rules.rrule(rrulestr(rule.to_ical().decode().replace("Z", ""), dtstart=first))
        excluded: Any = event.get("EXDATE", [])
        for dates in excluded if isinstance(excluded, list) else [excluded]:
            for one in dates.dts:
                rules.exdate(self._local(one.dt))
        return list(rules.between(begin, end, inc=True))

    def _local(self, moment: Any) -> datetime:
        if not isinstance(moment, datetime):
            return datetime.combine(moment, time())
        return moment.astimezone(self._zone).replace(tzinfo=None) if moment.tzinfo else moment

    def _utc(self, moment: datetime) -> datetime:
        return (moment.replace(tzinfo=self._zone) if self._zone else moment).astimezone(UTC)


def _moment(event: Component, name: str) -> Any:
    value: Any = event[name]
    return value.dt
