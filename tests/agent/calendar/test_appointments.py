"""Booking, moving and cancelling, in a file and on a CalDAV server."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import date, datetime
from pathlib import Path
from subprocess import DEVNULL, Popen

import httpx2
import pytest
from icalendar import Calendar, Event
from pydantic import SecretStr

from agent.calendar.appointments import Answer, Appointments, appointments
from agent.calendar.store import CalendarUnavailable
from config.calendar import CalendarSettings
from tests.peers import free_port

NOW = datetime(2026, 3, 11, 15, 20)
TEN = datetime(2026, 3, 13, 10)
ELEVEN = datetime(2026, 3, 13, 11)


def made(folder: Path, **settings: object) -> Appointments:
    found = appointments(CalendarSettings.model_validate({"time_zone": "Europe/Paris", **settings}), folder)
    found.now = lambda: NOW
    return found


@pytest.fixture(scope="module")
def radicale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A CalDAV server's address."""
    folder = tmp_path_factory.mktemp("radicale")
    port = free_port()
    (folder / "users").write_text("desk:secret\n")
    (folder / "config").write_text(
        f"[server]\nhosts = 127.0.0.1:{port}\n[auth]\ntype = htpasswd\nhtpasswd_filename = {folder}/users\n"
        f"htpasswd_encryption = plain\n[storage]\nfilesystem_folder = {folder}/collections\n"
    )
    command = [sys.executable, "-m", "radicale", "--config", str(folder / "config")]
    with Popen(command, stdout=DEVNULL, stderr=DEVNULL) as server:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(300):
                try:
                    httpx2.get(url, timeout=1)
                    break
                except httpx2.HTTPError:
                    assert server.poll() is None
                    time.sleep(0.1)
            yield url
        finally:
            server.terminate()


