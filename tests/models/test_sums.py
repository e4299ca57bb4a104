"""Sums in callers' words. What stands here is written as recognizers write it."""

from __future__ import annotations

import pytest

from models.llm.sums import sum_of


@pytest.mark.parametrize(
    ("language", "said", "sum_"),
    [
        ("en", "What's twelve times fifteen?", "12 times 15 is 180."),
        ("en", "How much is 18 plus 6?", "18 plus 6 is 24."),
        ("en", "Hello, can you tell me what's 100 divided by 8?", "100 divided by 8 is 12.5."),
        ("en-GB", "What is 20% of 80?", "20 percent of 80 is 16."),
        ("en", "What's twenty percent of eighty?", "20 percent of 80 is 16."),
        ("en", "What's two plus three times four?", "2 plus 3 times 4 is 14."),
        ("en", "What is 7 x 8?", "7 times 8 is 56."),
        ("en", "What is 12 + 30?", "12 plus 30 is 42."),
        ("en", "How much is 1,500 minus 250, please?", "1,500 minus 250 is 1250."),
        ("en", "What's ten divided by three?", "10 divided by 3 is about 3.33."),
        ("en", "What's three minus five?", "3 minus 5 is minus 2."),
        ("fr", "Combien font douze plus quinze ?", "12 plus 15 font 27."),
        ("fr", "Combien font sept fois huit ?", "7 fois 8 font 56."),
        ("fr", "Combien font 20 % de 80 ?", "20 pour cent de 80 font 16."),
        ("es", "¿Cuánto es siete por ocho?", "7 por 8 son 56."),
        ("es", "¿Cuántos son treinta menos doce?", "30 menos 12 son 18."),
        ("es", "¿Cuánto es 100 entre 8?", "100 entre 8 son 12,5."),
        ("it", "Quanto fa diciotto più sei?", "18 più 6 fa 24."),
        ("it", "Mi sa dire quanto fa nove per nove?", "9 per 9 fa 81."),
        ("it", "Quanto fa 100 diviso 4?", "100 diviso 4 fa 25."),
        ("pt", "Quanto é dezessete mais cinco?", "17 mais 5 dá 22."),
        ("pt", "Quanto é seis vezes sete?", "6 vezes 7 dá 42."),
        ("es", "¿Cuánto es el veinte por ciento de ochenta?", "20 por ciento de 80 son 16."),
        ("it", "Quanto fa il 20 per cento di 80?", "20 per cento di 80 fa 16."),
        ("pt", "Quanto é vinte por cento de oitenta?", "20 por cento de 80 dá 16."),
        ("pt-PT", "Quanto são 3,5 mais 1,5?", "3,5 mais 1,5 dá 5."),
    ],
)
def test_a_sum_is_done(language: str, said: str, sum_: str) -> None:
    assert sum_of([said], language) == sum_


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", ["What's 18 plus 6?", "And if I take away four?", "Times two?"]),
        ("fr", ["Combien font 18 plus 6 ?", "Et si j'enlève quatre ?", "Et fois deux ?"]),
        ("es", ["¿Cuánto es 18 más 6?", "¿Y si le quito cuatro?", "¿Y por dos?"]),
        ("it", ["Quanto fa diciotto più sei?", "E se tolgo quattro?", "E per due?"]),
        ("pt", ["Quanto é 18 mais 6?", "E se eu tirar quatro?", "E vezes dois?"]),
    ],
)
def test_it_goes_on_with_the_last_result(language: str, said: list[str]) -> None:
    assert [sum_of(said[:end], language).split()[-1] for end in (1, 2, 3)] == ["24.", "20.", "40."]


def test_what_was_said_in_between_ends_it() -> None:
    assert sum_of(["What's 18 plus 6?", "Thanks. How are you?", "And minus four?"], "en") == ""


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "I'd like a table for four plus two kids."),
        ("en", "My number is 555 1234."),
        ("en", "What's ten divided by zero?"),
        ("en", "How much is a table for two?"),
        ("en", "It's minus five outside."),
        ("en", "We're two adults plus three children, at seven."),
        ("en", "Ten to seven or five past eight?"),
        ("fr", "Une table pour deux plus deux enfants."),
        ("fr", "À midi moins dix."),
        ("es", "Somos cuatro, más o menos."),
        ("es", "A las ocho menos diez."),
        ("it", "Un tavolo per due più un bambino."),
        ("it", "Alle sette meno dieci."),
        ("it", "Le undici meno dieci."),
        ("es", "Once menos diez."),
        ("es", "¿El diez por ciento?"),
        ("it", "Il venti per cento è quaranta."),
        ("it", "Il quindici per cento di duecento è trenta."),
        ("pt", "Três por cento de dois mil é sessenta."),
        ("it", "20/3"),
        ("en", "20/3"),
        ("en", "4x4."),
        ("en", "Two plus one."),
        ("en", "What's 9/11?"),
        ("en", "Do you do 24/7?"),
        ("en", "What's 80 minus 25%?"),
        ("en", "What is -5 plus 3?"),
        ("en", "What's .5 plus .5?"),
        ("en", "What's (2 + 3) times 4?"),
        ("es", "¿Y el tres por dos?"),
        ("es", "Veinticuatro por siete."),
        ("it", "Sessanta per novanta."),
        ("pt", "Às sete menos dez."),
        ("de", "Wie viel ist zwölf plus drei?"),
        ("en", ""),
        ("en", "What's " + "two plus " * 60 + "two?"),
    ],
)
def test_nobody_asked_for_one(language: str, said: str) -> None:
    assert sum_of([said], language) == ""


def test_another_sum_may_follow() -> None:
    assert sum_of(["What's two plus two?", "And seven times nine?"], "en") == "7 times 9 is 63."


def test_numbers_have_no_end() -> None:
    long = " times ".join(["999999999999"] * 8)
    said = [f"What's {long}?", *[f"Times {' times '.join(['999999999999'] * 8)}?"] * 7]
    assert all(len(sum_of(said[:end], "en")) < 2000 for end in range(1, 9))
