"""What scenarios of questions and answers share: how a caller asks, and what became of each turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench import metrics
from bench.caller.script import PTIME_S, Hangup, Line, Play, Step, Wait
from bench.callers import AgentTurn, Call
from bench.material import Sound
from bench.results import Timeline, TurnRecord
from bench.workbench import Bench

TURNS_PER_CALL = 12


def ask(sound: Sound) -> tuple[Step, ...]:
    return (
        Play(wav=sound.wav, label=sound.label, kind=sound.kind),
        Wait(until="reply", timeout_s=8),
        Wait(until="silent", for_ms=900, timeout_s=12),
    )


def listen() -> tuple[Step, ...]:
    """To the greeting."""
    return Wait(until="speaking", timeout_s=10), Wait(until="silent", for_ms=900, timeout_s=20)


async def one_call(bench: Bench, sounds: Sequence[Sound], line: Line | None = None) -> Call:
    """All sounds as questions."""
    steps = [*listen(), *(step for sound in sounds for step in ask(sound)), Hangup()]
    return await bench.caller.call(tuple(steps), line)


async def converse(bench: Bench, sounds: Sequence[Sound], line: Line | None = None) -> list[Call]:
    """All sounds as questions, in calls of a dozen turns."""
    calls = []
    for start in range(0, len(sounds), TURNS_PER_CALL):
        part = sounds[start : start + TURNS_PER_CALL]
        calls.append(await one_call(bench, part, line))
        bench.say(f"{start + len(part)} of {len(sounds)} turns")
    return calls


def records(calls: Sequence[Call]) -> list[TurnRecord]:
    found = []
    for call in calls:
        turns = metrics.turns(call.log)
        untils = [*(turn.last_speech for turn in turns[1:]), float("inf")]
        for turn, until in zip(turns, untils, strict=False):
            told = stages(turn, call.agent_turns, until)
            found.append(TurnRecord(turn.label, turn.voice_to_voice_ms, turn.talked_over, told))
    return found


def stages(turn: metrics.Turn, told: Sequence[AgentTurn], until: float) -> dict[str, float]:
    """The server's account of this turn: the first answer that it wrote down after the caller was done.

    From `until` on, when the caller is done with the next turn, the answers are that one's.
    """
    if turn.voice_to_voice_ms is None:
        return {}
    later = (one.stages for one in told if turn.last_speech < one.at < until and one.stages)
    return next(later, {})


def timeline(log: metrics.CallLog, label: str, onset: float, last: float, stop_ms: float) -> Timeline:
    """Both sides' levels from a second before the caller's onset to a second behind the last of both."""
    start, end = onset - 1.0, max(onset + stop_ms / 1000, last) + 1.0
    return Timeline(
        label,
        -1000.0,
        _levels(log.sent_at, log.sent_speech_dbfs, start, end),
        _levels(log.received_at, log.received_dbfs, start, end),
        stop_ms,
    )


def _levels(at: metrics.Times, dbfs: metrics.Times, start: float, end: float) -> list[float]:
    slots = np.full(int((end - start) / PTIME_S), -100.0)
    index = ((at - start) / PTIME_S).astype(int)
    inside = (index >= 0) & (index < len(slots))
    np.maximum.at(slots, index[inside], dbfs[inside])
    return [round(float(level), 1) for level in slots]


def median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def findings(calls: Sequence[Call]) -> list[str]:
    """What the caller noticed besides the figures."""
    early = sum(call.ended_by == "agent" for call in calls)
    hung_up = [f"the agent hung up in {early} of {len(calls)} calls"] if early else []
    return sorted({finding for call in calls for finding in call.findings}) + hung_up
