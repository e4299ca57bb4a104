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
    ("language", "text", "cut"),
    [
        ("en", "It costs you $1,234.56 million in all, really", ["It costs you"]),
        ("en", "On December 25, 2026 we are closed. Then", ["On December 25, 2026", "we are closed."]),
        ("en", "Please do call +1 415 555 2671 now. Thanks", ["Please do call", "+1 415 555 2671 now."]),
        ("en", "Call +1 415 555 2671 now. Thanks", ["Call +1 415 555 2671", "now."]),
        ("en", "You owe $5 million now. Thanks", ["You owe $5 million", "now."]),
        ("en", "That is Dr. Smith's office. Good", ["That is Dr. Smith's", "office."]),
        ("en", "1. Open the door. 2. Close", ["1. Open the", "door."]),
        ("en", "Sure. We close at 5 p.m. every day. Yes", ["Sure.", "We close at 5 p.m. every day."]),
        (
            "en",
            "Sure. See https://example.com/?a=1 today. Ok",
            ["Sure.", "See https://example.com/?a=1 today."],
        ),
        (
            "en",
            "See [our opening hours](https://x.com/a?b) now. Ok",
            ["See [our opening hours](https://x.com/a?b)", "now."],
        ),
        ("fr", "Cela fait 12,50 € en tout. Merci", ["Cela fait 12,50 €", "en tout."]),
        ("fr", "Je vois M. Dupont demain. Bien", ["Je vois M. Dupont", "demain."]),
        ("fr", "Venez le 25 décembre 2026 à midi. Merci", ["Venez le 25 décembre 2026", "à midi."]),
        ("de", "Am 25. Dezember 2026 ist zu. Gut", ["Am 25. Dezember 2026", "ist zu."]),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 9])
async def test_what_is_read_as_one_stays_in_one_piece(
    language: str, text: str, cut: list[str], size: int
) -> None:
    chunks = Chunks(language=language)
    tokens = [text[at : at + size] for at in range(0, len(text), size)]
    assert [piece.text for token in tokens async for piece in chunks.aggregate(token)] == cut
