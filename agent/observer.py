"""What whoever keeps an eye on calls is told of each: records, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agent.conversation import Action, LatencyTrace, Problem, ToolCall, Turn
from config.persona import Persona
from transports.call import CallInfo, EndReason, MediaStats


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording, or what there is of one by now."""

    path: Path
    began: float  # Unix time of its first sample
    seconds: float
    bytes: int


class Observed(Protocol):
    """A call, as it is at the moment."""

    @property
    def info(self) -> CallInfo: ...
    @property
    def persona(self) -> Persona: ...
    @property
    def connected_at(self) -> float | None:
        """Unix time."""

    @property
    def turns(self) -> Sequence[Turn]: ...
    @property
    def tool_calls(self) -> Sequence[ToolCall]: ...
    @property
    def actions(self) -> Sequence[Action]: ...
    @property
    def problems(self) -> Sequence[Problem]: ...
    @property
    def guesses(self) -> tuple[int, int]:
        """Answers begun before the caller's turn was surely over, and how many of them were thrown away."""

    @property
    def false_starts(self) -> int: ...
    @property
    def flow(self) -> Mapping[str, Any] | None:
        """Where it stands in its persona's flow: JSON, without secrets. None where there is none."""

    @property
    def recorded(self) -> Recorded | None: ...
    @property
    def last_voice_to_voice_ms(self) -> float | None: ...


class Observer:
    """Told of every call, on the event loop: take note, and do what takes long elsewhere."""

    def began(self, call: Observed) -> None:
        """It was let in."""

    def changed(self, call: Observed) -> None:
        """Its turns, tool calls or problems did."""

    def answered(self, call: Observed, trace: LatencyTrace) -> None:
        """The caller hears an answer."""

    def ended(self, call: Observed, reason: EndReason, stats: MediaStats) -> None:
        """Nothing is left of it."""
