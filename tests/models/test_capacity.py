from pathlib import Path

import pytest

from models.capacity import available_memory_bytes, overtaxed, usable_cores

SMALL, BASE = 483_546_902, 145_217_607


@pytest.mark.parametrize("size", [BASE, SMALL])
def test_four_cores_and_some_memory_are_enough(size: int) -> None:
    assert overtaxed(size, 4, 2_000_000_000) is None
    assert overtaxed(size, 4, None) is None


def test_a_heavy_model_wants_cores_and_memory() -> None:
    assert overtaxed(SMALL, 3, None) == "wants 4 cores, and there are 3"
    assert overtaxed(SMALL, 8, 600_000_000) == "needs 725 MB of memory, and 600 are available"


def test_a_light_one_is_at_home_anywhere() -> None:
    assert overtaxed(BASE, 1, 1) is None


@pytest.mark.parametrize(("quota", "cores"), [("200000", 2), ("150000", 2), ("20000", 1), ("max", 8)])
def test_a_containers_share_of_the_processor_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cores: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    (tmp_path / "cpu.max").write_text(f"{quota} 100000\n")
    assert usable_cores(tmp_path, tmp_path / "own") == cores


def test_this_machine_has_both() -> None:
    assert usable_cores() >= 1
    memory = available_memory_bytes()
    assert memory is None or memory > 100_000_000
