"""The calendar's acts, as flows call them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from agent.calendar.appointments import appointments
from agent.calendar.tools import CalendarTools, every_tool
from agent.tools.tool import CallFacts
from agent.tools.toolbox import Toolbox
from config.calendar import CalendarSettings
from config.settings import Settings

CALL = CallFacts(id="c1", language="en")
FRIDAY = {"date": "2026-03-13", "time": "10:00", "name": "Ann Baker", "phone": "+12125550199"}


@pytest.fixture
def box(tmp_path: Path) -> Toolbox:
    desk = appointments(CalendarSettings(hours=("mon-thu 9:00-17:00", "fri 9:00-12:00")), tmp_path)
    desk.now = lambda: datetime(2026, 3, 11, 15, 20)
    return Toolbox(CalendarTools(desk).tools())


async def called(
    box: Toolbox, tool: str, arguments: dict[str, str], call: CallFacts = CALL
) -> dict[str, str]:
    outcome = await box.call(tool, arguments, call=call)
    assert not outcome.error
    return dict(outcome.result)


async def test_an_appointment_from_beginning_to_end(box: Toolbox) -> None:
    booked = await called(box, "book_appointment", FRIDAY)
    assert booked["status"] == "booked"
    assert booked["when"] == "Friday, March 13, 10:00 AM"
    found = await called(box, "find_appointment", {"name": "Ann Baker"})
    assert (found["status"], found["booking"]) == ("found", booked["booking"])
    moved = await called(
        box, "move_appointment", {"booking": found["booking"], "date": "2026-03-12", "time": "14:30"}
    )
    assert (moved["status"], moved["when"]) == ("moved", "Thursday, March 12, 2:30 PM")
    assert (await called(box, "cancel_appointment", {"booking": found["booking"]}))["status"] == "cancelled"
    assert await called(box, "find_appointment", {"name": "Ann Baker"}) == {"status": "none"}


@pytest.mark.parametrize("at", ["10:00:00Z", "10:00+01:00"])
async def test_a_time_with_an_offset_is_the_one_that_was_said(box: Toolbox, at: str) -> None:
    booked = await called(box, "book_appointment", FRIDAY | {"time": at})
    assert (booked["status"], booked["when"]) == ("booked", "Friday, March 13, 10:00 AM")


async def test_whose_appointments_there_are(box: Toolbox) -> None:
    tool = box.tool("find_appointment")
    assert tool
    for at, name in (("11:00", "Ann Baker"), ("10:00", "Tom Hill"), ("11:30", "Ann Baker")):
        await called(box, "book_appointment", FRIDAY | {"time": at, "name": name})
    assert await tool.likely["name"]() == ["Tom Hill", "Ann Baker"]


async def test_the_same_call_books_the_same_once(box: Toolbox) -> None:
    first = await called(box, "book_appointment", FRIDAY)
    second = await called(box, "book_appointment", FRIDAY)
    assert first == second
    other = await called(box, "book_appointment", FRIDAY, CallFacts(id="c2", language="en"))
    assert other["status"] == "taken"
    assert other["others"] == "Friday, March 13, 9:30 AM or 10:30 AM"


async def test_several_appointments_are_told_apart_by_their_day(box: Toolbox) -> None:
    await called(box, "book_appointment", FRIDAY)
    await called(box, "book_appointment", FRIDAY | {"date": "2026-03-12", "time": "09:00"})
    several = await called(box, "find_appointment", {"phone": "212 555 0199"})
    assert several == {
        "status": "several",
        "when": "Thursday, March 12, 9:00 AM and Friday, March 13, 10:00 AM",
        "offers": ["2026-03-12T09:00", "2026-03-13T10:00"],
    }
    assert (await called(box, "find_appointment", {"name": "Ann Baker", "date": "2026-03-13"}))[
        "status"
    ] == "found"


@pytest.mark.parametrize(
    ("language", "hours"),
    [
        ("en", "Monday–Thursday, 9:00 AM–5:00 PM; Friday, 9:00 AM–12:00 PM"),
        ("fr", "lundi–jeudi, 09:00–17:00; vendredi, 09:00–12:00"),
    ],
)
async def test_hours_are_said_in_the_calls_language(box: Toolbox, language: str, hours: str) -> None:
    assert (await called(box, "opening_hours", {}, CallFacts(language=language)))["hours"] == hours


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("book_appointment", {"date": "2026-03-13", "time": "10:00"}, "name is missing"),
        ("book_appointment", FRIDAY | {"time": "ten"}, "Invalid isoformat string: 'ten'"),
        ("book_appointment", FRIDAY | {"date": "Friday"}, "Invalid isoformat string: 'Friday'"),
        ("cancel_appointment", {"booking": "x", "all": "yes"}, "there is no argument all"),
        ("find_appointment", {}, "either a name or a phone must be given"),
    ],
)
async def test_wrong_arguments(box: Toolbox, name: str, arguments: dict[str, str], problem: str) -> None:
    outcome = await box.call(name, arguments, call=CALL)
    assert outcome.wrong_arguments
    assert problem in outcome.error


def test_they_are_among_all_tools(tmp_path: Path) -> None:
    settings = Settings.model_validate({"state_dir": tmp_path, "tools": {"folder": tmp_path}})
    assert "book_appointment" in every_tool(settings).names


async def test_a_calendar_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "calendar.ics").write_text("my notes")
    box = Toolbox(CalendarTools(appointments(CalendarSettings(), tmp_path)).tools())
    outcome = await box.call("find_appointment", {"name": "Ann"}, call=CALL)
    assert "is no iCalendar file" in outcome.error
