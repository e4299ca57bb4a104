"""Tells the service manager that started this process how it is: sd_notify(3)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable

STATUS_S = 10.0  # between two words about how it is, where nobody waits for a sign of life sooner


class ServiceManager:
    """Whoever listens at NOTIFY_SOCKET. Without one, what is told goes nowhere.

    Signs of life are given to one that waits for them (WATCHDOG_USEC), and by the event loop: a process whose
    loop stands still is started anew.
    """

    def __init__(self) -> None:
        path = os.environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        watched = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._watchdog_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6 if watched else 0.0

    def starting(self, what: str) -> None:
        self._tell(f"STATUS={what}")

    def ready(self) -> None:
        self._tell("READY=1")

    def reloading(self) -> None:
        """Until `ready`."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, within_s: float) -> None:
        self._tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={round(within_s * 1e6)}")

    async def watch(self, status: Callable[[], str]) -> None:
        """Give signs of life, and say how it is, until cancelled."""
        every_s = min(self._watchdog_s / 3, STATUS_S) if self._watchdog_s else STATUS_S
        alive = ["WATCHDOG=1"] if self._watchdog_s else []
        while self._address:
            self._tell(*alive, f"STATUS={status()}")
            await asyncio.sleep(every_s)

    def _tell(self, *fields: str) -> None:
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),  # it is restarted itself, or slow: there is a next time
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as notify,
        ):
            notify.sendto("\n".join(fields).encode(), self._address)
