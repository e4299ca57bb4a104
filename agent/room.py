"""Whether the machine has room left for calls: on the disk, for descriptors, and time on the event loop."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

from agent.admission import REFUSE_LAG_S
from agent.vitals import Pulse
from models.pool import ComponentHealth

LITTLE_DISK_BYTES = 100_000_000
FEW_DESCRIPTORS, NO_DESCRIPTORS = 256, 32
_DESCRIPTORS = Path("/proc/self/fd")

State = tuple[str, str | None, str | None]
"""`ready`, `degraded` or `down`; why, and what to do about it."""


class Room:
    """Of one process, which writes to `folder`."""

    def __init__(self, folder: Path, pulse: Pulse) -> None:
        self._folder = folder
        self._pulse = pulse

    def health(self) -> list[ComponentHealth]:
        lag_s, limit = self._pulse.lag_s, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        found: dict[str, Callable[[], State]] = {
            "disk": lambda: disk(free_bytes(self._folder), self._folder),
            "descriptors": lambda: descriptors(used_descriptors(limit), limit),
            "event loop": lambda: event_loop(lag_s),
        }
        parts = []
        for name, look in found.items():
            state, error, remedy = look()
            parts.append(ComponentHealth(name, state, "", "", error, 0, remedy=remedy))
        return parts


def disk(free_bytes: int | None, folder: Path) -> State:
    if free_bytes is None or free_bytes >= LITTLE_DISK_BYTES:
        return "ready", None, None
    lost = "records, recordings, messages and what models prepare can't be kept when it is full; calls go on"
    return (
        "degraded",
        f"{free_bytes / 1e6:.0f} MB are left where {folder} is: {lost}.",
        "Free some, set state_dir to another disk, or lower records.keep_days or recordings.most_mb.",
    )


def used_descriptors(limit: int) -> int:
    """All of the `limit` where none is left to look with."""
    try:
        return len(os.listdir(_DESCRIPTORS))  # noqa: PTH208
    except OSError as error:
        if error.errno == errno.EMFILE:
            return limit
        raise


def descriptors(used: int, limit: int) -> State:
    left = limit - used
    if limit == resource.RLIM_INFINITY or left >= FEW_DESCRIPTORS:
        return "ready", None, None
    state = "down" if left < NO_DESCRIPTORS else "degraded"
    return (
        state,
        f"{left} of {limit} descriptors are left, and a call takes several.",
        "Raise the limit (ulimit -n, or LimitNOFILE= of systemd), or lower call.max_calls.",
    )


def event_loop(lag_s: float | None) -> State:
    if lag_s is None or lag_s < REFUSE_LAG_S:
        return "ready", None, None
    return (
        "degraded",
        f"It is {lag_s * 1000:.0f} ms late: answers come late, and no calls are taken.",
        "Lower call.max_calls, or give offhook more of the processor.",
    )


def free_bytes(folder: Path) -> int | None:
    """None where it can't be told."""
    try:
        return shutil.disk_usage(nearest(folder)).free
    except OSError:
        return None


def nearest(folder: Path) -> Path:
    """The folder, or of those that it is to be in the innermost that can be seen."""
    return next((one for one in (folder, *folder.parents) if os.access(one, os.F_OK)), Path("/"))
