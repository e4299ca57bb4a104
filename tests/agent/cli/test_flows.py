"""`offhook flows`."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from agent.cli import app
from tests.agent.flows.kit import TABLE


def test_check_prints_the_steps() -> None:
    result = CliRunner().invoke(app, ["flows", "check", str(TABLE)], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    for line in (
        "is right.",
        "time: time from 12:00 to 22:00",
        "what: collects day, time, people",
        "free: looks up by find_table",
        "asks again for time",
        "book: acts by book_table",
    ):
        assert line in result.output


def test_check_says_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(TABLE.read_text().replace("collect: name", "collect: nobody"))
    result = CliRunner().invoke(app, ["flows", "check", str(wrong)])
    assert result.exit_code == 2
    assert "tasks.cancel.steps.who names the slot nobody" in result.output
