import asyncio
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.turn.transcriber import Transcriber
from models.errors import ModelFailed
from models.expected import NOTHING, Expected
from models.lanes import Speculative
from models.pool import ModelPool
from models.transcript import Transcript


class FakeRecognizer:
    """Hears how many milliseconds it was given."""

    def __init__(self) -> None:
        self.lane = SimpleNamespace(idle=True)
        self.heard: list[tuple[int, bool]] = []
        self.fails = False
        self.sings: float | None = None
        self.words = ""  # in the place of the milliseconds
        self.speculative: Speculative = False
        self.expected: list[Expected] = []

    async def transcribe(
        self, pcm: bytes, *, speculative: Speculative, expected: Expected, **_: Any
    ) -> Transcript:
        self.expected.append(expected)
        self.speculative = speculative
        guess = speculative() if callable(speculative) else speculative
        self.heard.append((len(pcm) // 32, guess))
        await asyncio.sleep(0.01)
        if guess and self.fails:
            raise ModelFailed("A test.")
        return Transcript(self.words or str(len(pcm) // 32), "en", -0.1, 0.0, 10.0, sings=self.sings)


@pytest.fixture
def recognizer() -> FakeRecognizer:
    return FakeRecognizer()


class Line:
    """A caller's voice, and what is asked about it; in milliseconds."""

    def __init__(self, recognizer: FakeRecognizer) -> None:
        pool = cast(ModelPool, SimpleNamespace(recognizer=recognizer))
        self.expects = NOTHING
        self.transcriber = Transcriber(pool, call_id="a", language="en", expected=lambda: self.expects)
        self._numbers = count()

    def goes_on(self, to_ms: int) -> None:
        self.transcriber.add(bytes(to_ms * 32 - round(self.transcriber.audio_s * 32_000)), voice=True)

    async def passing(self) -> Transcript | None:
        return await self.transcriber.words_so_far(next(self._numbers))

    async def words(self, *, silence_ms: int) -> Transcript:
        return await self.transcriber.words(next(self._numbers), silence_s=silence_ms / 1000)


@pytest.fixture
def line(recognizer: FakeRecognizer) -> Line:
    line = Line(recognizer)
    line.goes_on(1000)
    return line


async def test_what_was_heard_in_passing_isnt_heard_again(line: Line, recognizer: FakeRecognizer) -> None:
    look = asyncio.create_task(line.passing())
    for _ in range(2):  # the look begins, then the recognizer
        await asyncio.sleep(0)
    line.goes_on(1500)
    assert (await line.words(silence_ms=500)).text == "1000"
    assert await look == await line.words(silence_ms=600)
    assert recognizer.heard == [(1000, True)]


async def test_a_look_that_a_turn_waits_for_is_no_guess_any_more(
    line: Line, recognizer: FakeRecognizer
) -> None:
    look = asyncio.create_task(line.passing())
    await asyncio.sleep(0)
    line.goes_on(1500)
    turn = asyncio.create_task(line.words(silence_ms=500))
    await asyncio.sleep(0)
    assert callable(recognizer.speculative)
    assert not recognizer.speculative()
    assert await look == await turn


async def test_a_look_that_missed_the_end_doesnt_count(line: Line, recognizer: FakeRecognizer) -> None:
    await line.passing()
    line.goes_on(1500)
    assert (await line.words(silence_ms=470)).text == "1500"
    line.transcriber.forget()
    line.goes_on(1600)
    assert (await line.words(silence_ms=1500)).text == "1600"
    assert recognizer.heard == [(1000, True), (1500, False), (1600, False)]


async def test_a_look_that_failed_is_made_up_for(line: Line, recognizer: FakeRecognizer) -> None:
    recognizer.fails = True
    assert await line.passing() is None
    line.goes_on(1500)
    assert (await line.words(silence_ms=500)).text == "1500"


async def test_nobody_waits_for_a_look(line: Line, recognizer: FakeRecognizer) -> None:
    recognizer.lane.idle = False
    assert await line.passing() is None
    assert recognizer.heard == []


async def test_a_turn_that_goes_on_doesnt_cost_the_look(line: Line, recognizer: FakeRecognizer) -> None:
    look = asyncio.create_task(line.passing())
    await asyncio.sleep(0)
    line.goes_on(1500)
    waiting = asyncio.create_task(line.words(silence_ms=500))
    await asyncio.sleep(0)
    waiting.cancel()
    heard = await look
    assert heard is not None
    assert heard.text == "1000"


async def test_the_last_look_counts_though_nobody_waits_for_it_any_more(
    line: Line, recognizer: FakeRecognizer
) -> None:
    looks = []
    for size in (1000, 1200):
        line.goes_on(size)
        looks.append(asyncio.create_task(line.passing()))
        await asyncio.sleep(0)
        recognizer.lane.idle = False  # our own look keeps nobody else waiting
        looks[-1].cancel()
    line.goes_on(1500)
    assert (await line.words(silence_ms=300)).text == "1200"
    assert all(
        isinstance(end, asyncio.CancelledError)
        for end in await asyncio.gather(*looks, return_exceptions=True)
    )


async def test_what_is_settled_is_let_go(line: Line, recognizer: FakeRecognizer) -> None:
    await line.words(silence_ms=0)
    line.goes_on(1500)
    line.transcriber.settle(0)
    assert (await line.words(silence_ms=0)).text == "500"


def test_of_silence_only_the_moment_before_a_voice_is_kept(line: Line) -> None:
    line.transcriber.add(bytes(32_000), voice=False)
    assert line.transcriber.audio_s == 0.3


SONG = "All you need is a friend like me"


@pytest.mark.parametrize(
    ("sings", "seconds", "words", "heard"),
    [
        (None, 4, SONG, SONG),
        (0.5, 4, SONG, SONG),
        (0.95, 4, SONG, ""),
        (0.95, 2, SONG, SONG),
        (0.95, 4, "My number is 212-555-0151.", "My number is 212-555-0151."),
        (0.95, 4, "to one two five five five zero one", "to one two five five five zero one"),
        (0.95, 4, "A, D, A, M, S.", "A, D, A, M, S."),
        (0.95, 4, "I'm 22, and you and I", ""),
    ],
)
async def test_who_sings_says_nothing(
    line: Line, recognizer: FakeRecognizer, sings: float | None, seconds: int, words: str, heard: str
) -> None:
    recognizer.sings, recognizer.words = sings, words
    line.goes_on(seconds * 1000)
    assert (await line.words(silence_ms=0)).text == heard
    passing = await line.passing()
    assert passing
    assert passing.text == heard


async def test_who_says_what_is_waited_for_doesnt_sing(line: Line, recognizer: FakeRecognizer) -> None:
    recognizer.sings, recognizer.words = 0.95, "I'd like to, um, book a table"
    line.expects = Expected(wanted=lambda text: "table" in text)
    line.goes_on(4000)
    assert (await line.words(silence_ms=0)).text == recognizer.words
    recognizer.words = SONG
    line.goes_on(8000)
    assert (await line.words(silence_ms=0)).text == ""


async def test_what_to_expect_is_told_as_it_is_then(line: Line, recognizer: FakeRecognizer) -> None:
    line.goes_on(1000)
    await line.words(silence_ms=100)
    line.expects = Expected("Monday, Tuesday.")
    line.goes_on(2000)
    await line.words(silence_ms=100)
    assert recognizer.expected == [NOTHING, Expected("Monday, Tuesday.")]


def test_the_beginning_of_a_voice_that_goes_on_as_a_turn_ends_is_kept(line: Line) -> None:
    line.transcriber.end()
    assert line.transcriber.audio_s == pytest.approx(0.1)
    line.transcriber.add(bytes(20 * 32), voice=True)
    assert line.transcriber.audio_s == pytest.approx(0.12)
