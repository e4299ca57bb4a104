"""The numbers that test the line, over a fake wire on a virtual clock."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import loguru
import numpy as np
import pytest
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import InputDTMFFrame

from agent.session import CallSession
from agent.test_numbers.pipeline import LONGEST_S
from agent.test_numbers.quality import report
from agent.test_numbers.tone import LEVEL_DBM0, SWEEP_HZ, TONE_HZ, cycle
from config.announcement import FOLDER, announcements
from config.persona import load_persona
from config.settings import TestNumber
from models.errors import ModelFailed
from models.transcript import Transcript
from tests.agent.conversation_kit import (
    PACKET,
    PACKET_S,
    WORD_S,
    FakeCall,
    FakeModels,
    Outcome,
    Says,
    converse,
    segments_in,
)
from transports.call import EndReason, MediaStats
from transports.playout import SAMPLE_RATE_HZ

NUMBERS: tuple[TestNumber, ...] = ("echo", "tone", "keys", "repeat", "latency", "quality")
EN = announcements("en")


def greeted(number: TestNumber) -> float:
    """When the greeting is over, in seconds, and a moment more."""
    return len(EN.greetings[number].split()) * WORD_S + 0.3


def spoken(outcome: Outcome) -> list[str]:
    return [text for _, text in outcome.spoken]


def part(outcome: Outcome, start: float, end: float) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.frombuffer(bytes(outcome.sound), np.int16)[
        int(start * SAMPLE_RATE_HZ) : int(end * SAMPLE_RATE_HZ)
    ]


def press(*keys: tuple[float, str]) -> list[tuple[float, InputDTMFFrame]]:
    return [(at, InputDTMFFrame(button=KeypadEntry(key))) for at, key in keys]


@pytest.mark.parametrize("number", NUMBERS)
def test_each_says_what_it_does_and_ends_by_itself(number: TestNumber) -> None:
    outcome = converse([], number=number, lasts=LONGEST_S + 60)
    assert " ".join(spoken(outcome)).startswith(EN.greetings[number])
    assert outcome.turns[0] == ("agent", EN.greetings[number], False)
    assert outcome.reason in (EndReason.MAX_DURATION, EndReason.IDLE)  # who talks is asked after
    assert spoken(outcome)[-1] == "Goodbye now."
    # A report that is being said then is heard to its end.
    assert LONGEST_S + 15 > outcome.at("agent hangs up") > (30 if number == "latency" else LONGEST_S)
    assert outcome.left == []


def test_the_echo_is_the_caller_after_the_greeting() -> None:
    start = greeted("echo")
    outcome = converse(
        [Says(0.3, 0.8, "Hello?"), Says(start, start + 1.0, "Hello, me.")], number="echo", lasts=start + 3
    )
    heard = segments_in(part(outcome, 0, start + 2).tobytes(), PACKET)
    packets = [at for at, segment in enumerate(heard) if segment is not None]
    assert {heard[at] for at in packets} == {1}
    assert packets[0] * PACKET_S == pytest.approx(start, abs=PACKET_S)  # at once
    assert len(packets) * PACKET_S == pytest.approx(1.0, abs=2 * PACKET_S)


def test_the_echo_needs_no_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object, **__: object) -> AsyncIterator[Any]:
        raise ModelFailed("The voice is out of order.")
        yield

    monkeypatch.setattr(FakeModels, "_speak", fails)
    outcome = converse([Says(2.0, 3.0, "Hello?")], number="echo", lasts=5)
    heard = segments_in(bytes(outcome.sound), PACKET)
    assert heard.count(0) * PACKET_S == pytest.approx(1.0, abs=2 * PACKET_S)
    assert outcome.reason is EndReason.CALLER_HANGUP


def test_what_comes_in_a_bunch_does_not_delay_the_echo_for_ever() -> None:
    start = greeted("echo")

    def during(_: CallSession, call: FakeCall) -> None:
        feed, held = call._input.feed, list[bytes]()

        async def bunched(pcm: bytes) -> None:
            held.append(pcm)
            if len(held) >= (25 if not done else 1):  # half a second at once, then as usual
                done.append(True)
                for one in list(held):
                    await feed(one)
                held.clear()

        call._input.feed = bunched  # type: ignore[method-assign]

    done: list[bool] = []
    outcome = converse(
        [Says(start + 1, start + 2, "Late?"), Says(start + 6, start + 7, "Now?")],
        number="echo",
        lasts=start + 9,
        during=during,
    )
    heard = segments_in(bytes(outcome.sound), PACKET)
    assert heard.index(0) * PACKET_S - (start + 1) < 0.1
    assert heard.index(1) * PACKET_S == pytest.approx(start + 6, abs=1.5 * PACKET_S)


def test_the_tone_and_the_sweep_have_the_stated_level() -> None:
    start = greeted("tone")
    outcome = converse([], number="tone", lasts=start + 24)
    tone = part(outcome, start + 1, start + 9).astype(float)
    full_scale_dbm0 = 3.17  # of a sine, by the mu-law
    level = 20 * math.log10(math.sqrt(2) * float(np.sqrt(np.mean(tone**2))) / 32767) + full_scale_dbm0
    assert level == pytest.approx(LEVEL_DBM0, abs=0.1)
    spectrum = np.abs(np.fft.rfft(tone))
    assert spectrum.argmax() * SAMPLE_RATE_HZ / len(tone) == pytest.approx(TONE_HZ, abs=0.2)
    sweep = np.frombuffer(cycle(), np.int16)[int(10.5 * SAMPLE_RATE_HZ) : int(20.5 * SAMPLE_RATE_HZ)]
    for piece, hz in ((sweep[:1600], SWEEP_HZ[0]), (sweep[-1600:], SWEEP_HZ[1])):
        at = np.abs(np.fft.rfft(piece * np.hanning(1600))).argmax() * SAMPLE_RATE_HZ / 1600
        assert at == pytest.approx(hz, rel=0.05)
    again = part(outcome, start + 22, start + 23).astype(float)
    assert np.abs(np.fft.rfft(again)).argmax() == pytest.approx(TONE_HZ, abs=1)


def test_who_hangs_up_during_the_tone_s_greeting_is_gone() -> None:
    errors: list[str] = []
    sink = loguru.logger.add(lambda line: errors.append(str(line)), level="ERROR")
    try:
        outcome = converse([], number="tone", lasts=1.0)
    finally:
        loguru.logger.remove(sink)
    assert outcome.reason is EndReason.CALLER_HANGUP
    assert errors == []


def test_each_key_is_read_back_once_in_its_order() -> None:
    keys = press((0.5, "1"), (4.0, "*"), (4.1, "#"), (4.2, "4"), (4.3, "4"))
    outcome = converse([], number="keys", keys=keys, lasts=8)
    assert spoken(outcome)[-5:] == ["1", "star", "pound", "4", "4"]
    assert [text for speaker, text, _ in outcome.turns if speaker == "caller"] == [
        f"DTMF: {key}" for key in "1*#44"
    ]
    assert outcome.turns[1:3] == [("agent", "Key", True), ("agent", "1", False)]  # the first at once


def test_what_was_heard_is_said_back_and_how_sure() -> None:
    start = greeted("repeat")
    outcome = converse(
        [
            Says(0.3, 0.9, "Nobody listens yet."),
            Says(start, start + 1.2, "Two tickets, please.", logprob=-0.223),
            Says(start + 8, start + 9, ""),
        ],
        number="repeat",
        lasts=start + 14,
    )
    heard = f"{EN.heard.format(text='Two tickets, please.')} {EN.sure.format(percent=80)}"
    assert " ".join(spoken(outcome)) == f"{EN.greetings['repeat']} {heard} {EN.nothing_heard}"
    assert [turn[1] for turn in outcome.turns if turn[0] == "caller"] == ["Two tickets, please."]


def test_of_what_a_server_heard_that_tells_no_probability_no_percentage_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def unsure(*_: object, **__: object) -> Transcript:
        return Transcript("Hello?", "en", None, 0.0, 100.0)

    monkeypatch.setattr(FakeModels, "_transcribe", unsure)
    start = greeted("repeat")
    outcome = converse([Says(start, start + 1, "Hello?")], number="repeat", lasts=start + 8)
    assert " ".join(spoken(outcome)) == f"{EN.greetings['repeat']} {EN.heard.format(text='Hello?')}"


@pytest.mark.parametrize("hangs", [False, True])
def test_a_recognizer_that_fails_is_told(hangs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object, **__: object) -> Transcript:
        if hangs:
            await asyncio.Event().wait()
        raise ModelFailed("Out of order.")

    monkeypatch.setattr(FakeModels, "_transcribe", fails)
    start = greeted("repeat")
    outcome = converse([Says(start, start + 1, "Hello?")], number="repeat", lasts=start + 30)
    assert spoken(outcome)[-1] == EN.not_recognized
    assert outcome.reason is EndReason.CALLER_HANGUP


def test_after_each_answer_it_is_said_how_long_it_took_and_where_the_time_went() -> None:
    start = greeted("latency")
    question, more = "What time is it?", "And tomorrow?"
    outcome = converse(
        [Says(start, start + 1.2, question), Says(start + 16, start + 17, more)],
        {question: "It is noon.", more: "Noon again."},
        number="latency",
        lasts=start + 30,
    )
    said = " ".join(spoken(outcome))
    answer = next(ledger for ledger in outcome.ledgers if ledger)
    took = f"It is noon. That took {round(sum(answer.values()))} milliseconds: "
    assert took in said
    assert f"recognizer {round(answer['transcript'])}," in said[said.index(took) :]
    assert said.count("That took") == 2
    # The model isn't told, or it would say the like.
    assert "That took" not in str(outcome.contexts)
    assert [turn[1] for turn in outcome.turns if turn[0] == "agent"][1:] == ["It is noon.", "Noon again."]


def test_the_quality_is_reported_again_and_again() -> None:
    def during(_: CallSession, call: FakeCall) -> None:
        call.stats = MediaStats(500, 4, 2.4, 31.0)

    outcome = converse([], number="quality", during=during, lasts=50)
    told = " ".join(spoken(outcome))
    assert told.count("500 packets received, 4 lost.") >= 2
    assert "Jitter 2 milliseconds. Round trip 31 milliseconds. Estimated quality: 4." in told


def test_tenths_are_written_as_the_language_has_them() -> None:
    stats = MediaStats(1000, 0, 0.0, 0.0)
    assert report(stats, "pcmu", EN).endswith("4.4 of 4.4.")
    assert report(stats, "pcmu", announcements("fr")).endswith("4,4 sur 4,4.")


def test_what_a_wire_cannot_know_is_said() -> None:
    said = report(MediaStats(120), "PCMU/8000", EN)
    assert said == (
        "Codec PCMU. 120 packets received. What was lost can't be known here. The round trip isn't known. "
        "The quality can't be estimated."
    )


@pytest.mark.parametrize("language", [path.stem for path in FOLDER.glob("*.yaml")])
def test_every_language_says_all_of_it(language: str) -> None:
    says = announcements(language)
    assert set(says.greetings) == set(NUMBERS)
    assert set(says.parts) == set(EN.parts)
    for name, text in EN:
        if isinstance(text, str):
            assert getattr(says, name).count("{") == text.count("{"), name
    assert language == "en" or says != EN


def test_a_language_without_any_gets_english() -> None:
    assert announcements("hi") is EN


def test_the_persona_s_language_and_voice_are_used() -> None:
    persona = load_persona("fr")
    outcome = converse([], number="echo", persona=persona, lasts=3)
    voice, text = outcome.spoken[0]
    assert voice == persona.voice
    assert text.startswith("Test d'écho.")
