"""`offhook tools`, and what checks tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import config
from agent.cli import app

TABLES = '''
from agent.tools import ToolFailed, tool


@tool(confirm="Shall I book for {people}?")
async def book_table(name: str, people: int = 2) -> dict:
    """Book a table."""
    if people > 8:
        raise ToolFailed("We have no such table.")
    return {"name": name, "people": people}
'''


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "tables.py").write_text(TABLES)
    file = tmp_path / "offhook.yaml"
    file.write_text(f"tools: {{folder: {tmp_path}/tools}}\nstate_dir: {tmp_path}\n")
    return file


def offhook(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "200"})


def test_list(settings: Path) -> None:
    result = offhook("tools", "list", "-c", settings)
    assert result.exit_code == 0, result.output
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("book_table"))
    assert line.rstrip().split(maxsplit=2)[1:] == [
        "tables.py",
        "Book a table. Asks first: Shall I book for {people}? Takes name, people or not.",
    ]
    assert "opening_hours" in result.stdout


def test_list_says_which_server_can_not_be_had(settings: Path) -> None:
    settings.write_text(
        settings.read_text().replace("{folder", "{mcp: {shop: {url: 'http://127.0.0.1:9/mcp'}}, folder")
    )
    result = offhook("tools", "list", "-c", settings)
    assert result.exit_code == 1
    assert "offhook: mcp shop: " in result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["name=Ann", "people=4"], 0, {"name": "Ann", "people": 4}),
        (["name=12"], 0, {"name": "12", "people": 2}),
        (["name=Ann", "people=9"], 1, {"error": "We have no such table."}),
        (
            ["people=4"],
            1,
            {"error": "The arguments are wrong: name: Field required"},
        ),
    ],
)
def test_run(settings: Path, arguments: list[str], status: int, told: dict[str, object]) -> None:
    result = offhook("tools", "run", "-c", settings, "book_table", *arguments)
    assert (result.exit_code, json.loads(result.stdout)) == (status, told)


def test_run_needs_pairs(settings: Path) -> None:
    result = offhook("tools", "run", "-c", settings, "book_table", "Ann")
    assert result.exit_code == 2
    assert "Ann must be KEY=VALUE." in result.output


def test_config_check_knows_the_tools(settings: Path, tmp_path: Path) -> None:
    said = (Path(config.__file__).parent / "personas" / "receptionist.yaml").read_text()
    (tmp_path / "nora.yaml").write_text(said.replace("tools: [", "tools: [book_tabel, "))
    settings.write_text(settings.read_text() + f"persona: {tmp_path}/nora.yaml\n")
    result = offhook("config", "check", settings)
    assert result.exit_code == 2
    assert "has the tool book_tabel, which isn't there; did you mean book_table?" in result.output
