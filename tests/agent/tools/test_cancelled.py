"""Tools that were cancelled before it is known that they run."""

from __future__ import annotations

from pipecat.frames.frames import (
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
)
from pipecat.tests.utils import run_test

from agent.tools.cancelled import CancelledTools


def runs(id: str) -> Frame:
    return FunctionCallInProgressFrame("book", id, {}, cancel_on_interruption=True)


def cancelled(id: str) -> Frame:
    return FunctionCallCancelFrame("book", id)


async def settled(*frames: Frame) -> int:
    """How many of these tools are told to be over."""
    down, _ = await run_test(CancelledTools(), frames_to_send=[*frames])
    return sum(isinstance(frame, FunctionCallResultFrame) for frame in down)


async def test_one_that_runs_behind_its_end_is_over() -> None:
    assert await settled(cancelled("0"), runs("0")) == 1


async def test_one_that_was_known_to_run_is_left_to_pipecat() -> None:
    assert await settled(runs("0"), cancelled("0")) == 0


async def test_the_next_one_of_the_same_id_runs() -> None:
    assert await settled(cancelled("0"), runs("0"), runs("0"), runs("0")) == 1
