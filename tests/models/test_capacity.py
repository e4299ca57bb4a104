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


def test_this_machine_has_both() -> None:
    assert usable_cores() >= 1
    memory = available_memory_bytes()
    assert memory is None or memory > 100_000_000
