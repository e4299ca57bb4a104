from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from agent.tools.functions import Module, load_functions
from agent.tools.tool import CallFacts, Tool, WrongArguments
from config.errors import ConfigError

TABLES = '''
"""Tables."""
from __future__ import annotations

from datetime import date
from enum import Enum
from typing import Literal

from agent.tools import CallFacts, ToolFailed, tool

class Room(Enum):
    INSIDE = "inside"
    GARDEN = "garden"

def helper():
    pass

async def _private():
    pass

async def find_table(
    people: int, day: date, room: Room, call: CallFacts, meal: Literal["lunch", "dinner"] | None = None
) -> dict:
    """Find a free table.

    Not for groups.

    Args:
        people: How many
            come.
    """
    return {"people": people, "day": day, "room": room, "meal": meal, "caller": call.caller}

@tool(confirm="Shall I book for {people}?", timeout_s=3, on_interruption="cancel", answers=False)
async def book_table(people: int = 2) -> str:
    """Book it."""
    return "booked"
'''
TOOL = "from agent.tools import tool\n"


def loaded(folder: Path, **files: str) -> list[Tool]:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return [tool for module in load_functions(folder).values() for tool in module.tools]


def test_what_a_model_is_told_comes_from_signature_and_docstring(tmp_path: Path) -> None:
    find, book = loaded(tmp_path, tables=TABLES)
    assert find.schema.to_default_dict() == {
        "name": "find_table",
        "description": "Find a free table. Not for groups.",
        "parameters": {
            "type": "object",
            "properties": {
                "people": {"description": "How many come.", "type": "integer"},
                "day": {"format": "date", "type": "string"},
                "room": {"enum": ["inside", "garden"], "type": "string"},
                "meal": {"enum": ["lunch", "dinner"], "type": "string"},
            },
            "required": ["people", "day", "room"],
        },
    }
    assert (find.timeout_s, find.confirm, find.on_interruption, find.answers) == (10.0, "", "finish", True)
    assert (book.timeout_s, book.on_interruption, book.answers) == (3, "cancel", False)
    assert book.asks({"people": 4}) == ("Shall I book for 4?", 5)
    assert find.source == "tables.py"


async def test_it_is_called_with_checked_arguments_and_the_call(tmp_path: Path) -> None:
    find, _ = loaded(tmp_path, tables=TABLES)
    said = {"people": "4", "day": "2026-12-01", "room": "garden"}
    result: Any = await find.run(find.check(said), CallFacts(caller="+4930"))
    assert result["people"] == 4
    assert result["day"] == date(2026, 12, 1)
    assert (result["room"].value, result["meal"], result["caller"]) == ("garden", None, "+4930")


def test_wrong_arguments_are_told_without_what_was_given(tmp_path: Path) -> None:
    find, _ = loaded(tmp_path, tables=TABLES)
    with pytest.raises(WrongArguments) as wrong:
        find.check({"people": "secret", "day": "2026-12-01", "more": 1})
    said = str(wrong.value)
    assert "people: Input should be a valid integer" in said
    assert "room: Field required" in said
    assert "more: Extra inputs are not permitted" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("x = 1\nasync def f(:\n", 2, "invalid syntax"),
        ("\nimport nothing_like_this\n", 2, "ModuleNotFoundError"),
        ("def g():\n    return 1 / 0\ng()\n", 2, "ZeroDivisionError"),
        ("import sys\nsys.exit()\n", 2, "SystemExit"),
        ("async def f(a: int): pass\n", 1, "no docstring"),
        ('async def f(a):\n    """Do it."""\n', 1, "its parameter a must have a name and a type"),
        ('async def f(*a: int):\n    """Do it."""\n', 1, "its parameter a must have a name and a type"),
        ('async def f(a: open):\n    """Do it."""\n', 1, "open"),
        ('async def f(a: "Nowhere"):\n    """Do it."""\n', 1, "Nowhere"),
        (TOOL + '@tool()\ndef f():\n    """Do it."""\n', 2, "must be an async function"),
        (
            TOOL + '@tool(confirm="{b}?")\nasync def f(a: int):\n    """Do it."""\n',
            2,
            "{b} in '{b}?' is none of its arguments",
        ),
        (
            TOOL + '@tool(timeout_s=0)\nasync def f(a: int):\n    """Do it."""\n',
            2,
            "its timeout_s must be",
        ),
    ],
)
def test_a_bad_module_is_told_with_its_file_and_line(tmp_path: Path, text: str, line: int, why: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        loaded(tmp_path, bad=text)
    said = str(wrong.value)
    assert str(tmp_path / "bad.py") in said
    assert f"line {line}: " in said
    assert why in said


def test_what_editors_and_systems_leave_there_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "._order.py").write_bytes(b"\0\5\26\7")
    (tmp_path / ".#order.py").symlink_to("somebody@somewhere.1234")  # an Emacs that edits it
    assert not loaded(tmp_path)


def test_without_a_folder_there_are_none(tmp_path: Path) -> None:
    assert not load_functions(tmp_path / "nowhere")


COUNTS = """
CALLS = []

async def count_calls() -> int:
    \"\"\"Count them.\"\"\"
    CALLS.append(1)
    return len(CALLS) * 1
"""


async def test_a_module_that_has_not_changed_keeps_what_it_holds(tmp_path: Path) -> None:
    async def counted(modules: dict[Path, Module]) -> Any:
        (tool,) = modules[tmp_path / "count.py"].tools
        return await tool.run({}, CallFacts())

    loaded(tmp_path, count=COUNTS)
    first = load_functions(tmp_path)
    assert await counted(first) == 1
    again = load_functions(tmp_path, first)
    assert again == first
    assert await counted(again) == 2
    loaded(tmp_path, count=COUNTS.replace("* 1", "* 5"), other=COUNTS.replace("count_", "sum_"))
    changed = load_functions(tmp_path, first)
    assert [path.name for path in changed] == ["count.py", "other.py"]
    assert await counted(changed) == 5
    assert await counted(first) == 3  # for whoever has it still
