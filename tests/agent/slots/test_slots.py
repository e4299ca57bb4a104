"""What callers say, as people and recognizers write it, on a Wednesday afternoon: the 11th of March 2026."""

from __future__ import annotations

from datetime import datetime, time
from decimal import Decimal
from typing import Any

import pytest

from agent.slots import (
    Amount,
    Choice,
    Count,
    Date,
    Duration,
    Email,
    Money,
    Name,
    Phone,
    Problem,
    Slot,
    Spelled,
    Time,
    as_json,
)
from agent.slots.choice import place

NOW = datetime(2026, 3, 11, 15, 20)
HOURS = ((time(9), time(18)),)

# language|words|value, or the problem: !reason
DATES = """
en|first thing, please|!nothing
en|on the first, first thing|2026-04-01
en|First State, please.|!nothing
en|December first works for me|2026-12-01
en|5 December 2nd|2026-12-02
en|Tuesday, sorry, I'm and Wendy.|!nothing
en|Tuesday. Wait, Friday's better for me.|2026-03-13
en|Tuesday, sorry to be a bother.|2026-03-17
en|The 2nd one, Monday, I mean.|2026-03-16
en|Monday or 23.|2026-03-23
en|Thursday of 2, please|2026-04-02
en|Monday at 23|2026-03-16
en|Monday or 7|2026-03-16
en|the first one|!nothing
en|Tuesday. No. Wait.|!nothing
en|Tuesday, no.|!nothing
fr|Mardi. Non, attendez.|!nothing
es|El martes. No, espere.|!nothing
it|Martedì, no, aspetti.|!nothing
pt|Na terça-feira. Não, espere.|!nothing
en|Tuesday, no?|2026-03-17
en|Friday, sorry.|2026-03-13
en|tomorrow|2026-03-12
en|Friday|2026-03-13
en|This Friday, please.|2026-03-13
en|next Tuesday|2026-03-17
en|the third of May|2026-05-03
en|May 3rd|2026-05-03
en|May 3|2026-05-03
en|3rd May|2026-05-03
en|5/3|2026-05-03
en-GB|5/3|2027-03-05
en-GB|3/5|2026-05-03
en|5/3/2026|2026-05-03
en|3/25|2026-03-25
en|2026-04-01|2026-04-01
en|May 3rd, 2026|2026-05-03
en|the 20th|2026-03-20
en|Friday the 13th|2026-03-13
en|Thursday the 13th|!contradiction
en|Friday, no, Saturday|2026-03-14
en|on Friday. No wait, Saturday.|2026-03-14
en|not Friday, Saturday|2026-03-14
en|Not Friday.|!nothing
en|I can't do Friday.|!nothing
en|I can't do Friday but Saturday is fine|2026-03-14
en|Can't we do Friday?|2026-03-13
en|Monday doesn't work, Tuesday.|2026-03-17
fr|Vendredi je ne peux pas.|!nothing
fr|pas vendredi|!nothing
es|El viernes no puedo.|!nothing
it|Lunedì non posso.|!nothing
pt|Segunda não posso.|!nothing
en|Um, Thursday. Sorry, I mean Friday.|2026-03-13
en|Friday or Saturday|!several
en|Tuesday, no, Friday, Wednesday.|!several
en|yesterday|!past
en|last Tuesday|!past
en|two days ago|!past
en|May 3rd, 2025|!past
en|March 10, 2026|!past
en|February 30th|!nothing
en|2/30|!invalid
en|in ten years|!nothing
en|some time next week|!vague
en|whenever suits you|!vague
en|a week from today|2026-03-18
en|in two weeks|2026-03-25
en|a week from Friday|2026-03-20
en|Friday week|2026-03-20
en|two weeks from Friday|2026-03-27
en|the fifteenth of next month|2026-04-15
fr|lundi en huit|2026-03-23
fr|le quinze du mois prochain|2026-04-15
es|el quince del mes que viene|2026-04-15
it|il 15 del mese prossimo|2026-04-15
pt|dia quinze do mês que vem|2026-04-15
en|today|2026-03-11
en|the day after tomorrow|2026-03-13
en|I don't know|!nothing
en|half past seven|!nothing
en|it's 7.30|!nothing
fr|mardi prochain|2026-03-17
fr|le trois mai|2026-05-03
fr|vendredi, non, samedi|2026-03-14
fr|après-demain|2026-03-13
fr|hier|!past
fr|3/5|2026-05-03
es|el próximo martes|2026-03-17
es|el viernes, no, perdón, el sábado|2026-03-14
es|ayer|!past
it|venerdì, anzi, sabato|2026-03-14
it|dopodomani|2026-03-13
it|il tre maggio|2026-05-03
pt|na sexta-feira|2026-03-13
pt|três de maio|2026-05-03
pt|sexta, aliás, sábado|2026-03-14
"""

