"""Whether a machine bears a speech-to-text model: a policy, and what it asks of Linux."""

from __future__ import annotations

import math
import os
import platform
from contextlib import suppress
from pathlib import Path

_HEAVY_BYTES = 400_000_000  # Whisper small is 484 MB, base 145 MB
_FEWEST_CORES = 4  # for a heavy one: it has one to itself while the language model and the voice work
_MEMORY_PER_BYTE = 1.5  # while it is loaded, and converted to int8
_CGROUPS, _OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def overtaxed(weights_bytes: int, cores: int, available_bytes: int | None) -> str | None:
    """What a heavy model lacks on the processor, as half a sentence; None where all is well.

    `available_bytes` is None where it isn't known.
    """
    if weights_bytes < _HEAVY_BYTES:
        return None
    needed = int(weights_bytes * _MEMORY_PER_BYTE)
    if available_bytes is not None and available_bytes < needed:
        return f"needs {needed / 1e6:.0f} MB of memory, and {available_bytes / 1e6:.0f} are available"
    if cores < _FEWEST_CORES:
        return f"wants {_FEWEST_CORES} cores, and there are {cores}"
    return None


def usable_cores(cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUP) -> int:
    """Those that the process may run on, and no more than a container or a unit has the time of."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for cgroup in _limiting(cgroups, own):
        with suppress(OSError, ValueError):  # "max" where there is no limit
            quota, period = map(int, (cgroup / "cpu.max").read_text().split())
            cores = min(cores, max(1, math.ceil(quota / period)))
    return cores


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def available_memory_bytes(
    proc: Path = Path("/proc/meminfo"), cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUP
) -> int | None:
    """What can be had without swapping, by the machine and the limits of a container or a unit.

    None where none of them says.
    """
    found = []
    with suppress(OSError, LookupError, ValueError):
        fields = dict(line.split(":", 1) for line in proc.read_text().splitlines())
        found.append(int(fields["MemAvailable"].split()[0]) * 1024)
    for cgroup in _limiting(cgroups, own):
        with suppress(OSError, ValueError):
            limit = int((cgroup / "memory.max").read_text())
            used = int((cgroup / "memory.current").read_text())
            found.append(limit - used + _given_back(cgroup))
    return min(found, default=None)


def _limiting(cgroups: Path, own: Path) -> list[Path]:
    """The control group (version 2) of this process, and those above it, whose limits hold as well."""
    names: tuple[str, ...] = ()  # a container sees its own as the topmost
    with suppress(OSError, StopIteration):
        line = next(line for line in own.read_text().splitlines() if line.startswith("0::/"))
        names = Path(line.removeprefix("0::/")).parts
    return [cgroups.joinpath(*names[:depth]) for depth in range(len(names), -1, -1)]


def _given_back(cgroup: Path) -> int:
    """What files were read, which goes when memory is needed."""
    with suppress(OSError, LookupError, ValueError):
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        return int(stat["inactive_file"])
    return 0
