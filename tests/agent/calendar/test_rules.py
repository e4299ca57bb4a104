"""What may be booked, on Wednesday the 11th of March 2026 at 15:20."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from agent.calendar.booking import Booking
from agent.calendar.rules import Rules
from config.calendar import CalendarSettings

NOW = datetime(2026, 3, 11, 15, 20)
FRIDAY = date(2026, 3, 13)


def rules(**settings: object) -> Rules:
    return Rules(
        CalendarSettings.model_validate({"hours": ["mon-fri 9:00-12:00", "mon-fri 14:00-18:00"], **settings})
    )


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def taken(begin: str, end: str, **more: object) -> Booking:
    return Booking(f"{begin}@test", at(begin), at(end), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("begin", "refusal"),
    [
        ("2026-03-13 10:00", None),
        ("2026-03-13 11:30", None),
        ("2026-03-13 12:00", "between"),
        ("2026-03-13 13:30", "between"),
        ("2026-03-13 17:30", None),
        ("2026-03-13 18:00", "between"),
        ("2026-03-13 10:10", "between"),
        ("2026-03-14 10:00", "closed"),
        ("2026-03-16 10:00", "closed"),
        ("2026-03-11 15:00", "past"),
        ("2026-03-11 15:30", "past"),
        ("2026-03-11 16:00", None),
        ("2026-07-01 10:00", "far"),
    ],
)
def test_who_can_come_when(begin: str, refusal: str | None) -> None:
    assert rules(closed=["2026-03-16"]).refusal(at(begin), 1, [], NOW) == refusal


@pytest.mark.parametrize(
    ("others", "refusal"),
    [
        ([taken("2026-03-13 10:00", "2026-03-13 10:30")], "taken"),
        ([taken("2026-03-13 10:15", "2026-03-13 10:45")], "taken"),
        ([taken("2026-03-13 09:30", "2026-03-13 10:00")], None),
        ([taken("2026-03-13 10:30", "2026-03-13 11:00")], None),
        ([taken("2026-03-13 10:00", "2026-03-13 10:30", cancelled=True)], None),
        ([taken("2026-03-13 00:00", "2026-03-14 00:00", ours=False)], "taken"),
    ],
)
def test_one_at_a_time(others: list[Booking], refusal: str | None) -> None:
    assert rules().refusal(at("2026-03-13 10:00"), 1, others, NOW) == refusal


def test_people_who_are_counted() -> None:
    restaurant = rules(capacity=10, people=True, minutes=90)
    others = [
        taken("2026-03-13 09:00", "2026-03-13 10:30", people=5),
        taken("2026-03-13 10:30", "2026-03-13 12:00", people=4),
    ]
    begin = at("2026-03-13 09:30")
    assert restaurant.refusal(begin, 5, others, NOW) is None  # the five leave before the four come
    assert restaurant.refusal(begin, 6, others, NOW) == "taken"
    assert restaurant.refusal(begin, 11, others, NOW) == "large"


def test_others_are_offered_close_by() -> None:
    others = [taken("2026-03-13 10:00", "2026-03-13 10:30"), taken("2026-03-13 10:30", "2026-03-13 11:00")]
    assert rules().nearest(at("2026-03-13 10:00"), 1, others, NOW) == [
        at("2026-03-13 09:00"),
        at("2026-03-13 09:30"),
    ]
    assert rules().nearest(at("2026-03-13 10:30"), 1, others, NOW) == [
        at("2026-03-13 09:30"),
        at("2026-03-13 11:00"),
    ]


def test_on_a_day_without_hours_the_next_with_any_is_offered() -> None:
    assert rules().nearest(at("2026-03-14 10:00"), 1, [], NOW) == [
        at("2026-03-16 09:00"),
        at("2026-03-16 09:30"),
    ]


def test_nothing_is_offered_where_nothing_is_free() -> None:
    assert rules(hours=[]).nearest(at("2026-03-13 10:00"), 1, [], NOW) == []