TIMES = """
en|Have past two.|14:30
en|seven to nine|!vague
en|from seven to nine|!vague
en|ten to eleven|10:50
en|seven minutes to nine|!range
en|F past 2|14:30
en|For a clock.|16:00
en|at to a clock|14:00
en|ten of clock|10:00
en|Nine short, then.|09:00
en|Quarter past four. Well, half past four is easier.|16:30
en|Oh, let us say three|15:00
en|One moment, please.|!nothing
en|there are 2 of us|!nothing
en|and have passed you.|14:30
en|Order past three.|15:15
en|make a task past 3|15:30
en|CAST past 11|11:30
en|that's past three|!nothing
en|free cloth|15:00
en|in we have to noon, please|!vague
en|tough past three in the afternoon|!several
en|just past three|!nothing
en|Quarter past free|15:15
en|for 30|16:30
en|New.|12:00
en|At you.|12:00
en|7:30|!range
en|half past nine|09:30
en|nine|09:00
en|nine o'clock.|09:00
en|at ten|10:00
en|half past two|14:30
en|2:30|14:30
en|2 30|14:30
en|230|14:30
en|230 pm|14:30
en|2.30 pm|14:30
en|on Friday at 930|09:30
en|2 p.m.|14:00
en|At 4 PM, please.|16:00
en|1630|16:30
en|four thirty p.m.|16:30
en|quarter to eleven|10:45
en|a quarter past three|15:15
en|ten to four|15:50
en|noon|12:00
en|midday|12:00
en|three. No, four.|16:00
en|three, actually half past three|15:30
en|ten or eleven|!several
en|in the afternoon|!vague
en|eight in the evening|!range
en|10 in the morning|10:00
en|at six|18:00
en|Tuesday|!nothing
en|I don't know|!nothing
en|3 o'clock in the afternoon|15:00
en|Make that 3 of a clock.|15:00
en|We have a clock.|!nothing
en|in the after noon|!vague
en|three in the after noon|15:00
en|15:00|15:00
en|five past ten|10:05
fr|quatorze heures trente|14:30
fr|deux heures de l'après-midi|14:00
fr|14h30|14:30
fr|dix heures et demie|10:30
fr|trois heures, non, quatre heures|16:00
es|a las tres y media|15:30
es|a las diez de la mañana|10:00
it|alle tre e mezza|15:30
it|alle quindici|15:00
pt|às três e meia|15:30
pt|quinze horas|15:00
"""

DURATIONS = """
en|an hour|60
en|two hours|120
en|an hour and a half|90
en|half an hour|30
en|ninety minutes|90
en|45 min|45
en|three quarters of an hour|45
en|two and a half hours|150
en|two hours and fifteen minutes|135
en|1.5 hours|90
en|one hour, no, two hours|120
en|two or three hours|!vague
en|a long while|!nothing
fr|une heure et demie|90
fr|une demi-heure|30
fr|trois quarts d'heure|45
es|una hora y media|90
es|media hora|30
it|un'ora e mezza|90
it|mezz'ora|30
pt|uma hora e meia|90
pt|meia hora|30
"""

COUNTS = """
en|four|4
en|For 4.|4
en|for four people|4
en|the two of us|2
en|just me|1
en|my wife and I|2
en|a couple|2
en|six or seven|!several
en|four. Actually, five.|5
en|five people, no, six|6
en|there'll be three of us|3
en|two adults and a child|3
en|a hundred|!range
en|none|!nothing
fr|on sera quatre|4
fr|quatre, non, cinq|5
es|somos cuatro|4
it|siamo in quattro|4
pt|somos quatro|4
"""

