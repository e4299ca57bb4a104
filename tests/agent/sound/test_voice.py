"""The caller's voice among others in the room, heard by the real voice activity model."""

from __future__ import annotations

from importlib.resources import files
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from agent.sound.activity import Change
from agent.sound.voice import CallerVoice
from models.silero import SileroModel
from transports.playout import Playout

FRAME = 640


def question(db: float = 0.0) -> bytes:
    samples = np.frombuffer((files("models") / "data" / "question.pcm").read_bytes(), np.int16)
    rng = np.random.default_rng(1)
    line = rng.normal(0, 3, len(samples) + 16_000)  # a second of the line's own noise behind it
    line[: len(samples)] += samples * 10 ** (db / 20)
    return bytes(np.clip(line, -32768, 32767).astype(np.int16).tobytes())


def heard(voice: CallerVoice, pcm: bytes, now: float) -> tuple[list[Change], float]:
    events: list[Change] = []
    for at in range(0, len(pcm) // FRAME * FRAME, FRAME):
        now += 0.02
        events += [event.change for event in voice.process(pcm[at : at + FRAME], now)[1]]
    return events, now


@pytest.mark.parametrize("below", [22, 36])  # somebody else in the room; a television
def test_a_voice_far_below_the_caller_is_no_turn_and_the_caller_still_is(below: int) -> None:
    voice = CallerVoice(cast(Any, SimpleNamespace(vad=SileroModel())), Playout(), echo_guard=False)
    events, now = heard(voice, question(), 0.0)
    assert events[0] is Change.STARTED
    voice.begin()
    heard(voice, question(), now)
    voice.turn_over()
    voice.end()
    for _ in range(2):
        events, now = heard(voice, question(-below), now)
        assert events == []
    events, now = heard(voice, question(-14), now)
    assert events[0] is Change.STARTED


def test_before_anyone_has_spoken_a_faint_voice_is_heard() -> None:
    voice = CallerVoice(cast(Any, SimpleNamespace(vad=SileroModel())), Playout(), echo_guard=False)
    events, _ = heard(voice, question(-30), 0.0)
    assert Change.STARTED in events
