"""The calendar's acts as tools, for flows and for models that call functions well.

Every result has a `status`, and what may be said of it in the call's language: `when`, `others`, `hours`.
`offers` are the moments of `when` or `others` from which a caller may choose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from typing import Any

from babel import Locale
from babel.dates import get_day_names
from babel.lists import format_list
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema

from agent.calendar.appointments import Answer, Appointments, appointments, key_of
from agent.calendar.booking import Booking
from agent.calendar.store import CalendarUnavailable
from agent.slots import Date, Time
from agent.tools.tool import Arguments, CallFacts, Tool, ToolFailed, WrongArguments
from agent.tools.toolbox import Toolbox, toolbox
from config.settings import Settings

SOURCE = "the calendar"
TIMEOUT_S = 20.0  # more than the lock and a CalDAV server are given together
_DATE = {"type": "string", "format": "date", "description": "The day, as in 2026-05-03."}
_TIME = {"type": "string", "format": "time", "description": "The time of day, as in 14:30."}
_NAME = {"type": "string", "description": "The caller's name."}
_PHONE = {"type": "string", "description": "Their telephone number."}
_BOOKING = {"type": "string", "description": "The appointment, as find_appointment named it."}
_PEOPLE = {"type": "integer", "minimum": 1, "description": "How many come; one by default."}
_WHAT = {"type": "string", "description": "What it is for."}


def every_tool(settings: Settings, before: Toolbox | None = None) -> Toolbox:
    """The calendar's, and all that the settings name, as `toolbox` has them. Raises ConfigError."""
    box = toolbox(settings.tools, before, before.now if before else settings.calendar.now)
    if before:
        own: Iterable[Tool] = [tool for tool in before.tools if tool.source == SOURCE]
    else:
        own = CalendarTools(appointments(settings.calendar, settings.state_dir)).tools()
    for tool in own:
        box.add(tool)
    return box


class CalendarTools:
    def __init__(self, desk: Appointments) -> None:
        self._desk = desk

    def tools(self) -> Iterator[Tool]:
        made: tuple[tuple[Any, str, str, dict[str, Any], list[str]], ...] = (
            (
                self._hours,
                "opening_hours",
                "Tell when there is somebody to come to.",
                {},
                [],
            ),
            (
                self._free,
                "check_appointment",
                "Look whether an appointment could be had at a time, without booking it.",
                {"date": _DATE, "time": _TIME, "people": _PEOPLE},
                ["date", "time"],
            ),
            (
                self._book,
                "book_appointment",
                "Book an appointment for the caller.",
                {
                    "date": _DATE,
                    "time": _TIME,
                    "name": _NAME,
                    "phone": _PHONE,
                    "what": _WHAT,
                    "people": _PEOPLE,
                },
                ["date", "time", "name"],
            ),
            (
                self._find,
                "find_appointment",
                "Find an appointment that the caller has, by their name or telephone number.",
                {"name": _NAME, "phone": _PHONE, "date": _DATE},
                [],
            ),
            (
                self._move,
                "move_appointment",
                "Move an appointment to another time.",
                {"booking": _BOOKING, "date": _DATE, "time": _TIME},
                ["booking", "date", "time"],
            ),
            (
                self._cancel,
                "cancel_appointment",
                "Cancel an appointment.",
                {"booking": _BOOKING},
                ["booking"],
            ),
        )
        for run, name, about, properties, required in made:
            yield Tool(
                FunctionSchema(name, about, properties, required),
                _told(run),
                check=_checks(properties, required),
                timeout_s=TIMEOUT_S,
                source=SOURCE,
                likely={"name": self._names} if run == self._find else {},
            )

    async def _hours(self, arguments: Arguments, call: CallFacts) -> dict[str, str]:
        week = [self._desk.settings.open_on(day) for day in _WEEK]
        return {"status": "known", "hours": _said_hours(week, call.language or "en")}

    async def _free(self, arguments: Arguments, call: CallFacts) -> dict[str, Any]:
        return _result(await self._desk.free(arguments["begin"], arguments.get("people", 1)), call)

    async def _book(self, arguments: Arguments, call: CallFacts) -> dict[str, Any]:
        begin: datetime = arguments["begin"]
        more = {name: arguments[name] for name in ("phone", "what", "people") if name in arguments}
        key = key_of(call.id, "book", begin.isoformat(), arguments["name"])
        return _result(await self._desk.book(key, begin, name=arguments["name"], **more), call)

    async def _find(self, arguments: Arguments, call: CallFacts) -> dict[str, Any]:
        name, phone = arguments.get("name", ""), arguments.get("phone", "")
        if not (name or phone):
            raise WrongArguments("either a name or a phone must be given")
        found = await self._desk.find(name=name, phone=phone)
        if day := arguments.get("date"):
            on = [one for one in found if one.begin.date() == day]
            # "The one on Monday" is the one in two weeks, too, where nothing else is meant by it.
            found = on or [one for one in found if one.begin.weekday() == day.weekday()]
        if not found:
            return {"status": "none"}
        if len(found) > 1:
            return {
                "status": "several",
                "when": _listed([one.begin for one in found], call, style="standard"),
                "offers": _iso([one.begin for one in found]),
            }
        return {"status": "found", **_of(found[0], call)}

    async def _names(self) -> Sequence[str]:
        with _failing():
            return await self._desk.names()

    async def _move(self, arguments: Arguments, call: CallFacts) -> dict[str, Any]:
        begin: datetime = arguments["begin"]
        key = key_of(call.id, "move", arguments["booking"], begin.isoformat())
        return _result(await self._desk.move(key, arguments["booking"], begin), call)

    async def _cancel(self, arguments: Arguments, call: CallFacts) -> dict[str, Any]:
        key = key_of(call.id, "cancel", arguments["booking"])
        return _result(await self._desk.cancel(key, arguments["booking"]), call)


