"""What a machine gives while something runs: cores, memory, the GPU."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from models.devices import Devices

EVERY_S = 0.05
_TICKS_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """`cores` is how many were busy on average; memory and the GPU's are the most that was seen, the GPU's
    of all programs. None where it can't be told."""

    cores: float
    memory_mb: float
    gpu_utilisation: int | None
    gpu_memory_mb: float | None


class Sampler:
    """Of this process and of those in `pids`, from when it is entered until it is left."""

    def __init__(self, devices: Devices, pids: tuple[int, ...] = ()) -> None:
        self._devices = devices
        self._pids = (os.getpid(), *pids)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._memory = 0.0
        self._gpu: list[int] = []
        self._gpu_memory: list[int] = []

    def __enter__(self) -> Self:
        self._began_s, self._began_cpu_s = time.monotonic(), sum(map(_cpu_s, self._pids))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cores = (sum(map(_cpu_s, self._pids)) - self._began_cpu_s) / (time.monotonic() - self._began_s)
        self._over.set()
        self._thread.join()

    @property
    def usage(self) -> Usage:
        """Once it has been left."""
        return Usage(
            cores=round(self._cores, 2),
            memory_mb=round(self._memory / 1e6, 1),
            gpu_utilisation=max(self._gpu, default=None),
            gpu_memory_mb=round(max(self._gpu_memory) / 1e6, 1) if self._gpu_memory else None,
        )

    def _run(self) -> None:
        while True:
            self._memory = max(self._memory, sum(map(_resident_bytes, self._pids)))
            if gpu := self._devices.gpu():
                self._gpu += [] if gpu.utilisation is None else [gpu.utilisation]
                self._gpu_memory += [] if gpu.used_bytes is None else [gpu.used_bytes]
            if self._over.wait(EVERY_S):
                return


def _cpu_s(pid: int) -> float:
    with suppress(OSError):
        # The name before them, in brackets, may hold spaces.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_S
    return 0.0


def _resident_bytes(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return 0
