import re

import pytest

from models.speech_text import Chunks, pieces


async def spoken(text: str) -> tuple[list[str], str]:
    """What is spoken while `text` comes in small tokens, and what is left for the end."""
    chunks = Chunks(language="en")
    early = [
        piece.text for token in re.findall(r"\s*\S{1,3}", text) async for piece in chunks.aggregate(token)
    ]
    rest = await chunks.flush()
    return early, rest.text if rest else ""


@pytest.mark.parametrize(
    ("text", "early", "rest"),
    [
        ("Yes.", [], "Yes."),
        ("Really? Go on", ["Really?"], "Go on"),
        ("Stop! ", ["Stop!"], ""),
        ("Of course, I can help you. What else", ["Of course,", "I can help you."], "What else"),
        ("Sure, I can help", ["Sure, I can"], "help"),
        ("Call Dr. Smith today", ["Call Dr. Smith"], "today"),
        ("It costs $1,234.50 at 5:30 today", ["It costs $1,234.50"], "at 5:30 today"),
        ("One moment — I look", ["One moment —"], "I look"),
        (
            "We are open from nine in the morning until five",
            ["We are open"],
            "from nine in the morning until five",
        ),
        (
            "Good. After that, we close, and then, at last, we sleep. Fine",
            ["Good.", "After that, we close, and then, at last, we sleep."],
            "Fine",
        ),
        ("First line\nsecond line", ["First line"], "second line"),
        (
            "It goes like this:\n```python\nprint('Hello.')\nprint(1)\n```\nThat is all",
            ["It goes like", "this:", "some code."],
            "That is all",
        ),
        ("So: ~~~\na = 1\n", [], "So: some code."),
        ("Type `ls` or ```ls -l``` there", ["Type `ls` or"], "```ls -l``` there"),
    ],
)
async def test_cuts(text: str, early: list[str], rest: str) -> None:
    assert await spoken(text) == (early, rest)


async def test_every_answer_begins_early_again() -> None:
    chunks = Chunks()
    for _ in range(2):
        early = [piece.text async for piece in chunks.aggregate("Of course, here is")]
        assert early == ["Of course,"]
        await chunks.flush()


async def test_an_interruption_forgets() -> None:
    chunks = Chunks()
    assert [piece async for piece in chunks.aggregate("Half a")] == []
    await chunks.handle_interruption()
    assert await chunks.flush() is None


async def test_endless_text_is_cut() -> None:
    cut = await pieces("word, " * 300, opening=False)
    assert max(map(len, cut)) <= 400
    assert " ".join(cut) == ("word, " * 300).strip()
    assert max(map(len, await pieces("x" * 2000))) <= 400


async def test_pieces_have_all_the_words() -> None:
    text = "Hello, this is Joe. How can I help you? Tell me."
    assert await pieces(text) == ["Hello, this is Joe.", "How can I help you?", "Tell me."]


@pytest.mark.parametrize(
    ("language", "text", "whole"),
    [
        ("en", "It costs you $1,234.56 million in all, really", "$1,234.56 million"),
        ("en", "You owe us $5 million now. Thanks", "$5 million"),
        ("en", "On December 25, 2026 we are closed. Then", "December 25, 2026"),
        ("en", "We met December 25, 2026 in Rome. Then", "December 25, 2026"),
        ("en", "Please do call +1 415 555 2671 now. Thanks", "+1 415 555 2671"),
        ("en", "Call +1 415 555 2671 now. Thanks", "+1 415 555 2671"),
        ("en", "That is Dr. Smith's office. Good", "Dr. Smith's"),
        ("en", "This is the St. Mary's church. Good", "St. Mary's"),
        ("en", "1. Open the door. 2. Close", "1. Open"),
        ("en", "Sure. We close at 5 p.m. every day. Yes", "at 5 p.m. every"),
        ("en", "We come at 5 p.m. every day. Yes", "5 p.m."),
        ("en", "Sure. See https://example.com/?a=1 today. Ok", "https://example.com/?a=1"),
        (
            "en",
            "See [our opening hours](https://x.com/a?b) now. Ok",
            "[our opening hours](https://x.com/a?b)",
        ),
        ("fr", "Cela fait bien 12,50 € en tout. Merci", "12,50 €"),
        ("fr", "Il y a 1 234,56 € en tout. Merci", "1 234,56 €"),
        ("fr", "Je vois là M. Dupont demain. Bien", "M. Dupont"),
        ("fr", "Venez le 25 décembre 2026 à midi. Merci", "25 décembre 2026"),
        ("fr", "Appelez le 01 23 45 67 89 ce soir. Merci", "01 23 45 67 89"),
        ("de", "Am 25. Dezember 2026 ist zu. Gut", "25. Dezember 2026"),
    ],
)
@pytest.mark.parametrize("size", range(1, 10))
async def test_what_is_read_as_one_stays_in_one_piece(
    language: str, text: str, whole: str, size: int
) -> None:
    chunks = Chunks(language=language)
    tokens = [text[at : at + size] for at in range(0, len(text), size)]
    cut = [piece.text for token in tokens async for piece in chunks.aggregate(token)]
    assert cut
    rest = await chunks.flush()
    assert sum(whole in piece for piece in (*cut, rest.text if rest else "")) == 1, cut


@pytest.mark.parametrize(
    ("language", "cut"),
    [
        ("en", ["Just press the *", "key or the # key."]),
        ("es", ["Abrimos de 9 a. m. a", "5 p. m. en la Av. Juárez.", "¿Algo más?"]),
        ("de", ["Wir haben z. B. Pizza,", "d. h. Margherita.", "Passt das?"]),
        ("pt", ["Fica aqui perto,", "no n.º 5, p. ex. segunda.", "Pode ser?"]),
        ("hi", ["हम नौ बजे", "खुलते हैं।", "आप आइए।", "धन्यवाद।"]),
    ],
)
@pytest.mark.parametrize("size", [1, 4])
async def test_stops_within_abbreviations_end_nothing(language: str, cut: list[str], size: int) -> None:
    text, chunks = " ".join(cut), Chunks(language=language)
    came = [
        piece.text
        for at in range(0, len(text), size)
        async for piece in chunks.aggregate(text[at : at + size])
    ]
    rest = await chunks.flush()
    assert [*came, *([rest.text] if rest else [])] == cut


async def test_a_number_at_the_end_of_the_first_words_waits_for_one_word_more() -> None:
    chunks = Chunks(language="en")
    assert [piece.text async for piece in chunks.aggregate("It costs $12 ")] == []
    assert [piece.text async for piece in chunks.aggregate("in all and ")] == ["It costs $12"]
