"""Whether a machine bears a speech-to-text model: a policy, and what it asks of Linux."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path

_HEAVY_BYTES = 400_000_000  # Whisper small is 484 MB, base 145 MB
_FEWEST_CORES = 4  # for a heavy one: it has one to itself while the language model and the voice work
_MEMORY_PER_BYTE = 1.5  # while it is loaded, and converted to int8


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


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def available_memory_bytes(
    proc: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """What can be had without swapping, by the machine and a container's limit. None where neither says."""
    found = []
    with suppress(OSError, LookupError, ValueError):
        fields = dict(line.split(":", 1) for line in proc.read_text().splitlines())
        found.append(int(fields["MemAvailable"].split()[0]) * 1024)
    with suppress(OSError, ValueError):  # "max" where there is no limit
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        found.append(limit - used + _given_back(cgroup))
    return min(found, default=None)


def _given_back(cgroup: Path) -> int:
    """What files were read, which goes when memory is needed."""
    with suppress(OSError, LookupError, ValueError):
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        return int(stat["inactive_file"])
    return 0
