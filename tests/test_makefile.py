"""What make would do, asked with --dry-run in an environment that is there already."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    for stamp in (".installed", ".weights-large"):
        (tmp_path / stamp).touch()
    return tmp_path


@pytest.fixture
def tells_largest(venv: Path) -> None:
    offhook = venv / "bin" / "offhook"
    offhook.parent.mkdir()
    offhook.write_text('#!/bin/sh\necho "$1: $OFFHOOK_LLM__LARGEST"\n')
    offhook.chmod(0o755)


def make(venv: Path, *arguments: str, **variables: str) -> list[str]:
    """What it prints. `variables` stand in the environment."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("MIND", "PERSONA", "ARGS") and not name.startswith(("MAKE", "OFFHOOK"))
    }
    made = subprocess.run(
        ["make", "--no-print-directory", f"VENV={venv}", *arguments],
        cwd=ROOT,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.splitlines()


def would_run(venv: Path, *arguments: str) -> list[str]:
    """The commands, without the environment's path."""
    made = make(venv, "--dry-run", *arguments)
    return [line.replace(f"{venv}/", "") for line in made if not line.startswith('echo "')]


SERVE = ["echo large > .mind", "bin/offhook serve  "]


def test_a_second_run_installs_nothing(venv: Path) -> None:
    assert would_run(venv, "run") == SERVE
    assert would_run(venv, "run", "PERSONA=fr", "ARGS=--tls")[-1] == "bin/offhook serve --persona fr --tls"


def test_another_mind_is_fetched_and_remembered(venv: Path) -> None:
    fetch = ["bin/offhook models install --mind small", "touch .weights-small"]
    serve = ["echo small > .mind", "bin/offhook serve  "]
    assert would_run(venv, "run", "MIND=small") == [*fetch, *serve]
    (venv / ".mind").write_text("small\n")
    assert would_run(venv, "run") == [*fetch, *serve]
    (venv / ".weights-small").touch()
    assert would_run(venv, "run") == serve
    assert would_run(venv, "run", "MIND=large") == SERVE


@pytest.mark.usefixtures("tells_largest")
@pytest.mark.parametrize(
    ("mind", "largest"),
    [("large", ""), ("small", "qwen2.5-coder-0.5b"), ("none", "smollm2-135m")],
)
def test_what_another_mind_brought_doesnt_answer(venv: Path, mind: str, largest: str) -> None:
    (venv / f".weights-{mind}").unlink(missing_ok=True)
    assert make(venv, "run", f"MIND={mind}")[-2:] == [f"models: {largest}", f"serve: {largest}"]
    assert make(venv, "run")[-1] == f"serve: {largest}"  # it is remembered


@pytest.mark.usefixtures("tells_largest")
def test_with_the_large_mind_the_largest_is_what_the_environment_says(venv: Path) -> None:
    assert make(venv, "run", OFFHOOK_LLM__LARGEST="smollm2-135m") == ["serve: smollm2-135m"]


def test_an_install_tries_again_what_couldnt_be_had(venv: Path) -> None:
    assert would_run(venv, "install")[0] == "bin/offhook models install --mind large"


def test_a_changed_dependency_is_installed(venv: Path) -> None:
    os.utime(venv / ".installed", (0, 0))
    commands = would_run(venv, "run")
    assert any("--editable '.[llama]'" in command for command in commands)
    assert commands[-2:] == SERVE
