"""How the process itself is: memory, processor time, and how late its event loop runs."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import statistics
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

_LIBC = ctypes.CDLL(None)
_EVERY_S = 0.05
_KEPT = 200
_RECENT = 40
_SELF = Path("/proc/self")


@dataclass(frozen=True, slots=True)
class Vitals:
    """This process without the language model's, which is one of its own."""

    uptime_s: float
    cpu_s: float  # all threads, since the start
    memory_mb: float  # resident
    threads: int
    open_files: int
    tasks: int  # asyncio's
    loop_lag_p99_ms: float | None  # over the last ten seconds; None at the start


def return_memory() -> None:
    """Give the system back what was freed: glibc keeps it, in pieces, by threads; 100 MB after 200 calls.

    Holds everything up for some 30 ms: not for while somebody speaks.
    """
    gc.collect()
    trim = getattr(_LIBC, "malloc_trim", None)  # glibc's alone
    if trim:
        trim(0)


def keep_what_is_there() -> None:
    """Spare the garbage collector what has been loaded: to look through it stops the event loop for long."""
    return_memory()
    gc.freeze()


class Pulse:
    """Measures how much later than asked the event loop wakes a sleeper."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lags: deque[float] = deque(maxlen=_KEPT)

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _EVERY_S
            await asyncio.sleep(_EVERY_S)
            self._lags.append(loop.time() - due)

    @property
    def lag_s(self) -> float | None:
        """The median of the last two seconds; None at the start. One long pause doesn't make it."""
        recent = list(self._lags)[-_RECENT:]
        return statistics.median(recent) if len(recent) == _RECENT else None

    def vitals(self) -> Vitals:
        lags = sorted(self._lags)
        pages = int((_SELF / "statm").read_text().split()[1])
        return Vitals(
            uptime_s=time.monotonic() - self._began,
            cpu_s=time.process_time(),
            memory_mb=pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
            threads=len(list((_SELF / "task").iterdir())),
            open_files=len(list((_SELF / "fd").iterdir())),
            tasks=len(asyncio.all_tasks()),
            loop_lag_p99_ms=max(0.0, lags[int(len(lags) * 0.99)] * 1000) if lags else None,
        )
