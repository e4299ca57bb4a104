from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest

from agent import room as module
from agent.room import Room, descriptors, disk, event_loop, free_bytes, used_descriptors
from agent.vitals import Pulse

FOLDER = Path("/var/lib/offhook")


@pytest.mark.parametrize("free", [None, 10**8, 10**12])
def test_a_disk_with_room_is_well(free: int | None) -> None:
    assert disk(free, FOLDER) == ("ready", None, None)


def test_a_full_disk_costs_what_is_kept_and_no_call() -> None:
    state, why, remedy = disk(0, FOLDER)
    assert state == "degraded"
    assert str(why).startswith("0 MB are left where /var/lib/offhook is: records")
    assert "records.keep_days" in str(remedy)


@pytest.mark.parametrize(
    ("used", "limit", "state"),
    [
        (10, 1024, "ready"),
        (10**6, resource.RLIM_INFINITY, "ready"),
        (800, 1024, "degraded"),
        (1000, 1024, "down"),
    ],
)
def test_descriptors_are_there_for_calls(used: int, limit: int, state: str) -> None:
    found, why, remedy = descriptors(used, limit)
    assert found == state
    assert bool(why) is bool(remedy) is (state != "ready")


def test_none_that_is_left_to_look_with_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def listdir(_: object) -> list[str]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "listdir", listdir)
    assert used_descriptors(1024) == 1024


def test_a_folder_that_cant_be_looked_for_has_its_parents_disk(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / ("x" * 300) / "state")


@pytest.mark.parametrize(("lag_s", "state"), [(None, "ready"), (0.05, "ready"), (0.2, "degraded")])
def test_a_late_event_loop_is_told(lag_s: float | None, state: str) -> None:
    assert event_loop(lag_s)[0] == state


def test_this_process_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(tmp_path / "not" / "there", Pulse())
    monkeypatch.setattr(module, "LITTLE_DISK_BYTES", 0)
    assert [(part.name, part.state) for part in room.health()] == [
        ("disk", "ready"),
        ("descriptors", "ready"),
        ("event loop", "ready"),
    ]
    monkeypatch.setattr(module, "LITTLE_DISK_BYTES", 10**18)
    assert room.health()[0].state == "degraded"
