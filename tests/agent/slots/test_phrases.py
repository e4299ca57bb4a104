"""More of what callers say, in phrases.txt: kind, language, words, and what is read of them.

A kind with a question mark is found in a sentence, rather than asked for.
"""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from agent.slots import Amount, Count, Date, Duration, Email, Name, Phone, Slot, Time
from tests.agent.slots.test_slots import written

NOW = datetime(2026, 3, 11, 15, 20)
KINDS: dict[str, Slot[Any]] = {
    "date": Date(),
    "time": Time(((time(9), time(18)),)),
    "hour": Time(),  # of day or night
    "duration": Duration(),
    "count": Count(most=20),
    "name": Name(),
    "email": Email(),
    "phone": Phone(),
    "amount": Amount(),
}
PHRASES = [
    line.split("|") for line in (Path(__file__).parent / "phrases.txt").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize(("kind", "language", "words", "expected"), PHRASES)
def test_what_is_read(kind: str, language: str, words: str, expected: str) -> None:
    slot = KINDS[kind.rstrip("?")]
    read = slot.find if kind.endswith("?") else slot.read
    value = read(words, language=language, now=NOW)
    assert ("" if value is None else written(value)) == expected


@pytest.mark.parametrize("language", ["en", "fr", "es", "it", "pt"])
def test_what_is_denied_is_found_in_time_that_grows_with_the_words(language: str) -> None:
    def took(words: str) -> float:
        begun = perf_counter()
        KINDS["name"].read(words, language=language, now=NOW)
        return perf_counter() - begun

    short, long = (min(took("a b " * times) for _ in range(3)) for times in (200, 2000))
    assert long < 40 * short  # the square would be 100
