"""Which call is answered by whom, and when."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from config.accounts import AccountSettings
from config.answering import Place, load_personas
from config.errors import ConfigError
from config.routes import Arrival, RouteSettings, fits
from config.settings import Settings
from config.sip import SipSettings
from config.sources import load

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2024, 1, 8, 12, 0, tzinfo=BERLIN)


def route(**values: Any) -> RouteSettings:
    return RouteSettings.model_validate(values)


CALL = Arrival("+49 30 123", "provider", "192.0.2.9", {"x-department": "Sales"})


@pytest.mark.parametrize(
    ("values", "fitting"),
    [
        ({}, True),
        ({"called": "4930123"}, True),
        ({"called": "600, +49 (30) 123"}, True),
        ({"called": ["4930*"]}, True),
        ({"called": "4931*"}, False),
        ({"called": "*"}, False),
        ({"account": "provider"}, True),
        ({"account": "other"}, False),
        ({"source": "192.0.2.0/24"}, True),
        ({"source": ["10.0.0.0/8", "2001:db8::/32"]}, False),
        ({"header": "X-Department: sales"}, True),
        ({"header": "X-Department: support"}, False),
        ({"header": "X-Other: sales"}, False),
        ({"called": "4930123", "account": "other"}, False),
    ],
)
def test_a_route_fits_what_it_names(values: dict[str, Any], fitting: bool) -> None:
    assert fits(route(**values), CALL, MONDAY) is fitting


@pytest.mark.parametrize(
    ("hours", "open_at", "closed_at"),
    [
        ("mon-fri 9:00-18:00", ["08 09:00", "12 17:59"], ["08 08:59", "08 18:00", "13 12:00"]),
        ("sat 10:00-14:00, sun 10:00-12:00", ["13 10:00", "14 11:59"], ["14 12:00", "12 11:00"]),
        ("fri-mon 22:00-6:00", ["12 22:00", "13 05:59", "09 05:59"], ["12 05:59", "09 22:00", "10 01:00"]),
        ("mon-sun 00:00-24:00", ["08 00:00", "14 23:59"], []),
    ],
)
def test_hours_are_those_of_its_time_zone(hours: str, open_at: list[str], closed_at: list[str]) -> None:
    one = route(hours=hours, time_zone="Europe/Berlin")
    for at, expected in [*((at, True) for at in open_at), *((at, False) for at in closed_at)]:
        there = datetime.fromisoformat(f"2024-01-{at}").replace(tzinfo=BERLIN)
        for zone in (BERLIN, ZoneInfo("America/New_York")):
            assert fits(one, CALL, there.astimezone(zone)) is expected, at


def test_the_first_that_fits_decides_and_numbers_come_behind_them() -> None:
    settings = Settings(
        numbers={"600": "fr", "700": "fr"},
        routes=(
            route(called="600", hours="mon-fri 9:00-18:00", time_zone="Europe/Berlin", persona="es"),
            route(called="600", says="We are closed.", persona="en"),
            route(account="provider", refuse="busy"),
            route(called="echo", persona="fr"),
            route(source="192.0.2.0/24", max_duration_s=60),
        ),
        sip=SipSettings(
            accounts={"provider": AccountSettings(server="192.0.2.1", user="1", registers=False)}
        ),
    )
    personas = load_personas(settings)

    def placed(called: str, at: datetime = MONDAY, **more: Any) -> Place:
        return personas.place(Arrival(called, **more), at)

    day, night = placed("600"), placed("600", MONDAY.replace(hour=20))
    assert ([one.language for one in day.personas], day.says) == (["es"], None)
    assert ([one.language for one in night.personas], night.says) == (["en"], "We are closed.")
    assert placed("700", account="provider").refused
    assert placed("700").personas[0].language == "fr"
    assert placed("700", source="192.0.2.7").max_duration_s == 60
    assert (placed("echo").test, placed("tone").test, placed("600").test) == (None, "tone", None)
    assert {"es", "en", "fr"} <= {one.language for one in personas.all}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{hours: 'mon 9-17'}", "routes whose hours are as 'mon-fri 9:00-18:00"),
        ("{hours: 'mon 9:00-25:00'}", "routes whose hours are as"),
        ("{time_zone: Berlin}", "whose time_zone is as Europe/Berlin"),
        ("{header: sales}", "whose header is a name and a value"),
        ("{refuse: busy, says: no}", "those that refuse have no persona"),
        ("{account: nobody}", "routes has the account nobody, which sip.accounts lacks"),
        ("{hour: 'mon 9:00-17:00'}", "routes"),
    ],
)
def test_what_is_wrong_is_told(text: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "offhook.yaml"
    file.write_text(f"routes: [{text}]")
    with pytest.raises(ConfigError, match="routes") as error:
        load(file, {})
    assert sentence in str(error.value)


def test_a_persona_that_isnt_there_is_told() -> None:
    with pytest.raises(ConfigError, match=r"routes\.0\.persona can't be used: There is no persona 'ed'"):
        load_personas(Settings(routes=(route(persona="ed"),)))
