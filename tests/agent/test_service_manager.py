from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.service_manager import ServiceManager
from tests.peers import free_port

DEADLINE_S = 120


class Notified:
    """A service manager's end of its socket."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    async def word(self) -> dict[str, str]:
        """The next one, by field."""
        async with asyncio.timeout(DEADLINE_S):
            word = await asyncio.get_running_loop().sock_recv(self._end, 4096)
        return dict(line.split("=", 1) for line in word.decode().splitlines())

    async def until(self, field: str) -> dict[str, str]:
        while field not in (word := await self.word()):
            pass
        return word


@pytest.fixture(params=["a path", "an abstract one"])
async def notified(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Notified]:
    path = str(tmp_path / "notify") if request.param == "a path" else f"@offhook-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(path.replace("@", "\0"))
        end.setblocking(False)
        yield Notified(end)


async def test_it_is_told_what_goes_on(notified: Notified) -> None:
    manager = ServiceManager()
    manager.starting("voice: loading")
    assert await notified.word() == {"STATUS": "voice: loading"}
    manager.ready()
    assert await notified.word() == {"READY": "1"}
    manager.reloading()
    reloading = await notified.word()
    assert reloading["RELOADING"] == "1"
    assert int(reloading["MONOTONIC_USEC"]) > 0
    manager.stopping(90)
    assert await notified.word() == {"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "90000000"}


@pytest.mark.parametrize(
    ("of", "alive"),
    [(None, True), (os.getpid(), True), (os.getpid() + 1, False)],
    ids=["none", "own", "other"],
)
async def test_signs_of_life_are_given_to_whom_waits_for_ours(
    of: int | None, alive: bool, notified: Notified, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    if of is not None:
        monkeypatch.setenv("WATCHDOG_PID", str(of))
    watching = asyncio.create_task(ServiceManager().watch(lambda: "0 of 4 lines busy."))
    try:
        words = [await notified.word() for _ in range(2 if alive else 1)]
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
    assert words == [{"STATUS": "0 of 4 lines busy."} | ({"WATCHDOG": "1"} if alive else {})] * len(words)


async def test_nobody_need_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    ServiceManager().ready()
    monkeypatch.delenv("NOTIFY_SOCKET")
    manager = ServiceManager()
    manager.ready()
    await manager.watch(lambda: "")  # returns


@pytest.mark.parametrize("notified", ["a path"], indirect=True)
async def test_a_server_from_start_to_stop(notified: Notified, tmp_path: Path) -> None:
    environment = {
        "OFFHOOK_SIP__HOST": "127.0.0.1",
        "OFFHOOK_SIP__PORT": str(free_port()),
        "OFFHOOK_HTTP__PORT": str(free_port()),
        "OFFHOOK_CALL__MAX_CALLS": "4",
        "OFFHOOK_CALL__DRAIN_S": "2",
        "OFFHOOK_STATE_DIR": str(tmp_path),
        "WATCHDOG_USEC": "1000000",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.scripted_server", "serve"),
        env={**os.environ, **environment},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert await notified.until("READY") == {"READY": "1"}
        assert await notified.until("WATCHDOG") == {"WATCHDOG": "1", "STATUS": "0 of 4 lines busy."}
        process.send_signal(signal.SIGHUP)
        await notified.until("RELOADING")
        await notified.until("READY")
        process.send_signal(signal.SIGTERM)
        assert await notified.until("STOPPING") == {"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "62000000"}
        async with asyncio.timeout(DEADLINE_S):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
