"""What is wrong in a flow is told by its key."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from config.files import read_yaml
from config.flow import fill, load_flow, parse_flow
from config.persona import load_persona
from tests.agent.flows.kit import TABLE


@pytest.fixture
def content() -> dict[str, Any]:
    return copy.deepcopy(read_yaml(TABLE, "The flow file"))


def steps(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["tasks"]["book"]["steps"]
    return found


def test_templates_leave_out_what_is_not_known() -> None:
    assert fill("For {name}[, at {phone}], right?", {"name": "Ann"}) == "For Ann, right?"
    known = {"name": "Ann", "phone": "12"}
    assert fill("For {name}[, at {phone}], right?", known) == "For Ann, at 12, right?"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("tasks"), "tasks is missing in here; it must be given."),
        (lambda c: c.update(slot=1), "slot in here is not a key."),
        (lambda c: c.update(start="lunch"), "In here, start names lunch, which is no task."),
        (lambda c: c["slots"].update(key={"kind": "text", "ask": "?"}), "slots has key"),
        (
            lambda c: c["tasks"].update(book_table=c["tasks"]["book"]),
            "tasks has book_table, which is a tool's",
        ),
        (lambda c: c["slots"]["day"].update(choices={"a": "b"}), "slots.day in here must have choices"),
        (lambda c: c["slots"]["time"].update(minimum="noon"), "slots.time in here has noon for its"),
        (
            lambda c: c["slots"]["time"].update(maximum="18:00Z"),
            "has 18:00Z for its maximum, which must be a time of day such as 18:00",
        ),
        (
            lambda c: c["slots"]["day"].update(maximum="3000000"),
            "has 3000000 for its maximum, which must be a number of days, 36500 at most",
        ),
        (
            lambda c: c["slots"]["name"].update(kind="amount", minimum="NaN"),
            "has NaN for its minimum, which must be a number",
        ),
        (
            lambda c: c["slots"]["name"].update(maximum="9"),
            "slots.name in here has a maximum, which its kind",
        ),
        (lambda c: steps(c)["what"].update(collect="hour"), "tasks.book.steps.what names the slot hour"),
        (lambda c: steps(c)["sure"].update(then="what"), "sure leads to what; it must be a later step"),
        (lambda c: steps(c)["what"].update(say="Hello."), "what in here has a say beside collect"),
        (lambda c: steps(c)["what"].update(act="x"), "must be one of collect"),
        (lambda c: steps(c).pop("sure"), "book uses {day}, which no confirm on some way there"),
        (lambda c: steps(c)["sure"].update(confirm="{result.x}?"), "book uses {day}, which no confirm"),
        (lambda c: steps(c).pop("who"), "sure has {name}, which no step up to there collects"),
        (lambda c: steps(c)["what"].update(then="who"), "no step leads to free"),
        (
            lambda c: steps(c)["free"]["outcomes"].update(full={"then": "book"}),
            "book uses {day}, which no confirm on some way there",
        ),
    ],
)
def test_what_is_wrong(content: dict[str, Any], change: Any, said: str) -> None:
    change(content)
    with pytest.raises(ConfigError) as error:
        parse_flow(content, "here")
    assert said in str(error.value)


PERSONA = """\
name: Nora
language: {language}
voice: en_US-joe-medium
greeting: Hello.
prompt: Be brief.
goodbye: Bye.
idle_prompts: ["Hello?"]
apology: Sorry.
flow: table.yaml
tools: {tools}
"""


@pytest.mark.parametrize(
    ("language", "tools", "said"),
    [
        ("en", "[take_message]", ""),
        ("en", "[]", "has a flow that hands over by take_message, which isn't among its tools"),
        ("en", "[take_message, book_table]", "has book_table both in its flow and among its tools"),
        ("en", "[take_message, cancel]", "has cancel both in its flow and among its tools"),
        ("de", "[take_message]", "has a flow without phrases.not_understood, for which de has no words"),
    ],
)
def test_a_persona_s_flow(tmp_path: Path, language: str, tools: str, said: str) -> None:
    (tmp_path / "table.yaml").write_text(TABLE.read_text())
    mine = tmp_path / "mine.yaml"
    mine.write_text(PERSONA.format(language=language, tools=tools))
    if not said:
        assert load_persona(str(mine)).flow == load_flow(TABLE)
        return
    with pytest.raises(ConfigError, match=said):
        load_persona(str(mine))
