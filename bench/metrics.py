"""From packets to figures. Pure: what a call's packets say, and nothing else.

Two definitions carry everything:

- A *speech packet* of the caller's is one whose speech, without noise and echo, is within
  `SPEECH_RANGE_DB` of the recording's own level (the 95th percentile of its packets).
- An *audible packet* of the agent's is one above `AUDIBLE_DBFS`.

Times are those of the packets: when the caller's left the socket (when it was due, if the line lost
it), and when the agent's arrived at the socket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.caller.script import AUDIBLE_DBFS, PTIME_S

SPEECH_RANGE_DB = 30.0
STILL_SPEAKING_S = 0.3  # the agent counts as speaking if it was heard this shortly before
TALKED_OVER_PACKETS = 3  # 60 ms of the agent's voice between a caller's words is a cut-off
NATURAL_PAUSE_S = 1.0  # a longer silence inside the agent's speech is a stop
PAUSE_S = 0.35  # a longer silence inside a recording may be taken for its end
WITHIN_S = 0.2  # between two of the agent's packets that belong to one utterance

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Played:
    """One recording that the caller played."""

    step: int
    label: str
    kind: str


@dataclass(frozen=True, slots=True)
class CallLog:
    """The packets of one call, as `bench.caller` writes them."""

    acked_at: float | None
    ended_at: float
    played: tuple[Played, ...]
    sent_at: Times
    sent_lost: NDArray[np.bool_]
    sent_speech_dbfs: Times
    sent_play: NDArray[np.int64]
    received_at: Times
    received_dbfs: Times
    received_sequence: NDArray[np.int64]

    @classmethod
    def of(cls, result: dict[str, Any]) -> CallLog:
        sent, received = result["sent"], result["received"]
        left = [due if at is None else at for at, due in _pairs(sent, "sent", "due")]
        return cls(
            acked_at=result["acked_at"],
            ended_at=result["ended_at"],
            played=tuple(
                Played(mark["step"], mark["label"], mark["kind"])
                for mark in result["marks"]
                if mark["what"] == "play" and mark["event"] == "begin"
            ),
            sent_at=np.array(left, float),
            sent_lost=np.array([at is None for at in sent.get("sent", ())], bool),
            sent_speech_dbfs=np.array(sent.get("speech_dbfs", ()), float),
            sent_play=np.array(sent.get("play", ()), int),
            received_at=np.array(received.get("at", ()), float),
            received_dbfs=np.array(received.get("level_dbfs", ()), float),
            received_sequence=np.array(received.get("sequence_number", ()), int),
        )

    @property
    def audible(self) -> Times:
        """Arrival of every audible packet of the agent's."""
        return self.received_at[self.received_dbfs > AUDIBLE_DBFS]

    def speech(self, played: Played) -> Times:
        """When each speech packet of a recording left."""
        mine = self.sent_play == played.step
        levels = self.sent_speech_dbfs[mine]
        loud = levels[levels > -80]
        if not len(loud):
            return np.zeros(0)
        times: Times = self.sent_at[mine][levels > np.percentile(loud, 95) - SPEECH_RANGE_DB]
        return times


def _pairs(columns: dict[str, list[Any]], *names: str) -> zip[tuple[Any, ...]]:
    return zip(*(columns.get(name, ()) for name in names), strict=True)


@dataclass(frozen=True, slots=True)
class Turn:
    """What became of one recording that asked for an answer."""

    label: str
    kind: str
    first_speech: float
    last_speech: float
    answer_at: float | None
    interrupted_agent: bool
    talked_over: bool
    barge_in_stop_ms: float | None

    @property
    def voice_to_voice_ms(self) -> float | None:
        """None if nothing answered, or if the agent spoke before the caller was done."""
        if self.answer_at is None or self.talked_over:
            return None
        return (self.answer_at - self.last_speech) * 1000


def turns(log: CallLog, kinds: Sequence[str] = ("question", "hesitation", "barge-in")) -> list[Turn]:
    found = []
    audible = log.audible
    speeches = [(played, log.speech(played)) for played in log.played]
    for index, (played, speech) in enumerate(speeches):
        if played.kind not in kinds or not len(speech):
            continue
        later = [times[0] for _, times in speeches[index + 1 :] if len(times)]
        found.append(_turn(played, speech, audible, later[0] if later else log.ended_at))
    return found


def _turn(played: Played, speech: Times, audible: Times, until: float) -> Turn:
    first, last = float(speech[0]), float(speech[-1])
    before = audible[(audible >= first - STILL_SPEAKING_S) & (audible < first)]
    during = audible[(audible >= first) & (audible <= last)]
    after = audible[(audible > last) & (audible < until)]
    interrupted = len(before) > 0
    stop_ms = None
    talked_over = False
    if interrupted:
        stop_ms = (float(during[-1]) - first) * 1000 if len(during) else None
    else:
        talked_over = len(during) >= TALKED_OVER_PACKETS
    answer_at = float(after[0]) if len(after) else None
    if interrupted and answer_at is not None and last - float([*before, *during][-1]) < STILL_SPEAKING_S:
        answer_at = None  # it never stopped: what follows is no answer
    return Turn(
        label=played.label,
        kind=played.kind,
        first_speech=first,
        last_speech=last,
        answer_at=answer_at,
        interrupted_agent=interrupted,
        talked_over=talked_over,
        barge_in_stop_ms=stop_ms,
    )


