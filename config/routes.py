"""Which call is answered by whom, and when: the first of the routes that fits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from ipaddress import ip_address, ip_network
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from config.accounts import AccountName
from config.hours import parse_hours
from config.numbers import plain_number
from config.section import Network, Section

LONGEST_TEXT = 500
_HEADER = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9-]*)\s*:\s*(?P<value>.*\S)")


def _listed(value: object) -> object:
    return [one.strip() for one in value.split(",")] if isinstance(value, str) else value


def _hours(spans: tuple[str, ...]) -> tuple[str, ...]:
    for span in spans:
        _parsed(span)
    return spans


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("routes whose time_zone is as Europe/Berlin (is tzdata installed?)") from None
    return name


def _header(value: str) -> str:
    if not _HEADER.fullmatch(value):
        raise ValueError("routes whose header is a name and a value, such as 'X-Department: sales'")
    return value


class RouteSettings(Section):
    """What isn't given fits every call."""

    called: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        (), description="Numbers or user parts, any of them; 0800* is whatever begins with 0800."
    )
    account: AccountName | None = Field(None, description="Of sip.accounts.")
    source: Annotated[tuple[Network, ...], BeforeValidator(_listed)] = Field(
        (), description="Networks that the call comes from."
    )
    header: Annotated[str, AfterValidator(_header)] | None = Field(
        None, description="Of the INVITE, with its value: 'X-Department: sales'."
    )
    hours: Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_hours)] = Field(
        (), description="When: 'mon-fri 9:00-18:00, sat 10:00-14:00'; 22:00-6:00 goes on into the next day."
    )
    time_zone: Annotated[str, AfterValidator(_zone)] | None = Field(
        None, description="Of the hours, as Europe/Berlin; the machine's by default."
    )
    persona: str | None = Field(None, description="Who answers; whoever would without a route by default.")
    says: str | None = Field(
        None, min_length=1, max_length=LONGEST_TEXT, description="All that is said, before hanging up."
    )
    refuse: Literal["busy"] | None = Field(None, description="busy doesn't answer.")
    max_duration_s: int | None = Field(None, ge=10, le=86400, description="call.max_duration_s of these.")

    @model_validator(mode="after")
    def _one_outcome(self) -> Self:
        if self.refuse and (self.says or self.persona):
            raise ValueError("routes of which those that refuse have no persona and say nothing")
        return self


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call as it comes: strings from the network."""

    called: str
    account: str = ""
    source: str = ""  # an IP address
    headers: Mapping[str, str] = field(default_factory=dict)  # by lower-case name


def fits(route: RouteSettings, call: Arrival, now: datetime) -> bool:
    """Whether the route is this call's; `now` is aware of its time zone."""
    number = plain_number(call.called)
    if route.called and not any(_is_called(one, number) for one in route.called):
        return False
    if route.account is not None and route.account != call.account:
        return False
    if route.source and not _comes_from(route.source, call.source):
        return False
    if route.header is not None:
        name, value = header_of(route.header)
        if call.headers.get(name, "").lower() != value.lower():
            return False
    there = now.astimezone(ZoneInfo(route.time_zone) if route.time_zone else None)
    return not route.hours or any(_open(span, there) for span in route.hours)


def header_of(header: str) -> tuple[str, str]:
    """Its name in lower case, and its value."""
    found = _HEADER.fullmatch(header)
    assert found
    return found["name"].lower(), found["value"]


def _is_called(pattern: str, number: str) -> bool:
    if len(pattern) > 1 and pattern.endswith("*"):
        return number.startswith(plain_number(pattern[:-1]))
    return number == plain_number(pattern)


def _comes_from(networks: tuple[str, ...], source: str) -> bool:
    try:
        address = ip_address(source)
    except ValueError:
        return False
    return any(address in ip_network(network) for network in networks)


def _parsed(span: str) -> tuple[range, time, time]:
    """The days, by number, and from when to when."""
    try:
        return parse_hours(span)
    except ValueError:
        raise ValueError("routes whose hours are as 'mon-fri 9:00-18:00, sat 10:00-14:00'") from None


def _open(span: str, now: datetime) -> bool:
    days, opens, closes = _parsed(span)

    def is_day(day: int) -> bool:
        return day in days or day + 7 in days

    at = now.time()
    if opens < closes:
        return is_day(now.weekday()) and opens <= at < closes
    yesterday = (now - timedelta(days=1)).weekday()
    return (is_day(now.weekday()) and at >= opens) or (is_day(yesterday) and at < closes)
