"""The calendar that callers book in, and what may be booked."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, SecretStr

from config.hours import parse_hours
from config.section import FilePath, Section, Url


def _hours(span: str) -> str:
    try:
        _, opens, closes = parse_hours(span)
    except ValueError:
        raise ValueError("a list of hours, each as 'mon-fri 9:00-12:30'") from None
    if closes <= opens:
        raise ValueError(f"hours that end on the day they begin, which '{span}' don't")
    return span


def _zone(name: str) -> str:
    try:
        if name:
            ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("a time zone such as Europe/Paris") from None
    return name


class CalendarSettings(Section):
    file: FilePath | None = Field(None, description="iCalendar file; calendar.ics in state_dir if absent.")
    url: Url | None = Field(None, description="A CalDAV collection in the place of the file.")
    user: str = Field("", description="Whom to log in as there; empty doesn't.")
    password: SecretStr | None = Field(None, description="With which password.")
    time_zone: Annotated[str, AfterValidator(_zone)] = Field(
        "", description="Of what callers say, such as Europe/Paris; this machine's if empty."
    )
    hours: tuple[Annotated[str, AfterValidator(_hours)], ...] = Field(
        ("mon-fri 9:00-18:00",), max_length=50, description="When there is somebody to come to."
    )
    closed: tuple[date, ...] = Field((), max_length=400, description="Days without hours: 2026-12-25.")
    minutes: int = Field(30, ge=5, le=1440, description="How long an appointment is.")
    every_minutes: int = Field(
        30, ge=5, le=1440, description="Appointments begin so far apart, from opening."
    )
    capacity: int = Field(1, ge=1, le=10_000, description="Appointments at once, or people if `people`.")
    people: bool = Field(False, description="Capacity counts the people who come, as a restaurant's.")
    notice_minutes: int = Field(30, ge=0, le=100_000, description="The least time ahead of one.")
    days_ahead: int = Field(90, ge=1, le=3660, description="And the most.")

    def now(self) -> datetime:
        """The time there, without a zone, as all times of the calendar are."""
        return datetime.now(ZoneInfo(self.time_zone) if self.time_zone else None).replace(tzinfo=None)

    def open_on(self, day: date) -> list[tuple[time, time]]:
        """From when to when, in order."""
        if day in self.closed:
            return []
        spans = (parse_hours(span) for span in self.hours)
        return sorted(
            (opens, closes)
            for days, opens, closes in spans
            if day.weekday() in days or day.weekday() + 7 in days
        )
