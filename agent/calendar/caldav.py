"""A calendar on a CalDAV server (RFC 4791), each event a resource of its own.

The caldav package would bring an HTTP client that puts itself in the place of urllib3, and needs an older
python-dateutil; two requests are all that is needed of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urljoin
from xml.etree import ElementTree

import httpx2
from icalendar import Calendar, Component, Event

from agent.calendar.booking import Booking, Events
from agent.calendar.store import CalendarUnavailable, Entries, Store
from config.calendar import CalendarSettings

TIMEOUT_S = 5.0
_DAV = "{DAV:}"
_CALDAV = "{urn:ietf:params:xml:ns:caldav}"
_QUERY = """<?xml version="1.0" encoding="utf-8"?>
<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">
<D:prop><D:getetag/><C:calendar-data/></D:prop>
<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT">
<C:time-range start="{begin:%Y%m%dT%H%M%SZ}" end="{end:%Y%m%dT%H%M%SZ}"/>
</C:comp-filter></C:comp-filter></C:filter>
</C:calendar-query>"""


class CalDavStore(Store):
    def __init__(self, settings: CalendarSettings, lock: Path, events: Events) -> None:
        assert settings.url
        super().__init__(lock)
        self._settings = settings
        self._url = settings.url.rstrip("/") + "/"
        self._events = events

    @contextmanager
    def _entries(self) -> Iterator[Entries]:
        password = self._settings.password.get_secret_value() if self._settings.password else ""
        login = (self._settings.user, password) if self._settings.user else None
        try:
            with httpx2.Client(timeout=TIMEOUT_S, auth=login) as http:
                yield CalDavEntries(http, self._url, self._settings.days_ahead, self._events)
        except httpx2.HTTPError as error:
            raise CalendarUnavailable(
                f"The calendar server didn't answer: {type(error).__name__}."
            ) from error


class CalDavEntries(Entries):
    def __init__(self, http: httpx2.Client, url: str, days_ahead: int, events: Events) -> None:
        self._http = http
        self._url = url
        self._days_ahead = days_ahead
        self._events = events
        self._known: dict[str, tuple[str, str, Calendar]] = {}  # by uid: address, ETag and content

    def between(self, begin: datetime, end: datetime) -> list[Booking]:
        return self._events.bookings(self._query(begin, end), begin, end)

    def of_callers(self, begin: datetime) -> list[Booking]:
        events = self._query(begin, begin + timedelta(days=self._days_ahead + 1))
        return [booking for booking in self._events.booked(events) if booking.end > begin]

    def put(self, booking: Booking) -> None:
        if known := self._known.get(booking.uid):
            address, etag, calendar = known
            condition = {"If-Match": etag}
        else:
            address, calendar = f"{self._url}{quote(booking.uid, safe='@')}.ics", Calendar()
            calendar.add("VERSION", "2.0")
            calendar.add("PRODID", "-//offhook//EN")
            calendar.add_component(Event())
            condition = {"If-None-Match": "*"}
        for event in calendar.walk("VEVENT"):
            self._events.write(booking, event)
        kind = {"Content-Type": "text/calendar; charset=utf-8"}
        answer = self._http.put(address, content=calendar.to_ical(), headers=condition | kind)
        if answer.status_code not in (200, 201, 204):
            raise CalendarUnavailable(f"The calendar server answered {answer.status_code} to an entry.")

    def _query(self, begin: datetime, end: datetime) -> Iterator[Component]:
        # A day more at both ends: floating times are the server's own.
        day = timedelta(days=1)
        query = _QUERY.format(begin=begin - day, end=end + day)
        headers = {"Depth": "1", "Content-Type": "application/xml; charset=utf-8"}
        answer = self._http.request("REPORT", self._url, content=query.encode(), headers=headers)
        if answer.status_code != 207:
            raise CalendarUnavailable(f"The calendar server answered {answer.status_code} to a query.")
        try:
            for response in ElementTree.fromstring(answer.content).iter(f"{_DAV}response"):
                data = response.find(f".//{_CALDAV}calendar-data")
                if data is None or not data.text:
                    continue
                calendar = Calendar.from_ical(data.text)
                assert isinstance(calendar, Calendar)
                address = urljoin(self._url, response.findtext(f"{_DAV}href") or "")
                etag = response.findtext(f".//{_DAV}getetag") or "*"
                for event in calendar.walk("VEVENT"):
                    self._known[str(event.get("UID"))] = (address, etag, calendar)
                    yield event
        except (ElementTree.ParseError, ValueError) as error:
            raise CalendarUnavailable("The calendar server's answer can't be read.") from error
