"""More of what callers say, in phrases.txt: kind, language, words, and what is read of them.

A kind with a question mark is found in a sentence, rather than asked for.
"""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path
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
