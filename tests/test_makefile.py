"""What make would do, asked with --dry-run in an environment that is there already."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    for stamp in (".installed", ".weights-large", ".gpu-0"):
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
        if name not in ("MIND", "GPU", "PERSONA", "ARGS") and not name.startswith(("MAKE", "OFFHOOK"))
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


SERVE = ["echo large > .mind", "echo 0 > .gpu", "bin/offhook serve  "]


def test_a_second_run_installs_nothing(venv: Path) -> None:
    assert would_run(venv, "run") == SERVE
    assert would_run(venv, "run", "PERSONA=fr", "ARGS=--tls")[-1] == "bin/offhook serve --persona fr --tls"


def test_another_mind_is_fetched_and_remembered(venv: Path) -> None:
    fetch = ["bin/offhook models install --mind small", "touch .weights-small"]
    serve = ["echo small > .mind", *SERVE[1:]]
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
    assert commands[-3:] == SERVE


PIP = "bin/python -m pip --disable-pip-version-check install --constraint constraints.txt"
FETCH_GPU = [
    "rm -f .gpu-*",
    f"{PIP} --group gpu",
    "bin/python -m pip uninstall --quiet --yes onnxruntime onnxruntime-gpu",
    f"{PIP} --no-deps onnxruntime-gpu",
    "touch .gpu-1",
]


def test_what_a_gpu_needs_is_fetched_and_remembered(venv: Path) -> None:
    serve = [SERVE[0], "echo 1 > .gpu", SERVE[2]]
    assert would_run(venv, "run", "GPU=1") == [*FETCH_GPU, *serve]
    assert would_run(venv, "install", "GPU=1")[:5] == FETCH_GPU
    (venv / ".gpu").write_text("1\n")
    assert would_run(venv, "run") == [*FETCH_GPU, *serve]
    (venv / ".gpu-0").rename(venv / ".gpu-1")
    assert would_run(venv, "run") == serve


def test_a_changed_dependency_puts_the_gpus_onnxruntime_back_into_its_place(venv: Path) -> None:
    (venv / ".gpu-0").rename(venv / ".gpu-1")
    os.utime(venv / ".installed", (0, 0))
    commands = would_run(venv, "run", "GPU=1")
    offhook = next(n for n, command in enumerate(commands) if "--editable '.[llama]'" in command)
    assert commands[offhook + 1 :][:1] == ["touch .installed"]
    assert commands[offhook + 2 :][:5] == FETCH_GPU


def test_the_tests_tools_leave_onnxruntime_alone(venv: Path) -> None:
    commands = would_run(venv, "check", "GPU=1")
    assert commands[:7] == [*FETCH_GPU, f"{PIP} --group dev", "touch .installed-dev"]


@pytest.fixture
def tells_pip(venv: Path) -> Path:
    """A Python that notes what pip is asked, in an environment with what a GPU needs."""
    python = venv / "bin" / "python"
    python.parent.mkdir()
    python.write_text(
        '#!/bin/sh\ncase "$*" in *freeze) '
        "echo nvidia-cublas==13; echo nvidia-ml-py==13; echo numpy==2; echo onnxruntime-gpu==1;; "
        f'*) echo "$*" >> {venv}/asked;; esac\n'
    )
    python.chmod(0o755)
    return venv


def test_back_on_the_processor_nothing_of_the_gpus_is_left(tells_pip: Path) -> None:
    (tells_pip / ".gpu-0").rename(tells_pip / ".gpu-1")
    make(tells_pip, f"{tells_pip}/.gpu-0", "GPU=0")
    assert [line.removeprefix("-m pip ") for line in (tells_pip / "asked").read_text().splitlines()] == [
        "uninstall --quiet --yes onnxruntime nvidia-cublas onnxruntime-gpu",
        "--disable-pip-version-check install --constraint constraints.txt --no-deps onnxruntime",
    ]
    assert not (tells_pip / ".gpu-1").exists()
    (tells_pip / "asked").unlink()
    make(tells_pip, f"{tells_pip}/.gpu-0", "GPU=0")
    assert not (tells_pip / "asked").exists()


def test_a_gpu_is_there_or_it_isnt(venv: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        make(venv, "run", "GPU=yes")
    assert "GPU is yes; it must be 1, for what a GPU needs, or 0." in error.value.stderr
