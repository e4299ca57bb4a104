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


def would_run(venv: Path, *arguments: str) -> list[str]:
    """The commands, without the environment's path."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MIND", "PERSONA", "ARGS")
    }
    made = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", f"VENV={venv}", *arguments],
        cwd=ROOT,
        env={name: value for name, value in environment.items() if not name.startswith("MAKE")},
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        line.replace(f"{venv}/", "") for line in made.stdout.splitlines() if not line.startswith('echo "')
    ]


def test_a_second_run_installs_nothing(venv: Path) -> None:
    assert would_run(venv, "run") == ["bin/offhook serve  "]
    assert would_run(venv, "run", "PERSONA=fr", "ARGS=--tls") == ["bin/offhook serve --persona fr --tls"]


def test_another_mind_is_fetched_and_remembered(venv: Path) -> None:
    fetch = ["bin/offhook models install --mind small", "touch .weights-small", "echo small > .mind"]
    assert would_run(venv, "run", "MIND=small") == [*fetch, "bin/offhook serve  "]
    (venv / ".mind").write_text("small\n")
    assert would_run(venv, "run") == [*fetch, "bin/offhook serve  "]
    (venv / ".weights-small").touch()
    assert would_run(venv, "run") == ["bin/offhook serve  "]


def test_an_install_tries_again_what_couldnt_be_had(venv: Path) -> None:
    assert would_run(venv, "install")[0] == "bin/offhook models install --mind large"


def test_a_changed_dependency_is_installed(venv: Path) -> None:
    os.utime(venv / ".installed", (0, 0))
    commands = would_run(venv, "run")
    assert any("--editable '.[llama]'" in command for command in commands)
    assert commands[-1] == "bin/offhook serve  "