PHONES = """
en|555 0199|5550199
en|five five five, oh one nine nine|5550199
en|212 555 0199|+12125550199
en|two one two, triple five, oh one double nine|+12125550199
en|(212) 555-0199|+12125550199
en|2-1-2, 5-5-5, 0-1-9-9|+12125550199
en|to 12 5 5 5 0 199|+12125550199
en|212, 555, a 199.|+12125550199
en|It's 212. Oh, 555. 0163.|+12125550163
en|call me on 212 555 0199|+12125550199
en|plus four four twenty, seven nine four six oh nine five eight|+442079460958
en-GB|020 7946 0958|+442079460958
en-GB|oh two oh, seven nine four six, oh nine five eight|+442079460958
en|5 5 5|!short
en|555 019 9555 0199 5550|!long
en|I don't know|!nothing
en|212 555 0198, sorry, 212 555 0199|+12125550199
en|212 555 0198, no, sorry, 212 555|!short
en|212 555 0199. Make that three o'clock.|+12125550199
fr|zéro six, douze, trente-quatre, cinquante-six, soixante-dix-huit|+33612345678
fr|06 12 34 56 78|+33612345678
es|seis uno dos tres cuatro cinco seis siete ocho|+34612345678
it|tre quattro sette uno due tre quattro cinque sei sette|+393471234567
pt|onze nove oito sete seis cinco quatro três dois um|+5511987654321
pt|onze nove oito sete meia cinco quatro três dois um|+5511987654321
en|212 treble five 0198|+12125550198
"""

EMAILS = """
en|joe dot smith at example dot com|joe.smith@example.com
en|Joe.Smith@example.com|joe.smith@example.com
en|it's joe.smith at example.com|joe.smith@example.com
en|my email is joe underscore smith at example dot co dot uk|joe_smith@example.co.uk
en|J O E at example dot com|joe@example.com
en|J-O-E at example dot com|joe@example.com
en|ann dash marie at example dot org, thanks|ann-marie@example.org
en|joe forty two at example dot com|joe42@example.com
en|joe at example|!invalid
en|I haven't got one|!nothing
fr|jean point dupont arobase exemple point fr|jean.dupont@exemple.fr
es|ana punto lopez arroba ejemplo punto es|ana.lopez@ejemplo.es
it|mario punto rossi chiocciola esempio punto it|mario.rossi@esempio.it
pt|ana ponto silva arroba exemplo ponto com|ana.silva@exemplo.com
"""

SPELLINGS = """
en|S M I T H|SMITH
en|S-M-I-T-H|SMITH
en|S, M, I, T, H.|SMITH
en|B as in Bravo, R, double O, K|BROOK
en|B for Bob, E for Emma, N|BEN
en|Sierra Mike India Tango Hotel|SMITH
en|that's S-M-Y-T-H-E|SMYTHE
en|GRA, why?|GRAY
en|J, oh, N, E, ess|JONES
en|G, R, A, Y. Are you there?|GRAY
en|Can I see you?|!nothing
en|K-A-double L-Y|KALLY
en|I don't know|!nothing
fr|D U P O N T|DUPONT
es|L-Ó-P-E-Z|LÓPEZ
"""

NAMES = """
en|Ann Baker|Ann Baker
en|ann baker|Ann Baker
en|My name is Ann Baker.|Ann Baker
en|It's Ann.|Ann
en|Yeah, hi, this is Tom Okafor speaking.|Tom Okafor
en|Smith, S-M-Y-T-H.|Smyth
en|Ann Smith. That's S-M-Y-T-H-E.|Ann Smythe
en|Still look great, GRA, why?|Still Look Gray
en|ANN BAKER|Ann Baker
en|It's John Smith, J-O-N.|Jon Smith
en|The name is Vincent van Gogh|Vincent van Gogh
en|S-M-I-T-H|Smith
en|under the name of O'Brien, please|O'Brien
en|Baker, sorry, Barker|Barker
en|Will May|Will May
en|Irene, Irene Foster.|Irene Foster
en|Duran Duran|Duran Duran
fr|Je m'appelle Jean Dupont|Jean Dupont
es|Me llamo Ana López|Ana López
it|Mi chiamo Mario Rossi|Mario Rossi
pt|Meu nome é Ana Silva|Ana Silva
en|um|!nothing
"""

