"""Which bundled model speaks, by what is wanted and what the machine has."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.capacity import available_memory_bytes
from models.llm.resident import RESIDENTS, Resident, candidates, too_slow

LARGE, SMALL, SMALLEST = RESIDENTS
GB = 1_000_000_000


@pytest.mark.parametrize(
    ("memory", "tried"),
    [
        (None, [LARGE, SMALL, SMALLEST]),
        (3 * GB, [LARGE, SMALL, SMALLEST]),
        (1 * GB, [SMALL, SMALLEST]),
        (GB // 10, [SMALLEST]),
    ],
)
def test_what_fits_into_memory_is_tried_the_largest_first(memory: int | None, tried: list[object]) -> None:
    assert candidates("auto", LARGE.name, memory) == tried


@pytest.mark.parametrize(("largest", "tried"), [(SMALL, [SMALL, SMALLEST]), (SMALLEST, [SMALLEST])])
def test_a_larger_one_than_wanted_isnt_tried(largest: Resident, tried: list[object]) -> None:
    assert candidates("auto", largest.name, None) == tried


def test_what_is_asked_for_is_tried_whatever_else_holds() -> None:
    assert candidates(LARGE.name, SMALLEST.name, GB // 10) == [LARGE]


@pytest.mark.parametrize(
    ("reads", "writes", "slow"), [(60, 27, False), (14, 27, True), (60, 5, True), (15, 6, False)]
)
def test_a_model_that_hardly_outruns_speech_is_too_slow(reads: int, writes: int, slow: bool) -> None:
    assert too_slow(reads, writes) is slow


def test_memory_is_what_the_machine_or_the_container_leaves(tmp_path: Path) -> None:
    proc, cgroup = tmp_path / "meminfo", tmp_path / "cgroup"
    assert available_memory_bytes(proc, cgroup) is None
    proc.write_text("MemTotal: 8 kB\nMemAvailable:   4000 kB\n")
    assert available_memory_bytes(proc, cgroup) == 4000 * 1024
    cgroup.mkdir()
    (cgroup / "memory.max").write_text("max\n")
    assert available_memory_bytes(proc, cgroup) == 4000 * 1024
    (cgroup / "memory.max").write_text("1000000\n")
    (cgroup / "memory.current").write_text("400000\n")
    assert available_memory_bytes(proc, cgroup) == 600_000
    (cgroup / "memory.stat").write_text("anon 300000\ninactive_file 90000\n")
    assert available_memory_bytes(proc, cgroup) == 690_000


def test_the_limits_of_a_unit_and_of_all_above_it_hold(tmp_path: Path) -> None:
    nowhere, own, unit = tmp_path / "meminfo", tmp_path / "own", tmp_path / "system.slice/offhook.service"
    unit.mkdir(parents=True)
    own.write_text("1:name=systemd:/elsewhere\n0::/system.slice/offhook.service\n")
    for folder, limit, used in ((unit, "max", 100), (unit.parent, "900", 200), (tmp_path, "2000", 300)):
        (folder / "memory.max").write_text(limit)
        (folder / "memory.current").write_text(str(used))
    assert available_memory_bytes(nowhere, tmp_path, own) == 700
    (unit / "memory.max").write_text("500")
    assert available_memory_bytes(nowhere, tmp_path, own) == 400
