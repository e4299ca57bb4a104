"""Recordings of people and machines that answer, made of the voices that are here; of real people too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import pytest

from agent.outbound.detection import Ear
from agent.outbound.machine import Verdict
from bench.material import recordings_folder
from models import kokoro
from models.piper import Voice
from models.silero import SileroModel
from models.whisper import Recognizer
from tests.agent.outbound import greetings
from tests.agent.outbound.greetings import Answer, Speak
from tests.models.conftest import VOICE
from tests.weights import require_weights

pytestmark = pytest.mark.models

UNDERSTANDING_S = 0.3  # so much later words come than what they were understood from
FRAME_BYTES = 640


@pytest.fixture(scope="module")
def recognizers() -> dict[str, Recognizer]:
    names = ("base", "tiny.en")
    return {name: Recognizer.load(require_weights(name).whisper(name), name=name) for name in names}


def joe() -> Speak:
    """The same each time."""
    voice = Voice(VOICE, require_weights(VOICE).voice(VOICE))
    voice._piper.config.noise_scale = voice._piper.config.noise_w_scale = 0.0
    return lambda text: np.frombuffer(voice.synthesize(text).pcm, np.int16)


def of_kokoro(names: Iterable[str]) -> dict[str, Speak]:
    network = require_weights("kokoro-82m").kokoro()
    assert network

    def speak(voice: kokoro.Voice) -> Speak:
        return lambda text: np.frombuffer(voice.synthesize(text).pcm, np.int16)

    return {name: speak(voice) for name, voice in kokoro.load(network, list(names)).items()}


def tuned() -> list[Answer]:
    speakers = of_kokoro(greetings.TUNED_OTHERS) | {n: greetings.flite(n) for n in ("slt", "kal16", "awb")}
    return list(
        greetings.made(
            speakers | {"joe": joe()},
            greetings.TUNED_MACHINES,
            greetings.TUNED_PEOPLE,
            greetings.TUNED_OTHERS,
            greetings.TUNED_BEEPS,
        )
    )


def held_out(every: int = 1) -> list[Answer]:
    others = dict(list(greetings.HELD_OTHERS.items())[::every])
    speakers = of_kokoro(others) | {
        "rms": greetings.flite("rms"),
        "deep joe": greetings.deeper(joe(), 1.15),
        "high slt": greetings.deeper(greetings.flite("slt"), 0.87),
    }
    made = greetings.made(
        speakers,
        greetings.HELD_MACHINES[::every],
        greetings.HELD_PEOPLE[::every],
        others,
        greetings.HELD_BEEPS,
    )
    folder = recordings_folder()
    people = greetings.of_people(folder, greetings.HELD_BEEPS) if folder else ()
    return [*made, *list(people)[::every]]


def heard(answer: Answer, recognizer: Recognizer) -> tuple[Verdict | None, float, float]:
    """The verdict, when it came, and when the message may be left; in seconds from the answer on."""
    ear = Ear(SileroModel().voice_activity())
    words: list[tuple[float, str]] = []
    decided_s = message_s = 0.0
    for start in range(0, len(answer.pcm) - FRAME_BYTES + 1, FRAME_BYTES):
        if speech := ear.hear(answer.pcm[start : start + FRAME_BYTES]):
            text = recognizer.transcribe_now(np.frombuffer(speech, np.int16), answer.language).text
            words.append((ear.heard_s + UNDERSTANDING_S, text))
        while words and ear.heard_s >= words[0][0]:
            ear.understood(words.pop(0)[1])
        if ear.verdict:
            decided_s = decided_s or ear.heard_s
            if ear.verdict is not Verdict.MACHINE or ear.may_leave_message:
                message_s = ear.heard_s
                break
    return ear.verdict, decided_s, message_s


@pytest.mark.parametrize(
    ("which", "most"),
    [
        pytest.param(tuned, 0.05, marks=pytest.mark.soak, id="tuned"),
        pytest.param(held_out, 0.05, marks=pytest.mark.soak, id="held out"),
        pytest.param(partial(held_out, every=4), 0.1, id="some that are held out"),
    ],
)
def test_people_are_told_from_machines(
    which: Callable[[], list[Answer]],
    most: float,
    recognizers: dict[str, Recognizer],
    request: pytest.FixtureRequest,
) -> None:
    answers = which()
    wrong: list[str] = []
    spoken_into: list[str] = []
    for answer in answers:
        recognizer = recognizers["tiny.en" if answer.language == "en" else "base"]
        verdict, decided_s, message_s = heard(answer, recognizer)
        expected = Verdict.MACHINE if answer.machine else Verdict.HUMAN
        if verdict is not expected or decided_s > 4.0:
            wrong.append(f"{answer.name}: {verdict} at {decided_s:.2f} s")
        elif answer.machine:
            begins = answer.beep_ends or answer.greeting_ends
            if not begins <= message_s <= begins + (1.0 if answer.beep_ends else 4.0):
                spoken_into.append(f"{answer.name}: at {message_s:.2f} s, not behind {begins:.2f} s")
    print(f"{request.node.name}: {len(answers) - len(wrong)} of {len(answers)} right")
    assert len(wrong) <= most * len(answers), wrong
    assert not spoken_into
