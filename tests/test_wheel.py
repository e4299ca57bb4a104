"""What is installed from a wheel, as pipx does it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("config", "models", "transports", "agent", "bench")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as site-packages would be, with nothing but the wheel in it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    constraint = f"--build-constraint={ROOT / 'constraints.txt'}"
    subprocess.run([*command, constraint, "--wheel-dir", str(folder), str(ROOT)], check=True, timeout=240)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site-packages")
    return folder / "site-packages"


def files(root: Path) -> set[str]:
    found = (path for folder in FOLDERS for path in (root / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(root)) for path in found if "__pycache__" not in path.parts}


def test_one_name_holds_everything(installed: Path) -> None:
    assert {path.name for path in installed.iterdir() if path.suffix != ".dist-info"} == {"offhook"}
    assert files(installed / "offhook") == files(ROOT)
    (entry_points,) = installed.glob("*.dist-info/entry_points.txt")
    assert "offhook = offhook:main" in entry_points.read_text()


def test_it_runs_whatever_else_has_such_a_name(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "__init__.py").write_text("raise ImportError('This is somebody else.')")
    told = subprocess.run(
        [sys.executable, "-m", "offhook", "config", "show"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{installed}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 0, told.stderr
    assert "sip.port" in told.stdout