@dataclass(frozen=True, slots=True)
class Pause:
    """A silence inside a recording, made or natural.

    `begin` is the last speech packet before it, `end` the first behind it, `at_s` where in the recording it
    begins. Until `until` what the agent says is put down to it: the next pause, or the recording's end.
    """

    begin: float
    end: float
    at_s: float
    until: float

    @property
    def length_s(self) -> float:
        """Of what is silent between the two packets."""
        return self.end - self.begin - PTIME_S


def pauses(log: CallLog, played: Played) -> list[Pause]:
    speech = log.speech(played)
    if not len(speech):
        return []
    start = float(log.sent_at[log.sent_play == played.step][0])
    behind = np.flatnonzero(np.diff(speech) > PAUSE_S)
    begins, ends = speech[behind], speech[behind + 1]
    untils = [*begins, speech[-1]][1:]
    return [
        Pause(float(begin), float(end), float(begin) - start, float(until))
        for begin, end, until in zip(begins, ends, untils, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class FalseStart:
    """What the agent said to a caller who wasn't done.

    `begun_ms` is from the beginning of the pause to its first audible packet, `heard_ms` what was audible of
    it, and `silent_ms` from the caller's going on to its last; 0 where that was over by then.
    """

    begun_ms: float
    heard_ms: float
    silent_ms: float
    at: float


def false_start(log: CallLog, pause: Pause) -> FalseStart | None:
    """What began in a pause or after it, before the caller had said the rest; None if nothing did."""
    audible = log.audible
    if np.any((audible > pause.begin - STILL_SPEAKING_S) & (audible <= pause.begin)):
        return None  # it was speaking already
    begun = audible[(audible > pause.begin) & (audible <= pause.until)]
    if len(begun) < TALKED_OVER_PACKETS:
        return None
    later = audible[audible > pause.until]
    edges = np.concatenate([begun[-1:], later])
    breaks = np.flatnonzero(np.diff(edges) > WITHIN_S)
    goes_on = later[: breaks[0]] if len(breaks) else later
    last = float([*begun, *goes_on][-1])
    return FalseStart(
        begun_ms=(float(begun[0]) - pause.begin) * 1000,
        heard_ms=(len(begun) + len(goes_on)) * PTIME_S * 1000,
        silent_ms=max(0.0, (last - pause.end) * 1000),
        at=float(begun[0]),
    )


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A sound that should not stop the agent: the longest silence that followed it."""

    label: str
    kind: str
    silence_s: float

    @property
    def stopped(self) -> bool:
        return self.silence_s > NATURAL_PAUSE_S


def disturbances(log: CallLog, kinds: Sequence[str]) -> list[Disturbance]:
    """Every sound of `kinds` that the agent's speech met; those that met its silence don't count."""
    found = []
    audible = log.audible
    speeches = [(played, log.speech(played)) for played in log.played]
    for index, (played, speech) in enumerate(speeches):
        if played.kind not in kinds or not len(speech):
            continue
        first, last = float(speech[0]), float(speech[-1])
        if not np.any((audible > first - NATURAL_PAUSE_S) & (audible < first)):
            continue
        later = [times[0] for _, times in speeches[index + 1 :] if len(times)]
        until = float(later[0]) if later else min(log.ended_at, last + 2 * NATURAL_PAUSE_S)
        window = audible[(audible >= first) & (audible <= until)]
        edges = np.concatenate(([first], window, [until]))
        found.append(Disturbance(played.label, played.kind, float(np.max(np.diff(edges)))))
    return found


def heard_s(log: CallLog) -> float:
    """Seconds of audible agent."""
    return len(log.audible) * PTIME_S


def longest_silence_s(log: CallLog) -> float:
    """Between the agent's first and last audible packet."""
    return float(np.max(np.diff(log.audible))) if len(log.audible) > 1 else 0.0


def greeting_ms(log: CallLog) -> float | None:
    """From the ACK to the first audible packet."""
    if log.acked_at is None or not len(log.audible):
        return None
    return (float(log.audible[0]) - log.acked_at) * 1000


@dataclass(frozen=True, slots=True)
class Pacing:
    """How evenly the agent's packets came. `lost` counts holes in the sequence numbers."""

    packets: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    lost: int


def pacing(log: CallLog) -> Pacing | None:
    if len(log.received_at) < 2:
        return None
    gaps = np.diff(log.received_at) * 1000
    steps = np.diff(log.received_sequence) & 0xFFFF
    steady = steps == 1
    p50, p99 = np.percentile(gaps[steady], [50, 99]) if steady.any() else (0.0, 0.0)
    holes = steps[(steps > 1) & (steps < 0x8000)]
    return Pacing(len(log.received_at), float(p50), float(p99), float(gaps.max()), int((holes - 1).sum()))


@dataclass(frozen=True, slots=True)
class Distribution:
    """Of one figure over a run; empty when count is 0."""

    count: int
    median: float
    p95: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Distribution:
        if not values:
            return cls(0, 0.0, 0.0, 0.0, 0.0)
        median, p95 = np.percentile(values, [50, 95])
        return cls(len(values), float(median), float(p95), float(min(values)), float(max(values)))
