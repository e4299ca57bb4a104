"""How much of a question a caller has heard before they answer it."""

from __future__ import annotations

import pytest

from agent.heard import words_heard

ASKED = "Shall I cancel order 4?"
READ_BACK = "Tuesday, March 4, at 10:30, for Anna Smith. Is that right?"


@pytest.mark.parametrize(
    ("said", "heard", "words"),
    [
        (ASKED, ASKED, 5),
        (ASKED, "One moment. Shall I cancel order 4? It was for two.", 5),
        (ASKED, "Shall I cancel", 3),
        (ASKED, "", 0),
        (READ_BACK, "Tuesday, March 4th, at 10:30, for Anna Smith.", 9),
        (READ_BACK, "Tuesday, March", 2),
        (ASKED, "Your order 4 is on its way and will be with you soon.", 0),
        (READ_BACK, "Anna Smith, is that right?", 0),
    ],
    ids=["all", "more", "part", "nothing", "otherwise", "part of much", "its end before", "its end alone"],
)
def test_how_far_the_caller_came(said: str, heard: str, words: int) -> None:
    assert words_heard(said, heard) == words
