"""Passages by their words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from config.pages import Page, Pages
from models.knowledge.index import Index


def index(language: str, *texts: str) -> Index:
    pages = (Page(f"page {number}", f"# P\n{text}") for number, text in enumerate(texts))
    return Index(Pages(Path(), tuple(pages)), language)


def test_rare_words_count_most_and_those_that_say_nothing_not_at_all() -> None:
    known = index("en", "The library lends books.", "The library has a cellar.", "The library is old.")
    shares = known.shares("What does the library do with the cellar?")
    assert known.ranked("what's with the cellar of the library")[0] == 1
    assert shares[1] == pytest.approx(1.0)
    assert shares[0] == shares[2] < 0.2


@pytest.mark.parametrize(
    ("language", "page", "asked"),
    [
        ("en", "Books are renewed twice.", "can i renew my book"),
        ("fr-CA", "La bibliothèque prête des jeux.", "vous pretez un jeu"),
        ("es", "Las devoluciones son gratuitas.", "¿una devolucion es gratuita?"),
        ("pt", "As reservas são feitas por telefone.", "fazer uma reserva"),
        ("it", "I prestiti durano quattro settimane.", "quanto dura un prestito"),
        ("de", "Die Bücher dürfen verlängert werden.", "kann ich das Buch verlängern"),
        ("hi", "पुस्तकालय में किताबें हैं।", "किताबें पुस्तकालय"),
    ],
)
def test_forms_of_a_word_are_one_word(language: str, page: str, asked: str) -> None:
    known = index(language, "Nada. Nothing. Rien.", page)
    assert known.ranked(asked)[:1] == [1]


@pytest.mark.parametrize("words", ["", "?!", "the of and", '" OR NEAR(', "passages:*", "' -- ;"])
def test_words_are_no_query(words: str) -> None:
    known = index("en", "Some page.", "Another page.")
    assert known.ranked(words) == [] or all(number in (0, 1) for number in known.ranked(words))
    assert np.isfinite(known.shares(words)).all()


def test_a_long_speech_is_asked_about_by_its_end() -> None:
    known = index("en", "The cellar is dry.", "The garden is wet.")
    assert known.ranked("cellar " + "yes well " * 100 + " tell me of the garden") == [1]
