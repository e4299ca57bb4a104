"""A model that this machine bore lately speaks, though something else keeps it busy at the moment."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from models.llm import speaker
from models.llm.child import LlamaChild


@dataclass
class FakeChild:
    """A process as fast as it is told to be."""

    states: Path
    weights: Path
    answer_tokens_s: float = 5.0
    prompt_tokens_s: float = 60.0
    threads: int = 2
    measured: int = 0

    async def measure(self) -> None:
        self.measured += 1


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaker, "MEASURE_AGAIN_S", 0.0)


@pytest.fixture
def child(tmp_path: Path) -> FakeChild:
    weights = tmp_path / "model.gguf"
    weights.write_bytes(b"weights")
    return FakeChild(tmp_path, weights)


async def bears(child: FakeChild) -> bool:
    return await speaker.bears(cast("LlamaChild", child), "A model")


async def test_one_that_never_was_fast_enough_is_measured_again_and_passed_over(child: FakeChild) -> None:
    assert not await bears(child)
    assert child.measured == speaker.MEASUREMENTS - 1


async def test_one_that_was_fast_enough_lately_speaks(child: FakeChild) -> None:
    child.answer_tokens_s = 12.0
    assert await bears(child)
    child.answer_tokens_s = 5.0
    assert await bears(child)


async def test_other_weights_were_never_tried(child: FakeChild) -> None:
    child.answer_tokens_s = 12.0
    assert await bears(child)
    child.answer_tokens_s = 5.0
    child.weights.write_bytes(b"larger weights")
    assert not await bears(child)


async def test_one_that_has_been_too_slow_for_long_is_passed_over(child: FakeChild) -> None:
    child.answer_tokens_s = 12.0
    assert await bears(child)
    (bore,) = child.states.glob("bore-*")
    long_ago = time.time() - 2 * speaker.LATELY_S
    os.utime(bore, (long_ago, long_ago))
    child.answer_tokens_s = 5.0
    assert not await bears(child)


async def test_where_nothing_can_be_kept_each_start_decides_for_itself(child: FakeChild) -> None:
    child.states = child.states / "gone"
    child.answer_tokens_s = 12.0
    assert await bears(child)
    child.answer_tokens_s = 5.0
    assert not await bears(child)
