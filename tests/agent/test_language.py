"""Which language a caller speaks, on what Whisper base made of telephone-band clips."""

from __future__ import annotations

import pytest

from agent.language import LanguagePolicy

# Probabilities as they were measured, and seconds of audible speech.
HELLO = ({"en": 0.66, "fr": 0.008, "es": 0.009}, 0.5)
HOLA = ({"en": 0.76, "fr": 0.002, "es": 0.006}, 0.4)
BONJOUR = ({"en": 0.08, "fr": 0.76, "es": 0.001}, 0.7)
YES = ({"en": 0.42, "fr": 0.014, "es": 0.063}, 0.5)
TABLE_FR = ({"en": 0.004, "fr": 0.99, "es": 0.0001}, 2.0)
TABLE_EN = ({"en": 0.99, "fr": 0.0003, "es": 0.0003}, 1.8)
BOOKING_ES = ({"en": 0.025, "fr": 0.001, "es": 0.95}, 2.2)
IN_FRENCH = ({"en": 0.005, "fr": 0.96, "es": 0.0004}, 1.1)
GERMAN = ({"de": 0.99, "en": 0.001, "fr": 0.00001}, 5.0)
Heard = tuple[dict[str, float], float]


@pytest.mark.parametrize(
    ("candidates", "heard", "language"),
    [
        (["en", "fr"], HELLO, "en"),
        (["fr", "en"], HELLO, "fr"),  # callers of every language say it
        (["es", "en"], HOLA, "es"),  # as English to Whisper as "Hello"
        (["en", "es"], HOLA, "en"),
        (["en", "es"], YES, "en"),
        (["en", "fr"], BONJOUR, "fr"),
        (["en", "fr"], TABLE_FR, "fr"),
        (["fr", "en"], TABLE_EN, "en"),
        (["en", "fr", "es"], BOOKING_ES, "es"),
        (["es", "fr"], TABLE_EN, "es"),  # neither: the one that greeted
        (["en", "fr"], GERMAN, "en"),
    ],
)
def test_the_first_turn(candidates: list[str], heard: Heard, language: str) -> None:
    policy = LanguagePolicy(candidates)
    assert policy.weigh(*heard) == language
    assert policy.holds == candidates[0]  # weighing decides nothing
    policy.turn_over(*heard)
    assert policy.holds == language


def test_what_hello_left_open_the_next_turn_decides() -> None:
    policy = LanguagePolicy(["en", "fr"])
    policy.turn_over(*HELLO)
    assert policy.weigh(*TABLE_FR) == "fr"


def test_turns_that_leave_it_open_add_up() -> None:
    policy = LanguagePolicy(["en", "es"])
    doubtful = ({"en": 0.5, "es": 0.2}, 1.0)
    assert policy.weigh(*doubtful) == "en"
    policy.turn_over(*doubtful)
    assert policy.weigh(*doubtful) == "es"


def test_who_has_spoken_english_is_kept_by_it_until_they_plainly_ask() -> None:
    policy = LanguagePolicy(["en", "fr"])
    for _ in range(20):  # however long it held
        policy.turn_over(*TABLE_EN)
    foreign_name = ({"en": 0.15, "fr": 0.6}, 1.0)
    assert policy.weigh(*foreign_name) == "en"
    assert policy.weigh(*IN_FRENCH) == "fr"
    policy.turn_over(*IN_FRENCH)
    assert policy.holds == "fr"
    assert policy.weigh(*HELLO) == "fr"
    policy.turn_over(*TABLE_EN)
    assert policy.holds == "en"


def test_a_language_that_the_recognizer_doesnt_name_is_unlikely() -> None:
    policy = LanguagePolicy(["en", "fr"])
    assert policy.weigh({"en": 1.0}, 2.0) == "en"
    assert policy.weigh({"fr": 1.0}, 2.0) == "fr"
    assert policy.weigh({}, 0.0) == "en"
