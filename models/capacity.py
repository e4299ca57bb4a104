"""Whether a machine bears a speech-to-text model: a policy, and what it asks of Linux."""

from __future__ import annotations

import os
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
    return len(os.sched_getaffinity(0))


def available_memory_bytes() -> int | None:
    """What can be had without swapping. None where the system doesn't say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