@pytest.fixture(params=["file", "caldav"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Appointments]:
    if request.param == "file":
        yield made(tmp_path)
        return
    url = f"{request.getfixturevalue('radicale')}/desk/{tmp_path.name}/"
    login = ("desk", "secret")
    async with httpx2.AsyncClient(auth=login) as http:
        assert (await http.request("MKCALENDAR", url)).status_code == 201
    yield made(tmp_path, url=url, user="desk", password=SecretStr("secret"))


async def book(desk: Appointments, key: str = "k", begin: datetime = TEN, name: str = "Ann Baker") -> Answer:
    return await desk.book(key, begin, name=name, phone="+12125550199", what="haircut", people=1)


async def test_a_booking_is_found_moved_and_cancelled(desk: Appointments) -> None:
    booked = await book(desk)
    assert booked.status == "booked"
    assert booked.booking
    number = booked.booking.number
    [found] = await desk.find(name="Ann Baker", phone="212 555 0199")
    assert (found.begin, found.name, found.phone, found.what) == (TEN, "Ann Baker", "+12125550199", "haircut")
    assert (await desk.move("m", number, ELEVEN)).status == "moved"
    assert (await desk.free(TEN)).status == "free"
    assert (await desk.free(ELEVEN)).status == "taken"
    assert [one.begin for one in await desk.find(name="Ann Baker")] == [ELEVEN]
    assert (await desk.cancel("c", number)).status == "cancelled"
    assert (await desk.cancel("c", number)).status == "gone"
    assert (await desk.free(ELEVEN)).status == "free"
    assert await desk.find(name="Ann Baker") == []


async def test_a_name_that_was_misheard_does_not_hide_what_is_under_the_number(desk: Appointments) -> None:
    await book(desk)
    await book(desk, "t", ELEVEN, "Tom Baker")
    number = "212 555 0199"
    assert [one.name for one in await desk.find(name="Tom Baker", phone=number)] == ["Tom Baker"]
    assert len(await desk.find(name="Ham Bacon", phone=number)) == 2
    assert [one.name for one in await desk.find(name="Tom Baker", phone="646 387 2094")] == ["Tom Baker"]
    assert await desk.find(name="Ham Bacon", phone="unknown") == []


async def test_the_same_act_twice_is_done_once(desk: Appointments) -> None:
    first, second = await book(desk), await book(desk)
    assert (first.status, second.status) == ("booked", "booked")
    assert first.booking
    assert second.booking
    assert first.booking.uid == second.booking.uid
    assert len(await desk.find(name="Ann Baker")) == 1


async def test_what_was_cancelled_may_be_booked_again(desk: Appointments) -> None:
    booked = await book(desk)
    assert booked.booking
    await desk.cancel("c", booked.booking.number)
    assert (await book(desk)).status == "booked"
    assert len(await desk.find(name="Ann Baker")) == 1


async def test_a_taken_time_has_others_offered(desk: Appointments) -> None:
    await book(desk)
    answer = await book(desk, "other", name="Tom Okafor")
    assert answer.status == "taken"
    assert answer.others == (datetime(2026, 3, 13, 9, 30), datetime(2026, 3, 13, 10, 30))


async def test_it_moves_to_a_time_that_overlaps_its_own(tmp_path: Path) -> None:
    desk = made(tmp_path, minutes=60)
    booked = await book(desk)
    assert booked.booking
    assert (await desk.move("m", booked.booking.number, datetime(2026, 3, 13, 10, 30))).status == "moved"


async def test_a_time_that_many_want_at_once_is_one_callers(desk: Appointments) -> None:
    answers = await asyncio.gather(*(book(desk, f"k{n}", name=f"Caller {n}") for n in range(8)))
    assert sorted(answer.status for answer in answers) == ["booked", *["taken"] * 7]


def _book(folder: str, number: int) -> str:
    return asyncio.run(book(made(Path(folder)), f"k{number}")).status


def test_processes_wait_for_each_other(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as processes:
        statuses = sorted(processes.map(_book, [str(tmp_path)] * 4, range(4)))
    assert statuses == ["booked", "taken", "taken", "taken"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Ann Baker", True),
        ("ann barker", True),
        ("Baker", True),
        ("An Baker", True),
        ("Ann", True),
        ("Tom Baker", False),
        ("Mary Smith", False),
    ],
)
async def test_names_are_found_as_they_are_heard(tmp_path: Path, name: str, found: bool) -> None:
    desk = made(tmp_path)
    await book(desk)
    assert bool(await desk.find(name=name)) == found


async def test_what_is_over_is_not_found(tmp_path: Path) -> None:
    desk = made(tmp_path)
    await book(desk)
    desk.now = lambda: datetime(2026, 3, 13, 10, 31)
    assert await desk.find(name="Ann Baker") == []


def written(path: Path, text: str) -> None:
    body = "\r\n".join(line.strip() for line in text.strip().splitlines())
    path.write_text(
        f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//somebody//EN\r\n{body}\r\nEND:VCALENDAR\r\n"
    )


async def test_other_programs_events_take_time_and_stay(tmp_path: Path) -> None:
    written(
        tmp_path / "calendar.ics",
        """BEGIN:VEVENT
        UID:lunch
        DTSTART;TZID=Europe/Paris:20260302T100000
        DTEND;TZID=Europe/Paris:20260302T103000
        RRULE:FREQ=WEEKLY;BYDAY=FR
        EXDATE;TZID=Europe/Paris:20260320T100000
        SUMMARY:Staff meeting
        X-COLOUR:red
        END:VEVENT
        BEGIN:VEVENT
        UID:holiday
        DTSTART;VALUE=DATE:20260316
        SUMMARY:Holiday
        END:VEVENT
        BEGIN:VEVENT
        UID:note
        DTSTART:20260317T090000Z
        DTEND:20260317T093000Z
        TRANSP:TRANSPARENT
        SUMMARY:Somebody's birthday
        END:VEVENT""",
    )
    desk = made(tmp_path)
    assert (await desk.free(TEN)).status == "taken"
    assert (await desk.free(datetime(2026, 3, 20, 10))).status == "free"
    assert (await desk.free(datetime(2026, 3, 27, 10))).status == "taken"
    assert (await desk.free(datetime(2026, 3, 16, 15))).status == "taken"
    assert (await desk.free(datetime(2026, 3, 17, 10))).status == "free"
    assert (await book(desk, begin=ELEVEN)).status == "booked"
    kept = Calendar.from_ical((tmp_path / "calendar.ics").read_bytes())
    events = {str(event["UID"]): event for event in kept.walk("VEVENT")}
    assert len(events) == 4
    assert events["lunch"]["X-COLOUR"] == "red"


@pytest.mark.parametrize(
    ("begins", "rule", "taken", "free"),
    [
        (":20260105T080000Z", "FREQ=WEEKLY", "2026-04-06 10:00", "2026-04-06 09:00"),
        (";TZID=America/New_York:20260302T090000", "FREQ=WEEKLY", "2026-03-16 14:00", "2026-03-16 15:00"),
        (
            ";TZID=America/New_York:20260302T200000",
            "FREQ=WEEKLY;BYDAY=MO",
            "2026-03-17 01:00",
            "2026-03-16 02:00",
        ),
        (":20260302T090000", "FREQ=WEEKLY", "2026-04-06 09:00", "2026-04-06 10:00"),
    ],
)
async def test_others_events_recur_by_the_clocks_of_their_own_zone(
    tmp_path: Path, begins: str, rule: str, taken: str, free: str
) -> None:
    written(
        tmp_path / "calendar.ics",
        f"""BEGIN:VEVENT
        UID:meeting
        DTSTART{begins}
        DURATION:PT30M
        RRULE:{rule}
        END:VEVENT""",
    )
    desk = made(tmp_path, hours=["mon-sun 0:00-23:30"])
    assert (await desk.free(datetime.fromisoformat(taken))).status == "taken"
    assert (await desk.free(datetime.fromisoformat(free))).status == "free"


async def test_one_of_others_recurring_events_is_moved_and_one_cancelled(tmp_path: Path) -> None:
    written(
        tmp_path / "calendar.ics",
        """BEGIN:VEVENT
        UID:lunch
        DTSTART;TZID=Europe/Paris:20260302T100000
        DURATION:PT30M
        RRULE:FREQ=WEEKLY;BYDAY=FR
        END:VEVENT
        BEGIN:VEVENT
        UID:lunch
        RECURRENCE-ID;TZID=Europe/Paris:20260313T100000
        DTSTART;TZID=Europe/Paris:20260313T110000
        DURATION:PT30M
        END:VEVENT
        BEGIN:VEVENT
        UID:lunch
        RECURRENCE-ID:20260320T090000Z
        DTSTART:20260320T090000Z
        DURATION:PT30M
        STATUS:CANCELLED
        END:VEVENT""",
    )
    desk = made(tmp_path)
    assert (await desk.free(TEN)).status == "free"
    assert (await desk.free(ELEVEN)).status == "taken"
    assert (await desk.free(datetime(2026, 3, 20, 10))).status == "free"
    assert (await desk.free(datetime(2026, 3, 27, 10))).status == "taken"


@pytest.mark.parametrize(
    "dates",
    [
        "RDATE;TZID=Europe/Paris:20260313T100000,20260327T100000",
        "RDATE:20260313T090000Z\nRDATE:20260327T090000Z",
        "RDATE;VALUE=PERIOD:20260313T083000Z/PT1H,20260327T090000Z/20260327T093000Z",
    ],
)
async def test_others_events_recur_on_the_dates_that_are_listed(tmp_path: Path, dates: str) -> None:
    written(
        tmp_path / "calendar.ics",
        f"""BEGIN:VEVENT
        UID:lunch
        DTSTART;TZID=Europe/Paris:20260312T100000
        DURATION:PT30M
        {dates}
        END:VEVENT
        BEGIN:VEVENT
        UID:lunch
        RECURRENCE-ID:20260327T090000Z
        DTSTART;TZID=Europe/Paris:20260327T110000
        DURATION:PT30M
        END:VEVENT""",
    )
    desk = made(tmp_path)
    assert (await desk.free(datetime(2026, 3, 12, 10))).status == "taken"
    assert (await desk.free(TEN)).status == "taken"
    assert (await desk.free(ELEVEN)).status == "free"
    assert (await desk.free(datetime(2026, 3, 20, 10))).status == "free"
    assert (await desk.free(datetime(2026, 3, 27, 10))).status == "free"
    assert (await desk.free(datetime(2026, 3, 27, 11))).status == "taken"


async def test_all_later_ones_of_others_recurring_events_are_moved(tmp_path: Path) -> None:
    written(
        tmp_path / "calendar.ics",
        """BEGIN:VEVENT
        UID:lunch
        DTSTART;TZID=Europe/Paris:20260306T100000
        DURATION:PT30M
        RRULE:FREQ=WEEKLY
        END:VEVENT
        BEGIN:VEVENT
        UID:lunch
        RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Paris:20260320T100000
        DTSTART;TZID=Europe/Paris:20260319T140000
        DURATION:PT1H
        END:VEVENT
        BEGIN:VEVENT
        UID:lunch
        RECURRENCE-ID;TZID=Europe/Paris:20260403T100000
        DTSTART;TZID=Europe/Paris:20260403T150000
        DURATION:PT30M
        END:VEVENT
        BEGIN:VEVENT
        UID:lunch
        RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Paris:20260417T100000
        DTSTART;TZID=Europe/Paris:20260417T100000
        TRANSP:TRANSPARENT
        END:VEVENT""",
    )
    desk = made(tmp_path)
    taken = [(13, 10), (19, 14), (26, 14)]
    free = [(20, 10), (27, 10)]
    for day, hour in taken:
        assert (await desk.free(datetime(2026, 3, day, hour))).status == "taken", day
    assert (await desk.free(datetime(2026, 3, 26, 14, 30))).status == "taken"
    for day, hour in free:
        assert (await desk.free(datetime(2026, 3, day, hour))).status == "free", day
    for day, hour, status in (
        *((2, 14, "free"), (3, 10, "free"), (3, 15, "taken"), (9, 14, "taken")),
        *((16, 14, "free"), (17, 10, "free"), (24, 10, "free")),
    ):
        assert (await desk.free(datetime(2026, 4, day, hour))).status == status, (day, hour)


async def test_what_is_moved_out_of_the_calendar_leaves_what_is_before_it(tmp_path: Path) -> None:
    written(
        tmp_path / "calendar.ics",
        """BEGIN:VEVENT
        UID:lunch
        DTSTART:20260306T100000
        DURATION:PT30M
        RRULE:FREQ=WEEKLY
        END:VEVENT
        BEGIN:VEVENT
        UID:lunch
        RECURRENCE-ID;RANGE=THISANDFUTURE:20260320T100000
        DTSTART:99991231T100000
        DURATION:PT30M
        END:VEVENT""",
    )
    desk = made(tmp_path)
    assert (await desk.free(datetime(2026, 3, 13, 10))).status == "taken"
    assert (await desk.free(datetime(2026, 3, 20, 10))).status == "free"


@pytest.mark.parametrize("until", ["20260320T085959Z", "20260313"])
async def test_others_events_recur_until_then_and_stay_as_they_are(tmp_path: Path, until: str) -> None:
    rule = f"FREQ=WEEKLY;UNTIL={until}"
    written(
        tmp_path / "calendar.ics",
        f"""BEGIN:VEVENT
        UID:lunch
        DTSTART;TZID=Europe/Paris:20260306T100000
        DURATION:PT30M
        RRULE:{rule}
        END:VEVENT""",
    )
    desk = made(tmp_path)
    assert (await desk.free(TEN)).status == "taken"
    assert (await desk.free(datetime(2026, 3, 20, 10))).status == "free"
    assert (await book(desk, begin=ELEVEN)).status == "booked"
    assert f"RRULE:{rule}\r\n" in (tmp_path / "calendar.ics").read_bytes().decode()


@pytest.mark.parametrize(
    "lines",
    [
        "DTSTART:20261399T100000Z",
        "DTSTART:20260313T090000Z\nDTSTART:20260313T100000Z",
        "DTSTART:20260306T090000Z\nRRULE:FREQ=WEEKLY\nEXDATE:secret",
        "DTSTART:20260306T090000Z\nRRULE:FREQ=WEEKLY;RSCALE=HEBREW",
        "DTSTART:20260306T090000Z\nRRULE:FREQ=WEEKLY;INTERVAL=0",
        "DTSTART:20000306T090000Z\nRRULE:FREQ=SECONDLY",
        "DTSTART:20260306T090000Z\nRRULE:COUNT=3",
        "DTSTART:99991231T233000Z",
        "DTSTART:20260316T090000Z\nRECURRENCE-ID:secret",
        "DTSTART:secret\nX-OFFHOOK-KEYS:k",
    ],
)
async def test_an_event_that_cannot_be_read_stops_no_booking(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lines: str
) -> None:
    written(tmp_path / "calendar.ics", f"BEGIN:VEVENT\nUID:odd\nSUMMARY:secret\n{lines}\nEND:VEVENT")
    desk = made(tmp_path)
    assert (await book(desk)).status == "booked"
    assert [one.name for one in await desk.find(name="Ann Baker")] == ["Ann Baker"]
    assert (await desk.free(TEN)).status == "taken"
    assert caplog.text.count("may be booked into its time: odd") == 1
    assert "secret" not in caplog.text


async def test_the_file_is_what_a_calendar_program_reads(tmp_path: Path) -> None:
    await book(made(tmp_path))
    calendar = Calendar.from_ical((tmp_path / "calendar.ics").read_bytes())
    [event] = calendar.walk("VEVENT")
    assert isinstance(event, Event)
    assert event.start == datetime.fromisoformat("2026-03-13T10:00+01:00")
    assert event.end == datetime.fromisoformat("2026-03-13T10:30+01:00")
    assert str(event["SUMMARY"]) == "Ann Baker, haircut"
    assert (tmp_path / "calendar.ics").stat().st_mode & 0o777 == 0o600


async def test_a_file_that_is_none_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "calendar.ics").write_text("my notes")
    with pytest.raises(CalendarUnavailable, match="is no iCalendar file"):
        await book(made(tmp_path))
    assert (tmp_path / "calendar.ics").read_text() == "my notes"


