"""What a run of the bench found, as it is printed, compared and kept as JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from models.capacity import cpu_model

Unit = Literal["ms", "%", "count", "s", "MB"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure. `goal` is the most it may be; None where there is none."""

    key: str
    title: str
    value: float | None
    unit: Unit
    count: int
    goal: float | None = None

    @property
    def met(self) -> bool | None:
        if self.goal is None or self.value is None:
            return None
        return self.value <= self.goal


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """One turn on the wire; `stages` is the server's own account of it, in milliseconds."""

    label: str
    voice_to_voice_ms: float | None
    talked_over: bool
    stages: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PauseRecord:
    """One pause within a turn, measured at the packets; `around_s` is the length it was drawn around.

    `place` is where it was put in, or "own" where the speaker made it. What a false start was like: see
    `metrics.FalseStart`; `one_turn` is whether both sides of the pause are one turn in the transcript, if
    there is one. `stranger`: neither the voice nor the sentence is one that the endpointing policy was
    fitted on.
    """

    label: str
    length_s: float
    around_s: float | None
    place: Literal["gap", "word", "own"]
    stranger: bool
    false_start: bool
    begun_ms: float | None = None
    heard_ms: float | None = None
    silent_ms: float | None = None
    one_turn: bool | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """Levels of both sides, one value per 20 ms, around where the caller speaks over the agent.

    Times are ms from the caller's onset.
    """

    label: str
    from_ms: float
    caller_dbfs: list[float]
    agent_dbfs: list[float]
    stop_ms: float


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """`failed`: it couldn't be measured, and the note says why."""

    name: str
    title: str
    metrics: list[Metric]
    turns: list[TurnRecord] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=dict)
    timelines: list[Timeline] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pauses: list[PauseRecord] = field(default_factory=list)
    failed: bool = False

    @classmethod
    def not_measured(cls, name: str, why: str) -> ScenarioResult:
        return cls(name, name, [], notes=[f"not measured: {why}"], failed=True)


@dataclass(frozen=True, slots=True)
class Machine:
    cores: int
    cpu: str
    memory_gib: float
    python: str
    system: str
    load: float
    """Processes that ran or wanted to, in the minute before the run."""

    @classmethod
    def this(cls) -> Machine:
        pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        return cls(
            cores=len(os.sched_getaffinity(0)),
            cpu=cpu_model(),
            memory_gib=round(pages * page / 2**30, 1),
            python=platform.python_version(),
            system=f"{platform.system()} {platform.release()}",
            load=round(os.getloadavg()[0], 1),
        )

    def __str__(self) -> str:
        return f"{self.cores} cores of {self.cpu}, {self.memory_gib:g} GiB, Python {self.python}"

    @property
    def busy(self) -> str:
        """A sentence, if something else was running when the run began."""
        if self.load < self.cores / 2:
            return ""
        return f"The machine was busy before the run (load {self.load:g}): the figures are worse for it."


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that was measured of one subject: `offhook`, or a stock bot."""

    subject: str
    transport: str
    scenarios: list[ScenarioResult]
    machine: Machine = field(default_factory=Machine.this)
    at: float = field(default_factory=time.time)

    def metric(self, scenario: str, key: str) -> Metric | None:
        for result in self.scenarios:
            if result.name == scenario:
                return next((metric for metric in result.metrics if metric.key == key), None)
        return None


OVER_SIP_GOAL_MS = 150.0


def beside_sip(run: Run, sip: Run | None) -> Run:
    """`run` of another transport, with its median against SIP's in place of SIP's own latency goals."""
    if sip is None or run is sip:
        return run
    return dataclasses.replace(run, scenarios=[_beside_sip(one, sip) for one in run.scenarios])


def _beside_sip(result: ScenarioResult, sip: Run) -> ScenarioResult:
    if result.name != "voice-to-voice":
        return result
    mine = next((metric for metric in result.metrics if metric.key == "median"), None)
    theirs = sip.metric(result.name, "median")
    if mine is None or theirs is None:
        return result
    over = None if mine.value is None or theirs.value is None else mine.value - theirs.value
    kept = [
        dataclasses.replace(metric, goal=None) if metric.key in ("median", "p95") else metric
        for metric in result.metrics
    ]
    title = "voice-to-voice, median less SIP's"
    kept.insert(2, Metric("over_sip", title, over, "ms", min(mine.count, theirs.count), OVER_SIP_GOAL_MS))
    return dataclasses.replace(result, metrics=kept)


class UnreadableRun(Exception):
    """A file that isn't a run of the bench."""


def to_json(runs: list[Run]) -> str:
    return json.dumps({"runs": [_plain(run) for run in runs]}, indent=1)


def from_json(path: Path) -> list[Run]:
    """Raises UnreadableRun."""
    try:
        document = json.loads(path.read_text())
        return TypeAdapter(list[Run]).validate_python(document["runs"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise UnreadableRun(f"{path} is not a run of `offhook bench` ({type(error).__name__})") from error


def _plain(run: Run) -> dict[str, Any]:
    return dataclasses.asdict(run)


def ratio(now: Metric, before: Metric | None) -> float | None:
    """How many times smaller the figure is now; None where that means nothing."""
    if before is None or not before.value or not now.value:
        return None
    return before.value / now.value
