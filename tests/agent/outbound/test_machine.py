"""When a person is told from a machine, and a beep from a voice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.outbound.beeps import BeepDetector
from agent.outbound.detection import Ear
from agent.outbound.machine import AFTER_BEEP_S, DECIDED_S, SILENT_S, AnsweringMachine, Verdict
from models.silero import SileroModel
from tests.agent.outbound.greetings import RATE_HZ, Beep, Samples, over_the_line, silence, tone

STEP_S = 0.032


class Line:
    """Has the policy hear what a test says is heard when."""

    def __init__(self) -> None:
        self.machine = AnsweringMachine()
        self.now = 0.0

    def hears(self, seconds: float, *, speech: bool) -> Line:
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            self.machine.heard(STEP_S, speech, self.now)
        return self

    def says(self, seconds: float, text: str = "") -> Line:
        self.hears(seconds, speech=True)
        if text:
            self.machine.said(text, self.now)
        return self

    def waits(self, seconds: float) -> Line:
        return self.hears(seconds, speech=False)

    @property
    def verdict(self) -> Verdict | None:
        return self.machine.verdict


def test_who_says_hello_and_waits_is_a_person() -> None:
    line = Line().waits(0.5).says(0.4)
    assert line.waits(0.5).verdict is None
    assert line.waits(0.3).verdict is Verdict.HUMAN


def test_who_goes_on_is_a_machine() -> None:
    line = Line().waits(0.5).says(3.2)
    assert line.verdict is None
    assert line.says(0.25).verdict is Verdict.MACHINE
    assert line.now <= 4


@pytest.mark.parametrize(
    "text",
    [
        "Hi, you've reached Tom.",
        "Please leave your name",
        "Vous êtes bien chez Marie",
        "Deje su mensaje",
        "Risponde la segreteria",
        "No momento não posso atender",
        "Bitte hinterlassen Sie eine Nachricht",
    ],
)
def test_a_machine_is_known_by_its_words(text: str) -> None:
    assert Line().waits(0.3).says(1.5, text).verdict is Verdict.MACHINE


@pytest.mark.parametrize("text", ["Acme plumbers, how can I help you", "Good morning, Acme plumbers"])
def test_a_long_greeting_of_a_person(text: str) -> None:
    assert Line().waits(0.3).says(3.2, text).says(0.5).verdict is Verdict.HUMAN


def test_a_person_who_goes_on_is_let_finish() -> None:
    line = Line().waits(0.3).says(3.2, "Good morning, Acme plumbers").says(1.5)
    assert line.verdict is Verdict.HUMAN
    assert not line.machine.awaits_us(line.now)
    assert line.waits(0.7).machine.awaits_us(line.now)


def test_who_is_taken_for_a_person_and_beeps_is_a_machine() -> None:
    line = Line().waits(0.3).says(3.2, "Good morning, Acme plumbers").says(1.5)
    line.machine.beeped((1000,), line.now)
    assert line.verdict is Verdict.MACHINE


def test_nobody_says_anything() -> None:
    line = Line().waits(3.8)
    assert line.verdict is None
    assert line.waits(0.2).verdict is Verdict.UNKNOWN


def test_the_message_comes_after_the_beep() -> None:
    line = Line().waits(0.3).says(5.0).waits(1.0)
    assert line.verdict is Verdict.MACHINE
    line.machine.beeped((1000,), line.now)
    assert not line.machine.may_leave_message(line.now)
    assert line.machine.may_leave_message(line.now + AFTER_BEEP_S)


def test_a_beep_within_the_greeting_is_not_its_end() -> None:
    line = Line().waits(0.3).says(4.0)
    line.machine.beeped((1000,), line.now)
    line.says(2.0)
    assert not line.machine.may_leave_message(line.now + AFTER_BEEP_S)


def test_without_a_beep_the_message_comes_after_a_silence() -> None:
    line = Line().waits(0.3).says(5.0)
    assert not line.machine.may_leave_message(line.now + SILENT_S - 0.1)
    assert line.machine.may_leave_message(line.now + SILENT_S)


def test_a_greeting_without_end() -> None:
    line = Line().says(59.0)
    assert not line.machine.may_leave_message(line.now)
    line.says(1.5)
    assert line.machine.may_leave_message(line.now)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.05, 2)), min_size=1, max_size=60))
def test_it_is_always_decided_in_time(parts: list[tuple[bool, float]]) -> None:
    line = Line()
    for speech, seconds in parts:
        line.hears(seconds, speech=speech)
        assert line.verdict is not None or line.now < DECIDED_S + STEP_S


CADENCES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    # Tones in Hz, and how long they sound and don't, in seconds.
    "American ringing": ((440, 480), (2, 4)),
    "European ringing": ((425,), (1, 4)),
    "French ringing": ((440,), (1.5, 3.5)),
    "Swedish ringing": ((425,), (1, 5)),
    "British ringing": ((400, 450), (0.4, 0.2, 0.4, 2)),
    "American busy": ((480, 620), (0.5, 0.5)),
    "European busy": ((425,), (0.5, 0.5)),
    "British busy": ((400,), (0.375, 0.375)),
    "congestion": ((480, 620), (0.25, 0.25)),
}


def sounds(name: str, seconds: float) -> Samples:
    hz, lengths = CADENCES[name]
    once = np.concatenate([silence(s) if nth % 2 else tone(Beep(hz, s)) for nth, s in enumerate(lengths)])
    return np.tile(once, round(seconds / sum(lengths)) or 1)


def verdict_of(sound: Samples) -> Verdict | None:
    ear = Ear(SileroModel().voice_activity())
    line = over_the_line(sound)
    for start in range(0, len(line) - 319, 320):
        ear.hear(line[start : start + 320].tobytes())
    return ear.verdict


@pytest.mark.parametrize("name", CADENCES)
def test_what_the_network_sounds_is_no_machine(name: str) -> None:
    assert verdict_of(sounds(name, 12)) is None
    assert verdict_of(np.concatenate((sounds(name, 6), silence(8)))) is Verdict.UNKNOWN


@pytest.mark.parametrize("name", CADENCES)
def test_ringing_without_end_is_given_up(name: str) -> None:
    assert verdict_of(sounds(name, 70)) is Verdict.UNKNOWN


def test_a_beep_alone_is_a_machine() -> None:
    assert verdict_of(np.concatenate((silence(1), tone(Beep((1000,), 0.4)), silence(0.5)))) is Verdict.MACHINE


@pytest.mark.parametrize("speech_s", [0.4, 3.9])
def test_who_answers_behind_the_ringing_is_judged_as_anyone(speech_s: float) -> None:
    line = Line()
    line.machine.beeped((425,), 0.1)
    for _ in range(3):
        line.waits(5.0).machine.beeped((425,), line.now)
    line.waits(0.3).says(speech_s).waits(0.7)
    assert line.verdict is (Verdict.HUMAN if speech_s < 1 else Verdict.MACHINE)
    line.machine.beeped((425,), line.now)
    assert line.verdict is Verdict.MACHINE


def beeps(sound: Samples) -> list[float]:
    """When each was told, in seconds."""
    detector = BeepDetector()
    starts = range(0, len(sound) - 319, 320)
    return [(start + 320) / RATE_HZ for start in starts if detector.feed(sound[start : start + 320])]


@pytest.mark.parametrize(
    "hz", [(400,), (697,), (1000,), (1400,), (2100,), (440, 620), (850, 1100), (1336, 1633)]
)
@pytest.mark.parametrize("seconds", [0.12, 0.4, 1.5])
@pytest.mark.parametrize("peak", [600, 12_000])
def test_beeps_are_told_at_their_end(hz: tuple[float, ...], seconds: float, peak: int) -> None:
    sound = over_the_line(np.concatenate((silence(0.5), tone(Beep(hz, seconds, peak)), silence(0.5))))
    (at,) = beeps(sound)
    assert 0.5 + seconds - 0.03 <= at <= 0.5 + seconds + 0.08


def test_what_sounds_shorter_is_no_beep() -> None:
    assert not beeps(over_the_line(np.concatenate((silence(0.2), tone(Beep((1000,), 0.06)), silence(0.2)))))


def test_a_tone_that_glides_is_no_beep() -> None:
    at = np.arange(RATE_HZ) / RATE_HZ
    glide = 8000 * np.sin(2 * np.pi * (500 * at + 400 * at**2))
    assert not beeps(over_the_line(glide.astype(np.int16)))


def test_noise_is_no_beep() -> None:
    hiss = np.random.default_rng(1).normal(0, 3000, 5 * RATE_HZ).astype(np.int16)
    assert not beeps(over_the_line(hiss))