AMOUNTS = """
en|twenty dollars|20 USD
en|$20|20 USD
en|$12.50|12.50 USD
en|twelve fifty|12.50 USD
en|twelve dollars and fifty cents|12.50 USD
en|fifty cents|0.5 USD
en|a hundred euros|100 EUR
en|£5|5 GBP
en-GB|twenty|20 GBP
en|1,200 dollars|1200 USD
en|ten, no, twenty dollars|20 USD
en|a lot|!nothing
fr|douze euros cinquante|12.50 EUR
fr|12,50 €|12.50 EUR
es|veinte euros|20 EUR
it|venti euro|20 EUR
pt|vinte reais|20 BRL
"""


def rows(table: str) -> list[list[str]]:
    return [line.split("|") for line in table.strip().splitlines()]


def written(value: Any) -> str:
    match value:
        case Problem():
            return f"!{value.reason}"
        case Money():
            return f"{value.amount.normalize():f} {value.currency}"
        case _:
            return str(as_json(value))


def check(slot: Slot[Any], language: str, words: str, expected: str) -> None:
    value = written(slot.read(words, language=language, now=NOW))
    if isinstance(slot, Amount) and not expected.startswith("!"):
        amount, currency = expected.split()
        expected = f"{Decimal(amount).normalize():f} {currency}"
    assert value == expected


@pytest.mark.parametrize(("language", "words", "expected"), rows(DATES))
def test_dates(language: str, words: str, expected: str) -> None:
    check(Date(), language, words, expected)


@pytest.mark.parametrize(("language", "words", "expected"), rows(TIMES))
def test_times(language: str, words: str, expected: str) -> None:
    check(Time(HOURS), language, words, expected)


@pytest.mark.parametrize(("language", "words", "expected"), rows(DURATIONS))
def test_durations(language: str, words: str, expected: str) -> None:
    check(Duration(), language, words, expected)


@pytest.mark.parametrize(("language", "words", "expected"), rows(COUNTS))
def test_counts(language: str, words: str, expected: str) -> None:
    check(Count(most=20), language, words, expected)


@pytest.mark.parametrize(("language", "words", "expected"), rows(PHONES))
def test_telephone_numbers(language: str, words: str, expected: str) -> None:
    check(Phone(), language, words, expected)


@pytest.mark.parametrize(("language", "words", "expected"), rows(EMAILS))
def test_addresses(language: str, words: str, expected: str) -> None:
    check(Email(), language, words, expected)


@pytest.mark.parametrize(("language", "words", "expected"), rows(SPELLINGS))
def test_spelling(language: str, words: str, expected: str) -> None:
    check(Spelled(), language, words, expected)


@pytest.mark.parametrize(("language", "words", "expected"), rows(NAMES))
def test_names(language: str, words: str, expected: str) -> None:
    check(Name(), language, words, expected)


@pytest.mark.parametrize(("language", "words", "expected"), rows(AMOUNTS))
def test_amounts(language: str, words: str, expected: str) -> None:
    check(Amount(), language, words, expected)


SERVICES = Choice({"haircut": ["cut", "trim"], "haircut and colour": ["cut and color"], "massage": []})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("a haircut please", "haircut"),
        ("just a trim", "haircut"),
        ("cut and color", "haircut and colour"),
        ("a hair cut", "haircut"),
        ("massages", "massage"),
        ("the first one", "haircut"),
        ("the last one", "massage"),
        ("a haircut, no, a massage", "massage"),
        ("a haircut or a massage", "!several"),
        ("what have you got?", "!nothing"),
    ],
)
def test_choices(words: str, expected: str) -> None:
    check(SERVICES, "en", words, expected)


