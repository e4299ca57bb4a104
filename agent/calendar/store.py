"""Where the calendar is kept: an iCalendar file that other programs may open and write as well."""

from __future__ import annotations

import fcntl
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from icalendar import Calendar, Component, Event

from agent.calendar.booking import Booking, Events

LOCK_S = 5.0  # others hold it for milliseconds
LOCK_POLL_S = 0.01


class CalendarUnavailable(Exception):
    """It can't be read or written, for a reason that is a sentence."""


class Entries(ABC):
    """The calendar, while nobody else of ours changes it."""

    @abstractmethod
    def between(self, begin: datetime, end: datetime) -> list[Booking]:
        """All that takes time then, cancelled ones as well."""

    @abstractmethod
    def of_callers(self, begin: datetime) -> list[Booking]:
        """What was booked here, and ends behind `begin`."""

    @abstractmethod
    def put(self, booking: Booking) -> None:
        """Add it, or change the one with its uid."""


class Store(ABC):
    """Blocks, so it is used from a thread. All its methods raise CalendarUnavailable."""

    def __init__(self, lock: Path) -> None:
        self._lock = lock

    @contextmanager
    def changing(self) -> Iterator[Entries]:
        """What is put is there once the block has ended. Processes of one machine wait for each other."""
        try:
            self._lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._lock.open("a") as file:
                _wait_for(file.fileno(), self._lock)
                with self._entries() as entries:
                    yield entries
        except OSError as error:
            raise CalendarUnavailable(f"The calendar can't be used: {error.strerror or error}.") from error

    @abstractmethod
    @contextmanager
    def _entries(self) -> Iterator[Entries]: ...


def _wait_for(descriptor: int, lock: Path) -> None:
    deadline = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise CalendarUnavailable(f"{lock} has been locked for {LOCK_S:.0f} s.") from None
            time.sleep(LOCK_POLL_S)
        else:
            return


class FileStore(Store):
    def __init__(self, path: Path, events: Events) -> None:
        super().__init__(path.with_name(f".{path.name}.lock"))
        self._path = path
        self._events = events

    @contextmanager
    def _entries(self) -> Iterator[Entries]:
        entries = FileEntries(self._read(), self._events)
        yield entries
        if entries.changed:
            self._write(entries.calendar.to_ical())

    def _read(self) -> Calendar:
        if not self._path.exists():
            calendar = Calendar()
            calendar.add("VERSION", "2.0")
            calendar.add("PRODID", "-//offhook//EN")
            return calendar
        try:
            calendar = Calendar.from_ical(self._path.read_bytes())
        except ValueError as error:
            raise CalendarUnavailable(f"{self._path} is no iCalendar file: {error}.") from error
        if not isinstance(calendar, Calendar):
            raise CalendarUnavailable(f"{self._path} holds no single calendar.")
        return calendar

    def _write(self, content: bytes) -> None:
        """At once or not at all, whenever the machine stops."""
        path = self._path.resolve()
        new = path.with_name(f".{path.name}.new")
        new.touch(mode=0o600)
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            new.chmod(path.stat().st_mode & 0o777)
        new.replace(path)


class FileEntries(Entries):
    def __init__(self, calendar: Calendar, events: Events) -> None:
        self.calendar = calendar
        self.changed = False
        self._events = events

    def between(self, begin: datetime, end: datetime) -> list[Booking]:
        return self._events.bookings(self._all(), begin, end)

    def of_callers(self, begin: datetime) -> list[Booking]:
        return [booking for booking in self._events.booked(self._all()) if booking.end > begin]

    def put(self, booking: Booking) -> None:
        event = next((one for one in self._all() if one.get("UID") == booking.uid), None)
        if event is None:
            event = Event()
            self.calendar.add_component(event)
        self._events.write(booking, event)
        self.changed = True

    def _all(self) -> list[Component]:
        return self.calendar.walk("VEVENT")
