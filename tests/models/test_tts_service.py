import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.tests.utils import run_test
from pipecat.workers.runner import WorkerRunner

from models.lanes import Speculative
from models.piper import Voice
from models.speech import Speech, Word
from models.speech_text import pieces
from models.tts_service import VoiceTTSService
from models.voices import Choice, Voices
from tests.models.conftest import VOICE

ANSWER = "Your total is $12.50, due on 3/4 at 5 p.m. Dr. Smith's in. Okay?"


def answer(text: str) -> list[Frame]:
    tokens = [LLMTextFrame(text[at : at + 4]) for at in range(0, len(text), 4)]
    return [LLMFullResponseStartFrame(), *tokens, LLMFullResponseEndFrame()]


def service(voices: Voices, voice: str = VOICE) -> VoiceTTSService:
    return VoiceTTSService(voices=voices, voice=voice, call_id="a", language="en")


def sounds_and_words(frames: Sequence[Frame]) -> list[str]:
    """What is heard in order: "~" for sound, and the words."""
    heard: list[str] = []
    for frame in frames:
        if isinstance(frame, TTSTextFrame):
            heard.append(frame.text)
        elif isinstance(frame, TTSAudioRawFrame) and heard[-1:] != ["~"]:
            heard.append("~")
    return heard


@pytest.mark.models
@pytest.mark.parametrize("frames", [answer(ANSWER), [TTSSpeakFrame(ANSWER)]], ids=["answer", "speak"])
async def test_every_word_once_in_order_behind_its_sound(voices: Voices, frames: list[Frame]) -> None:
    down, up = await run_test(service(voices), frames_to_send=frames)
    assert sounds_and_words(down) == [part for word in ANSWER.split() for part in ("~", word)]
    assert not any(frame.pts for frame in down)
    assert not up
    kinds = [type(frame) for frame in down]
    assert kinds.index(TTSStartedFrame) < kinds.index(TTSAudioRawFrame)
    assert kinds.index(TTSStoppedFrame) > len(kinds) - 1 - kinds[::-1].index(TTSTextFrame)
    if isinstance(frames[0], LLMFullResponseStartFrame):
        assert kinds[0] is LLMFullResponseStartFrame
        assert kinds[-1] is LLMFullResponseEndFrame


@pytest.mark.models
@pytest.mark.parametrize(
    ("text", "amount", "spoken_after"),
    [
        ("Your total is $1,234.56, I think.", "$1,234.56,", "is"),
        ("We close on 12/25/2026 at noon.", "12/25/2026", "on"),
        ("Call +1 415 555 2671 today.", "+1", "Call"),
    ],
)
def test_an_interruption_within_an_amount_cuts_it(
    steady_voice: Voice, text: str, amount: str, spoken_after: str
) -> None:
    """The written amount is heard only when its last word is: what was cut says nothing of it."""
    words = steady_voice.synthesize(text).words
    assert " ".join(word.text for word in words) == text
    at = next(number for number, word in enumerate(words) if word.text == amount)
    assert words[at - 1].text == spoken_after
    for share in (0.1, 0.5, 0.9):
        moment = words[at].start + share * (words[at].end - words[at].start)
        assert [word.text for word in words if word.end <= moment] == text.split()[:at]
    spoken = words[at].end - words[at].start
    rest = [word.end - word.start for word in words if word.text.isalpha()]
    assert spoken > 2 * sum(rest) / len(rest) or amount == "+1"


@pytest.mark.models
async def test_a_number_behind_the_first_words_is_a_code_by_what_they_say(voices: Voices) -> None:
    down, _ = await run_test(service(voices), frames_to_send=answer("Your booking code is 483920."))
    told, _ = await run_test(service(voices), frames_to_send=answer("Our turnover was at 483920."))

    def seconds(frames: Sequence[Frame]) -> float:
        sounds = [frame for frame in frames if isinstance(frame, TTSAudioRawFrame)]
        return sum(len(frame.audio) for frame in sounds) / 32_000

    assert sounds_and_words(down)[1::2] == ["Your", "booking", "code", "is", "483920."]
    assert seconds(down) != seconds(told)


@pytest.mark.models
async def test_sound_is_16_khz_and_belongs_to_one_context(voices: Voices) -> None:
    down, _ = await run_test(service(voices), frames_to_send=answer("Of course, I will. And more."))
    sounds = [frame for frame in down if isinstance(frame, TTSAudioRawFrame)]
    assert {(frame.sample_rate, frame.num_channels) for frame in sounds} == {(16_000, 1)}
    assert len({frame.context_id for frame in sounds}) == 1


