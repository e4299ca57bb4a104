"""A call in which the agent answers from pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config.pages import Page, Pages
from tests.agent.conversation_kit import PERSONA, Says, converse

PAGES = Pages(Path(), (Page("cellar", "# The cellar\nThe cellar is open on Mondays."),))
KNOWING = PERSONA.model_copy(update={"knowledge": PAGES})
TOLD = "Our pages say:\n- The cellar is open on Mondays."
SCRIPT = [Says(2.0, 3.5, "When is the cellar open?"), Says(8.0, 9.5, "Do you repair umbrellas?")]
REPLIES = {"When is the cellar open?": "On Mondays.", "Do you repair umbrellas?": "I don't know."}


def test_what_the_pages_say_stands_before_each_question_and_its_source_with_the_answer() -> None:
    sessions: list[Any] = []
    outcome = converse(
        SCRIPT, REPLIES, lasts=14, persona=KNOWING, during=lambda session, _: sessions.append(session)
    )
    first, last = outcome.contexts[0], outcome.contexts[-1]
    assert [one["content"] for one in first[-2:]] == [TOLD, "When is the cellar open?"]
    assert last[: len(first)] == first  # nothing of it is read twice
    assert last[-2]["role"] == "system"
    assert last[-2]["content"].startswith("Our pages say nothing about this.")
    assert [list(turn.sources) for turn in sessions[0].turns] == [
        [],
        [],
        ["cellar: The cellar"],
        [],
        [],
    ]


def test_without_pages_nothing_is_told() -> None:
    outcome = converse(SCRIPT, REPLIES, lasts=14)
    assert not any("pages" in one["content"] for one in outcome.contexts[-1])
