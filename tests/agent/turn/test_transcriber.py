import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.turn.transcriber import Transcriber
from models.errors import ModelFailed
from models.lanes import Speculative
from models.pool import ModelPool
from models.whisper import Transcript


class FakeRecognizer:
    """Hears how many bytes it was given."""

    def __init__(self) -> None:
        self.lane = SimpleNamespace(idle=True)
        self.heard: list[tuple[int, bool]] = []
        self.fails = False
        self.speculative: Speculative = False

    async def transcribe(self, pcm: bytes, *, speculative: Speculative, **_: Any) -> Transcript:
        self.speculative = speculative
        guess = speculative() if callable(speculative) else speculative
        self.heard.append((len(pcm), guess))
        await asyncio.sleep(0.01)
        if guess and self.fails:
            raise ModelFailed("A test.")
        return Transcript(str(len(pcm)), "en", -0.1, 0.0, 10.0)


@pytest.fixture
def recognizer() -> FakeRecognizer:
    return FakeRecognizer()


@pytest.fixture
def transcriber(recognizer: FakeRecognizer) -> Transcriber:
    return Transcriber(cast(ModelPool, SimpleNamespace(recognizer=recognizer)), call_id="a", language="en")


async def test_what_was_heard_in_passing_isnt_heard_again(
    transcriber: Transcriber, recognizer: FakeRecognizer
) -> None:
    look = asyncio.create_task(transcriber.words_so_far(bytes(1000)))
    for _ in range(2):  # the look begins, then the recognizer
        await asyncio.sleep(0)
    assert (await transcriber.words(bytes(1500), spoken=1000)).text == "1000"
    assert await look == await transcriber.words(bytes(1500), spoken=900)
    assert recognizer.heard == [(1000, True)]


async def test_a_look_that_a_turn_waits_for_is_no_guess_any_more(
    transcriber: Transcriber, recognizer: FakeRecognizer
) -> None:
    look = asyncio.create_task(transcriber.words_so_far(bytes(1000)))
    await asyncio.sleep(0)
    turn = asyncio.create_task(transcriber.words(bytes(1500), spoken=1000))
    await asyncio.sleep(0)
    assert callable(recognizer.speculative)
    assert not recognizer.speculative()
    assert await look == await turn


async def test_a_look_that_missed_the_end_doesnt_count(
    transcriber: Transcriber, recognizer: FakeRecognizer
) -> None:
    await transcriber.words_so_far(bytes(1000))
    assert (await transcriber.words(bytes(1500), spoken=1001)).text == "1500"
    transcriber.forget()
    assert (await transcriber.words(bytes(1600), spoken=10)).text == "1600"
    assert recognizer.heard == [(1000, True), (1500, False), (1600, False)]


async def test_a_look_that_failed_is_made_up_for(
    transcriber: Transcriber, recognizer: FakeRecognizer
) -> None:
    recognizer.fails = True
    assert await transcriber.words_so_far(bytes(1000)) is None
    assert (await transcriber.words(bytes(1500), spoken=1000)).text == "1500"


async def test_nobody_waits_for_a_look(transcriber: Transcriber, recognizer: FakeRecognizer) -> None:
    recognizer.lane.idle = False
    assert await transcriber.words_so_far(bytes(1000)) is None
    assert recognizer.heard == []


async def test_a_turn_that_goes_on_doesnt_cost_the_look(
    transcriber: Transcriber, recognizer: FakeRecognizer
) -> None:
    look = asyncio.create_task(transcriber.words_so_far(bytes(1000)))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(transcriber.words(bytes(1500), spoken=1000))
    await asyncio.sleep(0)
    waiting.cancel()
    heard = await look
    assert heard is not None
    assert heard.text == "1000"


async def test_the_last_look_counts_though_nobody_waits_for_it_any_more(
    transcriber: Transcriber, recognizer: FakeRecognizer
) -> None:
    looks = []
    for size in (1000, 1200):
        looks.append(asyncio.create_task(transcriber.words_so_far(bytes(size))))
        await asyncio.sleep(0)
        recognizer.lane.idle = False  # our own look keeps nobody else waiting
        looks[-1].cancel()
    assert (await transcriber.words(bytes(1500), spoken=1200)).text == "1200"
    assert all(
        isinstance(end, asyncio.CancelledError)
        for end in await asyncio.gather(*looks, return_exceptions=True)
    )