@pytest.mark.parametrize(
    ("language", "words", "taken"),
    [
        ("en", "The second one, please.", 1),
        ("en", "I'd like the 2nd 1", 1),
        ("en", "The first.", 0),
        ("en", "the later one then", 2),
        ("en", "The last one", 2),
        ("en", "the earlier", 0),
        ("en", "December second", None),
        ("en", "The fourth one", None),
        ("en", "The second one or the third", None),
        ("en", "No, neither", None),
        ("fr", "Je prends le deuxième.", 1),
        ("es", "El primero, por favor.", 0),
        ("it", "Il secondo, per favore", 1),
        ("pt", "O segundo, por favor.", 1),
    ],
)
def test_one_of_three_that_are_offered(language: str, words: str, taken: int | None) -> None:
    assert place(words, language, 3) == taken


def test_a_no_that_may_be_chosen_takes_nothing_back() -> None:
    check(Choice({"yes": [], "no": ["none"]}), "en", "Well, no.", "no")


SENTENCE = (
    "Hi, my name is Ann Baker, I'd like a table for four on Friday at half past two, "
    "and my number is 212 555 0199."
)


@pytest.mark.parametrize(
    ("slot", "words", "expected"),
    [
        (Name(), SENTENCE, "Ann Baker"),
        (Count(), SENTENCE, "4"),
        (Date(), SENTENCE, "2026-03-13"),
        (Time(HOURS), SENTENCE, "14:30"),
        (Phone(), SENTENCE, "+12125550199"),
        (Phone(), "212 555 0110. Sorry, 212 555 0119.", "+12125550119"),
        (Phone(), "212 555 0110. No, sorry, 212 555", None),
        (Email(), SENTENCE, None),
        (Amount(), SENTENCE, None),
        (Spelled(), SENTENCE, None),
        (Time(HOURS), "table for four on Friday", None),
        (Count(), "Friday at four", None),
        (Count(), "four", None),
        (Phone(), "table for four on March 13th at 4:30", None),
        (Phone(), "two one two, five five five, five, a one nine nine", None),
        (Date(), "I want to come in at four", None),
        (Date(), "actually make it Tuesday", "2026-03-17"),
        (Count(), "actually make it five people", "5"),
        (Count(), "a table for two adults and two kids on Friday", "4"),
        (Time(HOURS), "no, at five", "17:00"),
        (Time(HOURS), "Make that 3 of a clock.", "15:00"),
        (Time(HOURS), "Make that free cloth.", "15:00"),
        (Time(HOURS), "I'm looking for a clock", None),
        (Time(HOURS), "Wednesday. And in we have to noon.", None),
        (Name(), "I'm not sure yet", None),
        (Name(), "I'm looking for a table", None),
        (Name(), "It's for Friday", None),
        (SERVICES, "can I get a massage on Friday", "massage"),
        (Date(), "Friday or Saturday", "!several"),
    ],
)
def test_what_a_sentence_says(slot: Slot[Any], words: str, expected: str | None) -> None:
    found = slot.find(words, language="en", now=NOW)
    assert (None if found is None else written(found)) == expected


@pytest.mark.parametrize(
    ("slot", "value", "language", "said"),
    [
        (Date(), NOW.date(), "en", "Wednesday, March 11"),
        (Date(), NOW.date(), "en-GB", "Wednesday 11 March"),
        (Date(), NOW.date(), "fr", "mercredi 11 mars"),
        (Date(), NOW.date(), "pt", "quarta-feira, 11 de março"),
        (Time(), time(14, 30), "en", "2:30 PM"),
        (Time(), time(14, 30), "fr", "14:30"),
        (Phone(), "+12125550199", "en", "(212) 555-0199"),
        (Phone(), "+442079460958", "en", "+44 20 7946 0958"),
        (Phone(), "5550199", "en", "555-0199"),
        (Spelled(), "SMITH", "en", "S, M, I, T, H"),
        (Amount(), Money(Decimal("12.50"), "USD"), "en", "$12.50"),
        (Amount(), Money(Decimal(20), "EUR"), "fr", "20,00 €"),
    ],
)
def test_what_is_said_back(slot: Slot[Any], value: Any, language: str, said: str) -> None:
    assert slot.say(value, language=language) == said
