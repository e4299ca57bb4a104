"""A small file system of its own, which can be full or read-only."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SIZE_BYTES = 2_000_000


@dataclass(frozen=True)
class Disk:
    path: Path

    def fill(self) -> None:
        """Take all that is left, so that not a byte more can be written."""
        with (self.path / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1024))

    def free(self) -> None:
        (self.path / "filler").unlink()

    def read_only(self, yes: bool) -> None:
        _run("mount", "-o", f"remount,{'ro' if yes else 'rw'}", str(self.path))


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=20)


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[Disk]:
    """Mounted at `path`, which is made. Without root a skip, or a failure in CI."""
    path.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "offhook-test", str(path))
    except (OSError, subprocess.CalledProcessError) as error:
        if os.environ.get("OFFHOOK_REQUIRE_PEERS") == "1":
            raise
        pytest.skip(f"a file system can't be mounted: {error}")
    try:
        yield Disk(path)
    finally:
        _run("umount", "--lazy", str(path))