@pytest.mark.models
async def test_an_answer_without_anything_to_say_is_no_error(voices: Voices) -> None:
    for _ in range(4):
        async with asyncio.timeout(2.5):  # Pipecat's own wait for sound is 3 s
            down, up = await run_test(service(voices), frames_to_send=answer("..."))
        assert "~" not in sounds_and_words(down)
        assert not up


async def test_a_failing_model_is_told_upstream(voices: Voices) -> None:
    async with asyncio.timeout(2.5):  # what is said about it must not wait
        down, up = await run_test(service(voices, voice="missing"), frames_to_send=answer("Hello."))
    errors = [frame for frame in up if isinstance(frame, ErrorFrame)]
    assert len(errors) == 1
    assert "missing" in errors[0].error
    assert "~" not in sounds_and_words(down)


class SlowVoice(Voice):
    """Speaks when it is let."""

    def __init__(self) -> None:
        self.device = "cpu"
        self.asked: list[str] = []
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)

    def synthesize(self, text: str, **_: object) -> Speech:
        return Speech.joined(self.parts(text))

    def parts(self, text: str, **_: object) -> Iterator[Speech]:
        self.asked.append(text)
        self.begun.release()
        assert self.go_on.acquire(timeout=5)
        yield Speech(bytes(3200), (Word(text, 0, 1600),))


class Collector(FrameProcessor):
    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self.changed = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.frames.append(frame)
        self.changed.set()
        await self.push_frame(frame, direction)

    async def until(self, kind: type[Frame], count: int = 1) -> None:
        async with asyncio.timeout(30):
            while sum(isinstance(frame, kind) for frame in self.frames) < count:
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def slow() -> AsyncIterator[tuple[SlowVoice, Voices]]:
    voice = SlowVoice()
    voices = Voices({"slow": voice})
    yield voice, voices
    for _ in range(10):
        voice.go_on.release()
    await voices.close()


@pytest.mark.parametrize("cut", [InterruptionFrame, EagerEndOfTurnCancelFrame])
async def test_what_was_cut_off_is_dropped(slow: tuple[SlowVoice, Voices], cut: type[Frame]) -> None:
    voice, voices = slow
    heard = Collector()
    worker = PipelineWorker(
        Pipeline([service(voices, "slow"), heard]), cancel_on_idle_timeout=False, enable_rtvi=False
    )
    runner = WorkerRunner()
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    loop = asyncio.get_running_loop()

    for frame in answer("One is this. Two is that. Three is it."):
        await worker.queue_frame(frame)
    await loop.run_in_executor(None, voice.begun.acquire)
    voice.go_on.release()
    await heard.until(TTSTextFrame)
    await loop.run_in_executor(None, voice.begun.acquire)
    await worker.queue_frame(cut())
    await heard.until(cut)
    interruptions = sum(isinstance(frame, InterruptionFrame) for frame in heard.frames)
    assert interruptions == (1 if cut is InterruptionFrame else 0)

    for _ in range(2):
        voice.go_on.release()
    for frame in answer("Four is new."):
        await worker.queue_frame(frame)
    await heard.until(LLMFullResponseEndFrame)
    await worker.queue_frame(EndFrame())
    await running
    assert sounds_and_words(heard.frames) == ["~", "One is this.", "~", "Four is new."]
    assert voice.asked == ["One is this.", "Two is that.", "Four is new."]


async def test_what_is_remembered_costs_no_work(slow: tuple[SlowVoice, Voices]) -> None:
    voice, voices = slow
    for _ in range(2):
        voice.go_on.release()
    greeting = "Hello, this is Joe. How can I help?"
    await voices.remember(await pieces(greeting, language="en"), voice="slow", language="en")
    assert voice.asked == ["Hello, this is Joe.", "How can I help?"]
    down, _ = await run_test(service(voices, "slow"), frames_to_send=[TTSSpeakFrame(greeting)])
    assert sounds_and_words(down) == ["~", "Hello, this is Joe.", "~", "How can I help?"]
    assert len(voice.asked) == 2


def guess() -> bool:
    return True


async def test_speculation_is_told_to_the_lane(slow: tuple[SlowVoice, Voices]) -> None:
    voice, voices = slow
    asked: list[Speculative] = []
    stream = voices.stream

    def noting(
        text: str, *, voice: Choice, call_id: str, speculative: Speculative = False, **how: Any
    ) -> AsyncGenerator[Speech, None]:
        asked.append(speculative)
        return stream(text, voice=voice, call_id=call_id, speculative=speculative, **how)

    voices.stream = noting  # type: ignore[method-assign, method-assign]
    voice.go_on.release()
    tts = VoiceTTSService(voices=voices, voice="slow", call_id="a", speculative=guess)
    await run_test(tts, frames_to_send=answer("Hello."))
    assert asked == [guess]
