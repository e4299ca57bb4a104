"""What the bundled model is taught: the conversations' files, and the prompts made of them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from bench.mind.conversations import FOLDER, GENERAL, Conversation, Turn, conversations
from bench.mind.lessons import Lesson, lessons, turns
from config.persona import load_persona
from models.llm import acts, chatml
from models.llm.acts import Tool

ROOT = Path(__file__).parents[2]
SHOP = """\
=== place: Harbour Cycles, a bicycle shop
name: Mia
facts:
- A service costs 45 pounds.
tools:
- book_service: Book a bicycle in. | day, kind of bicycle
C: How much is a service?
A: A service costs 45 pounds.
C: Thursday then, please.
T: book_service {"day": "Thursday"}
R: booked
A: Your bicycle is booked in for Thursday.
C: bye
T: end_call {}
"""
WRITTEN = Conversation(
    "en",
    "Harbour Cycles, a bicycle shop",
    "Mia",
    ["A service costs 45 pounds."],
    {"book_service": ("Book a bicycle in.", ["day", "kind of bicycle"])},
    [
        Turn("How much is a service?", "A service costs 45 pounds."),
        Turn(
            "Thursday then, please.",
            "Your bicycle is booked in for Thursday.",
            "book_service",
            {"day": "Thursday"},
            "booked",
        ),
        Turn("bye", tool="end_call"),
    ],
)


def tokenize(text: str) -> list[int]:
    return [ord(character) for character in text]


def text(ids: list[int]) -> str:
    return "".join(map(chr, ids))


def learned(lesson: Lesson) -> list[str]:
    """What is taught of each branch."""
    return [
        text([one for one, taught in zip(*both, strict=True) if taught])
        for both in zip(lesson.branches, lesson.taught, strict=True)
    ]


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "en_shops.txt").write_text(SHOP)
    assert list(conversations(tmp_path)) == [WRITTEN]


@pytest.mark.parametrize("line", ["X: what is this", "C: nobody has begun"])
def test_a_line_that_is_not_understood_is_named(tmp_path: Path, line: str) -> None:
    beginning = "=== place: general\n" if line.startswith("X") else ""
    (tmp_path / "en.txt").write_text(f"{beginning}{line}\n")
    with pytest.raises(ValueError, match=rf"en\.txt:{1 + bool(beginning)}: "):
        list(conversations(tmp_path))


def test_answers_are_taught_as_calls_ask_for_them() -> None:
    place = next(one for one in lessons([WRITTEN], tokenize) if one.kind == "place")
    assert "- A service costs 45 pounds.\n" in text(place.beginning)
    assert learned(place) == [
        "A service costs 45 pounds.<|im_end|>Your bicycle is booked in for Thursday.<|im_end|>"
    ]
    told = 'book_service {"day": "Thursday"} gave: booked. Tell the caller.'
    assert chatml.turns([{"role": "system", "content": told}]) in text(place.branches[0])


def test_pages_stand_with_the_question() -> None:
    camp = Conversation(
        "en", "Camp", "Rob", turns=[Turn("Dogs?", "Yes.", pages=("found", "Rules: Dogs are welcome."))]
    )
    place = next(lessons([camp], tokenize))
    assert "Our pages say:\n- Rules: Dogs are welcome." in text(place.branches[0])


def test_every_turn_is_taught_as_a_choice() -> None:
    choice = next(one for one in lessons([WRITTEN], tokenize) if one.kind == "choice")
    assert text(choice.beginning) == acts.prefix(
        [Tool("book_service", "Book a bicycle in.")], "en", bare=True
    )
    assert learned(choice) == ["answer<|im_end|>", "book_service<|im_end|>", "answer<|im_end|>"]


def test_talk_about_anything_is_the_language_s_own_persona_s() -> None:
    two = [Conversation("fr", GENERAL, turns=[Turn("Ça va ?", "Très bien.")]) for _ in range(2)]
    (lesson,) = lessons(two, tokenize)
    assert text(lesson.beginning) == chatml.turns(load_persona("fr").primer[:1])
    assert learned(lesson) == ["Très bien.<|im_end|>"] * 2


def test_where_turns_end_is_taught_from_what_callers_say() -> None:
    (lesson,) = turns([WRITTEN], tokenize)
    said = [re.sub(r"[.,?]", "", one).lower() for one in learned(lesson)]
    assert said == ["how much is a service<|im_end|>", "thursday then please<|im_end|>", "bye<|im_end|>"]


def test_the_conversations_can_be_spoken() -> None:
    wrong = [
        turn.agent
        for one in conversations()
        for turn in one.turns
        if len(turn.agent.split()) > 30 or re.search(r"[*#`|{}<>_]|https?:", turn.agent)
    ]
    assert wrong == []
    assert Counter(one.language for one in conversations()).keys() >= {"en", "fr", "es", "it", "pt", "hi"}


def test_nothing_that_is_evaluated_is_taught() -> None:
    """The evaluations' score would mean nothing otherwise."""

    def callers(value: object) -> set[str]:
        if isinstance(value, dict):
            own = {value["caller"]} if isinstance(value.get("caller"), str) else set[str]()
            return own.union(*(callers(one) for one in value.values()))
        return set[str]().union(*map(callers, value)) if isinstance(value, list) else set()

    def plain(said: str) -> str:
        return " ".join(re.findall(r"\w+", said.lower()))

    evaluated = {
        plain(said)
        for file in (ROOT / "evals").rglob("*.yaml")
        for said in callers(yaml.safe_load(file.read_text()))
    }
    taught = {plain(turn.caller) for one in conversations(FOLDER) for turn in one.turns}
    both = {said for said in evaluated & taught if len(said.split()) > 2}
    assert len(evaluated) > 400
    assert both == set()
