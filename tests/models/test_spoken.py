"""Reading days, times and numbers as callers say them, on a Wednesday afternoon."""

from __future__ import annotations

from datetime import datetime, time

import pytest

from models.llm import spoken
from models.llm.spoken_words import LANGUAGES

NOW = datetime(2026, 3, 11, 15, 20)

DAYS = """
en|tomorrow|2026-03-12
en|tonight|2026-03-11
en|tomorrow evening|2026-03-12
en|the day after tomorrow|2026-03-13
en|this Friday|2026-03-13
en|next Tuesday|2026-03-17
en|next Friday|2026-03-20
en|Friday next week|2026-03-20
en|Saturday night|2026-03-14
en|Wednesday|2026-03-18
en|the 3rd of May|2026-05-03
en|May third|2026-05-03
en|the twenty first of June|2026-06-21
en|on the fifteenth|2026-03-15
en|the second of January|2027-01-02
en|the 31st of April|
en|in three days|2026-03-14
en|a week from today|2026-03-18
en|Friday the thirteenth of March|2026-03-13
en|Sunday at one|2026-03-15
en|half past seven on Friday|2026-03-13
en|March 20, 2026|2026-03-20
en|a week on Friday|2026-03-20
en|sometime next month|
en|next week|
en|Friday or Saturday|
en|yesterday|
en|last Tuesday|
en|not this Friday|
en|my mother's sixty years old|
en|whenever you like|
fr|demain soir|2026-03-12
fr|après-demain|2026-03-13
fr|mardi prochain|2026-03-17
fr|le trois mai|2026-05-03
fr|le premier juin|2026-06-01
fr|le vingt et un juin|2026-06-21
fr|dans trois jours|2026-03-14
fr|ce soir|2026-03-11
fr|aujourd’hui|2026-03-11
fr|hier|
es|mañana|2026-03-12
es|mañana por la mañana|2026-03-12
es|pasado mañana|2026-03-13
es|el próximo martes|2026-03-17
es|el veintidós de marzo|2026-03-22
es|el primero de junio|2026-06-01
es|dentro de tres días|2026-03-14
es|esta noche|2026-03-11
es|ayer|
it|domani sera|2026-03-12
it|dopodomani|2026-03-13
it|martedì prossimo|2026-03-17
it|il primo giugno|2026-06-01
it|fra una settimana|2026-03-18
it|stasera|2026-03-11
it|ieri|
pt|amanhã à noite|2026-03-12
pt|depois de amanhã|2026-03-13
pt|na sexta|2026-03-13
pt|terça-feira que vem|2026-03-17
pt|na quinta-feira à noite|2026-03-12
pt|no dia vinte e dois|2026-03-22
pt|daqui a três dias|2026-03-14
pt|ontem|
"""

TIMES = """
en|half past seven|19:30
en|half past seven on Friday|19:30
en|half eight in the morning|08:30
en|tomorrow evening at quarter to eight|19:45
en|a quarter past nine|21:15
en|ten past six|18:10
en|five to nine|20:55
en|eight o'clock|20:00
en|eight|20:00
en|7 p.m.|19:00
en|7:30 pm|19:30
en|19:30|19:30
en|08:15|08:15
en|seven thirty|19:30
en|nine thirty am|09:30
en|at noon tomorrow|12:00
en|midnight|00:00
en|ten in the morning|10:00
en|in two hours|17:20
en|in half an hour|15:50
en|around eight|20:00
en|for two people at seven|19:00
en|eighteen thirty|18:30
en|seven or eight|
en|between six and seven|
en|a party of six|
en|around six people|
en|lunchtime|
fr|à dix-neuf heures|19:00
fr|vingt heures trente|20:30
fr|20h30|20:30
fr|huit heures moins le quart|19:45
fr|midi et demi|12:30
fr|neuf heures et quart du soir|21:15
fr|sept heures et demie du matin|07:30
fr|dans deux heures|17:20
es|a las ocho y media|20:30
es|las ocho menos cuarto|19:45
es|las diez de la mañana|10:00
es|mañana a las ocho de la mañana|08:00
es|a las veintiuna horas|21:00
es|mediodía|12:00
it|alle otto e mezza|20:30
it|le otto meno un quarto|19:45
it|le nove e un quarto di sera|21:15
it|all'una|13:00
it|alle ventuno|21:00
it|mezzogiorno|12:00
pt|às oito e meia|20:30
pt|quinze para as oito|19:45
pt|nove e quinze da noite|21:15
pt|às vinte e uma horas|21:00
pt|dez da manhã|10:00
pt|meio-dia|12:00
"""

NUMBERS = """
en|four|4
en|a party of six|6
en|four of us and two kids|6
en|two adults and a baby|3
en|just me|1
en|my wife and I|2
en|me and my two sons|3
en|a dozen|12
en|twenty-three|23
en|one hundred and five|105
en|four five two one|4521
en|two point five|2.5
en|five or six|
en|a few|
en|the whole family|
fr|on sera six|6
fr|une table pour deux|2
fr|je voudrais une table|
fr|un adulte et un enfant|2
fr|une personne|1
fr|quatre un deux|412
fr|quatre adultes et deux enfants|6
fr|vingt et un|21
es|somos cuatro|4
es|cuatro adultos y dos niños|6
es|una mesa para dos|2
it|un tavolo|
it|siamo in quattro|4
it|quattro adulti e due bambini|6
pt|para seis pessoas|6
pt|quatro adultos e duas crianças|6
"""


def rows(table: str) -> list[list[str]]:
    return [line.split("|") for line in table.strip().splitlines()]


@pytest.mark.parametrize(("language", "words", "day"), rows(DAYS))
def test_days(language: str, words: str, day: str) -> None:
    read = spoken.day(words, language, NOW.date())
    assert (read.isoformat() if read else "") == day


@pytest.mark.parametrize(("language", "words", "at"), rows(TIMES))
def test_times(language: str, words: str, at: str) -> None:
    read = spoken.clock(words, language, NOW)
    assert (read.isoformat("minutes") if read else "") == at


@pytest.mark.parametrize(("language", "words", "number"), rows(NUMBERS))
def test_numbers(language: str, words: str, number: str) -> None:
    read = spoken.number(words, language)
    assert (f"{read:g}" if read is not None else "") == number


@pytest.mark.parametrize(
    ("heard", "within", "at"),
    [
        ("I'd come tomorrow morning, at eight", spoken.WAKING, time(8)),
        ("good morning, a table at eight", spoken.WAKING, time(20)),
        ("at eight", (time(7), time(12)), time(8)),
        ("at eight", (time(9), time(12)), None),
    ],
)
def test_which_eight_o_clock_is_meant(heard: str, within: tuple[time, time], at: time | None) -> None:
    assert spoken.clock("eight", "en", NOW, heard=heard, within=within) == at


@pytest.mark.parametrize(
    ("words", "digits"),
    [
        ("oh one seven six double five", "017655"),
        ("plus forty-four, twenty", "+4420"),
        ("it's 555 0199", "5550199"),
        ("call me", None),
    ],
)
def test_telephone_numbers(words: str, digits: str | None) -> None:
    assert spoken.digits(words, "en") == digits


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_words_read_as_nothing(language: str) -> None:
    for words in ("", "  ", "…", "¡!", "9" * 500):
        assert spoken.day(words, language, NOW.date()) is None
        assert spoken.clock(words, language, NOW) is None