async def test_a_server_that_is_gone_is_told(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(CalendarUnavailable, match="didn't answer"):
        await book(made(tmp_path, url=f"http://127.0.0.1:{port}/desk/"))


async def test_a_wrong_password_is_told(radicale: str, tmp_path: Path) -> None:
    with pytest.raises(CalendarUnavailable, match=r"answered 40[13]"):
        await book(made(tmp_path, url=f"{radicale}/desk/x/", user="desk", password=SecretStr("wrong")))


def test_hours_of_a_day() -> None:
    settings = CalendarSettings.model_validate(
        {"hours": ["mon-fri 14:00-18:00", "fri 9:00-12:00"], "closed": ["2026-03-16"]}
    )
    assert [f"{a:%H:%M}-{b:%H:%M}" for a, b in settings.open_on(date(2026, 3, 13))] == [
        "09:00-12:00",
        "14:00-18:00",
    ]
    assert settings.open_on(date(2026, 3, 14)) == []
    assert settings.open_on(date(2026, 3, 16)) == []


@pytest.mark.parametrize(
    ("hours", "problem"),
    [("mo-fr 9-18", "each as 'mon-fri 9:00-12:30'"), ("mon 20:00-2:00", "end on the day they begin")],
)
def test_hours_that_are_none(hours: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        CalendarSettings.model_validate({"hours": [hours]})
