"""Debian's PostgreSQL, started by the tests."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import free_port

_START_S = 60


class Postgres:
    """A server with one database, on a port of its own."""

    def __init__(self, programs: Path, folder: Path, host: str, *settings: str) -> None:
        self._programs, self._folder, self._settings = programs, folder, settings
        self.host, self.port = host, free_port(host)
        self.url = f"postgresql://offhook@{host}:{self.port}/postgres"

    def start(self) -> None:
        settings = (f"listen_addresses={self.host}", "unix_socket_directories=", "fsync=off", *self._settings)
        options = f"-p {self.port} " + " ".join(f"-c {one}" for one in settings)
        log = str(self._folder / "log")
        self._run("pg_ctl", "start", "--wait", "-D", self._data, "-l", log, "-o", options)

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "--wait", "-m", "immediate", "-D", self._data)

    def make(self) -> None:
        self._run("initdb", "-D", self._data, "-U", "offhook", "--auth=trust", "--no-sync")
        with Path(self._data, "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.0.0.0/8 trust\n")

    @property
    def pid(self) -> int:
        return int(Path(self._data, "postmaster.pid").read_text().split()[0])

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _run(self, program: str, *words: str) -> None:
        # It refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else None
        subprocess.run(
            [self._programs / program, *words],
            user=user,
            check=True,
            timeout=_START_S,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextlib.contextmanager
def postgres(host: str = "127.0.0.1", *settings: str) -> Iterator[Postgres]:
    """Runs for the length of the block, with `settings` such as fsync=off.

    A missing one is a skip, or a failure where that is asked for.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        why = "PostgreSQL isn't installed; see `make test`"
        if os.environ.get("OFFHOOK_REQUIRE_PEERS") == "1":
            pytest.fail(why)
        pytest.skip(why)
    with tempfile.TemporaryDirectory(prefix="offhook-postgres-") as folder:
        if os.geteuid() == 0:
            os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        server = Postgres(programs[-1], Path(folder), host, *settings)
        server.make()
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):  # a test may have stopped it
                server.stop()
