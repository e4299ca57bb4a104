"""`offhook eval`: what is run, and what can't be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent.cli import app
from agent.evals.callers import CallerSet
from agent.evals.results import SetResult
from agent.evals.scenario import ScenarioSet

CALLERS = """
persona: receptionist
asks: {day: day}
callers: [{name: one, opens: Hello.}, {name: two, opens: Hello.}]
"""
SCENARIOS = "scenarios: [{name: one, turns: [{caller: Hello.}]}]\n"


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whom of the callers a run has; none is called."""
    names: list[str] = []

    async def run(_: object, sets: Sequence[CallerSet], *__: object) -> tuple[str, list[SetResult]]:
        names.extend(caller.name for found in sets for caller in found.callers)
        return "nobody", [SetResult(found) for found in sets]

    monkeypatch.setattr("agent.evals.desk_runs.run_callers", run)
    return names


@pytest.mark.parametrize(
    ("files", "options", "sentence"),
    [
        ({"a": CALLERS}, ["--persona", "en"], "--persona is for scenarios"),
        ({"a": CALLERS}, ["--only", "a/typo"], "No caller matches --only a/typo."),
        ({"a": CALLERS}, ["--part", "3/4"], "The part 3/4 has no caller"),
        ({"a": SCENARIOS}, ["--part", "1/4"], "--part is for callers"),
        ({"a": CALLERS, "b": SCENARIOS}, ["--only", "b"], "each kind needs a folder of its own"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(
    tmp_path: Path, files: dict[str, str], options: list[str], sentence: str, called: list[str]
) -> None:
    for name, content in files.items():
        (tmp_path / f"{name}.yaml").write_text(content)
    result = CliRunner().invoke(app, ["eval", str(tmp_path), *options])
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert called == []


def test_some_of_the_callers(tmp_path: Path, called: list[str]) -> None:
    (tmp_path / "a.yaml").write_text(CALLERS)
    CliRunner().invoke(app, ["eval", str(tmp_path), "--part", "2/2"])
    assert called == ["two"]


def test_a_run_of_nothing_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def call(_: object, sets: Sequence[ScenarioSet], *__: Any) -> tuple[str, list[SetResult]]:
        return "nobody", [SetResult(found, [], ["one: calls have no tool fly"]) for found in sets]

    monkeypatch.setattr("agent.evals.over_sip.call", call)
    (tmp_path / "a.yaml").write_text(SCENARIOS)
    result = CliRunner().invoke(app, ["eval", str(tmp_path), "--over", "sip"])
    assert result.exit_code == 2
    assert "Nothing was run." in result.stdout
