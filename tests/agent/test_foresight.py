import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest
from pipecat.frames.frames import EagerEndOfTurnCancelFrame, EagerTranscriptionFrame, Frame
from pipecat.processors.frame_processor import FrameProcessor

from agent.conversation import Conversation
from agent.turn.foresight import Foresight, Mind


class FakeListener:
    """Only what a Foresight needs of the processor that it speaks through."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def push_frame(self, frame: Frame) -> None:
        assert isinstance(frame, EagerTranscriptionFrame)
        self.sent.append(frame.text)

    async def broadcast_frame(self, kind: type[Frame]) -> None:
        assert kind is EagerEndOfTurnCancelFrame
        self.sent.append("withdrawn")

    def create_task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return asyncio.create_task(work)


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def listener() -> FakeListener:
    return FakeListener()


@pytest.fixture
def foresight(listener: FakeListener, asked: list[str]) -> Foresight:
    async def end_probability(text: str) -> float:
        asked.append(text)
        return 0.7

    async def nothing(*_: object) -> None:
        return

    mind = Mind(end_probability, nothing, nothing)
    return Foresight(cast(FrameProcessor, listener), Conversation(), mind, speculates=True)


async def test_a_guess_that_grew_is_withdrawn(foresight: Foresight, listener: FakeListener) -> None:
    await foresight.answer("My name.")
    await foresight.answer("My name is Ann.")
    assert listener.sent == ["My name.", "withdrawn", "My name is Ann."]
    assert not foresight.stands("My name.")
    assert foresight.stands("My name is Ann.")


async def test_every_withdrawn_guess_of_a_turn_stays_withdrawn(foresight: Foresight) -> None:
    for guess in ("One", "One two", "One two three"):
        await foresight.answer(guess)
    assert [foresight.stands(guess) for guess in ("One", "One two", "One two three")] == [False, False, True]
    foresight.commit()
    assert foresight.stands("One two three")
    foresight.begin()
    assert foresight.stands("One")


async def test_another_full_stop_is_no_other_guess(foresight: Foresight, listener: FakeListener) -> None:
    await foresight.answer("Where are you?")
    await foresight.answer("where are you.")
    assert listener.sent == ["Where are you?"]
    assert foresight.text == "Where are you?"


async def test_the_same_words_are_judged_once_a_turn(foresight: Foresight, asked: list[str]) -> None:
    assert await foresight.completeness("Where are you?") == 0.7
    assert await foresight.completeness("where are you") == 0.7
    assert asked == ["Where are you?"]
    foresight.begin()
    await foresight.completeness("Where are you?")
    assert len(asked) == 2