@contextmanager
def _failing() -> Iterator[None]:
    """A calendar that can't be had is a tool that failed."""
    try:
        yield
    except CalendarUnavailable as error:
        raise ToolFailed(str(error)) from error


def _told(run: Any) -> Any:
    async def told(arguments: Arguments, call: CallFacts) -> dict[str, Any]:
        with _failing():
            result: dict[str, Any] = await run(arguments, call)
        return result

    return told


def _checks(properties: Any, required: Sequence[str]) -> Any:
    def check(arguments: Arguments) -> Arguments:
        if missing := [name for name in required if not arguments.get(name)]:
            raise WrongArguments(f"{missing[0]} is missing")
        if unknown := sorted(set(arguments) - set(properties)):
            raise WrongArguments(f"there is no argument {unknown[0]}")
        checked = {name: value for name, value in arguments.items() if value not in ("", None)}
        try:
            if "date" in checked:
                checked["date"] = date.fromisoformat(checked["date"])
            if "time" in checked:
                at = time.fromisoformat(checked["time"]).replace(tzinfo=None)  # JSON Schema's have an offset
                checked["begin"] = datetime.combine(checked["date"], at)
            if "people" in checked:
                checked["people"] = int(checked["people"])
        except (ValueError, TypeError) as error:
            raise WrongArguments(str(error)) from None
        return checked

    return check


def _result(answer: Answer, call: CallFacts) -> dict[str, Any]:
    result: dict[str, Any] = {"status": answer.status}
    if answer.booking:
        result |= _of(answer.booking, call)
    if answer.others:
        result["others"] = _listed(answer.others, call, style="or")
        result["offers"] = _iso(answer.others)
    return result


def _iso(moments: Iterable[datetime]) -> list[str]:
    return [one.isoformat(timespec="minutes") for one in moments]


def _of(booking: Booking, call: CallFacts) -> dict[str, str]:
    return {
        "booking": booking.number,
        "name": booking.name,
        "when": _listed([booking.begin], call, style="or"),
    }


def _listed(moments: Sequence[datetime], call: CallFacts, *, style: Any) -> str:
    """As in "Friday, March 13, 9:30 AM or 10:30 AM", each day said once."""
    language = call.language or "en"
    locale = Locale.parse(language, sep="-")
    said = []
    for day in dict.fromkeys(one.date() for one in moments):
        times = [Time().say(one.time(), language=language) for one in moments if one.date() == day]
        pattern = str(locale.datetime_formats["medium"])
        said.append(
            pattern.replace("{0}", format_list(times, style=style, locale=locale)).replace(
                "{1}", Date().say(day, language=language)
            )
        )
    return format_list(said, style=style, locale=locale)


_MONDAY = date(2026, 3, 9)
_WEEK = [_MONDAY + timedelta(days=number) for number in range(7)]


def _said_hours(week: Sequence[Sequence[tuple[time, time]]], language: str) -> str:
    """As in "Monday–Friday, 9:00 AM–6:00 PM", days of the same hours together."""
    names = get_day_names("wide", locale=Locale.parse(language, sep="-"))
    say = Time().say
    parts, first = [], 0
    while first < len(week):
        last = first
        while last + 1 < len(week) and week[last + 1] == week[first]:
            last += 1
        if week[first]:
            days = names[first] if first == last else f"{names[first]}–{names[last]}"
            spans = [
                f"{say(opens, language=language)}–{say(closes, language=language)}"
                for opens, closes in week[first]
            ]
            parts.append(f"{days}, {', '.join(spans)}")
        first = last + 1
    return "; ".join(parts)
