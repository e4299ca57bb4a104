"""What fetched weights were when they came, in files that `sha256sum --check` takes too."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


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
