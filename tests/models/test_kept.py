from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.kept import Kept
from models.speech import Floats

NUMBERS: list[Floats] = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(2, np.float32)]


class Maker:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> list[Floats]:
        self.times += 1
        return NUMBERS


@pytest.fixture
def maker() -> Maker:
    return Maker()


def test_what_was_made_once_is_read(tmp_path: Path, maker: Maker) -> None:
    for _ in range(2):
        for got, made in zip(Kept(tmp_path / "new", b"1").get("a", b"x", maker), NUMBERS, strict=True):
            np.testing.assert_array_equal(got, made)
            assert got.dtype == np.float32
    assert maker.times == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a"]


@pytest.mark.parametrize(("made_by", "made_of"), [(b"2", b"x"), (b"1", b"y")])
def test_what_was_made_of_something_else_is_made_anew(
    tmp_path: Path, maker: Maker, made_by: bytes, made_of: bytes
) -> None:
    Kept(tmp_path, b"1").get("a", b"x", maker)
    for _ in range(2):
        Kept(tmp_path, made_by).get("a", made_of, maker)
    assert maker.times == 2


@pytest.mark.parametrize("at", [0, 40, -1, None])
def test_a_damaged_file_is_made_anew(tmp_path: Path, maker: Maker, at: int | None) -> None:
    kept = Kept(tmp_path, b"1")
    kept.get("a", b"x", maker)
    written = bytearray((tmp_path / "a").read_bytes())
    if at is None:
        del written[-10:]
    else:
        written[at] ^= 1
    (tmp_path / "a").write_bytes(written)
    for _ in range(2):
        assert len(kept.get("a", b"x", maker)) == 2
    assert maker.times == 2


def test_where_nothing_can_be_written_it_is_made_each_time(tmp_path: Path, maker: Maker) -> None:
    (tmp_path / "file").touch()
    for folder in (None, tmp_path / "file"):
        assert len(Kept(folder, b"1").get("a", b"x", maker)) == 2
    assert maker.times == 2
