"""Whether weights are what they should be: pinned sums, and what fetched ones were when they came, in files
that `sha256sum --check` takes too."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from loguru import logger

from models.errors import WeightsError
from models.files import write_whole

Progress = Callable[[str, int, int], None]
"""Told a file's name, how many bytes of it are done, and how many there are."""

BLOCK_BYTES = 1 << 20


def check(path: Path, size: int, sha256: str, progress: Progress | None, *, remedy: str) -> None:
    """Read a file. Raises WeightsError that names it if it isn't what it should be."""
    actual = path.stat().st_size
    if actual != size:
        raise WeightsError(f"{path} has {actual} bytes instead of {size}; {remedy}")
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            if progress:
                progress(path.name, done, size)
    if digest.hexdigest() != sha256:
        raise WeightsError(f"{path} is not the file that it should be (its SHA-256 differs); {remedy}")


class Verified:
    """Remembers which files were checked, by what would change if they did."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._known: dict[str, list[object]] = dict(json.loads(path.read_text()))
        except (OSError, ValueError):
            self._known = {}

    def knows(self, path: Path, sha256: str) -> bool:
        """Whether this very file was noted with this sum."""
        return self._known.get(str(path)) == _identity(path, sha256)

    def note(self, path: Path, sha256: str) -> None:
        """Remember a file that was just checked."""
        with self._lock:
            self._known[str(path)] = _identity(path, sha256)
            try:
                write_whole(self._path, json.dumps(self._known).encode())
            except OSError as error:  # it is checked again at the next start
                logger.debug(f"{self._path} couldn't be written: {error}")


def _identity(path: Path, sha256: str) -> list[object]:
    stat = path.stat()
    return [sha256, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def record(sums: Path, files: Iterable[Path]) -> None:
    """Note the SHA-256 of each file in `sums`, which stands in the same folder."""
    lines = []
    for path in sorted(files):
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n")
    sums.write_text("".join(lines))


def recorded(sums: Path) -> dict[Path, str]:
    """SHA-256 by file; empty where nothing was noted."""
    if not sums.is_file():
        return {}
    pairs = (line.split("  ", 1) for line in sums.read_text().splitlines())
    return {sums.with_name(name): sha256 for sha256, name in pairs}
