"""Who is let in: a policy, without I/O or clock. Calls over every wire ask it, and text does, too."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

from transports.call import CallInfo

REFUSE_LANE_S, CALM_LANE_S = 2.0, 0.5  # no piece of work takes one second where calls can be held at all
REFUSE_MIND_S, CALM_MIND_S = 4.0, 1.5  # a language model's, until an answer begins
REFUSE_LAG_S, CALM_LAG_S = 0.1, 0.03  # five packets come in it
REFUSE_MEMORY_BYTES, CALM_MEMORY_BYTES = 150_000_000, 300_000_000  # a call takes some megabytes, and grows
REFUSE_GPU_BYTES, CALM_GPU_BYTES = 64_000_000, 128_000_000  # the models are there already: what they work in
FEWEST = 4  # calls that are taken, however slow the machine: who is let in seldom talks all at once
REMEMBERED = 1000  # sources
CALM_S = 3.0  # that all has to be calm before calls are taken again


class Held(Protocol):
    """A call that is on the line."""

    @property
    def info(self) -> CallInfo: ...
    @property
    def connected_at(self) -> float | None:
        """None until the answer is acknowledged."""

    @property
    def half_open(self) -> bool: ...


H = TypeVar("H", bound=Held)


@dataclass(frozen=True, slots=True)
class Load:
    """What the process has to do, and what it has left. None stands for what can't be told."""

    lanes_s: Mapping[str, float] = field(default_factory=dict)  # by model: the age of its oldest job
    mind_s: float = 0.0  # the same of the language model
    loop_lag_s: float | None = None
    memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None  # None, too, where nothing of ours is on it


@dataclass(frozen=True, slots=True)
class Refusal:
    """`full`: all lines are taken; `limited`: those of the caller's are; `stopped`: no call is taken now.

    Another server may take what is refused by the first or the last.
    """

    kind: Literal["full", "limited", "stopped"]
    why: str


@dataclass(frozen=True, slots=True)
class _Gauge:
    """The higher the worse."""

    name: str
    value: float
    refuse: float
    calm: float
    why: str


class Admission:
    """`max_per_source` is None where one source may have all lines.

    A call that nobody has acknowledged for long is half open: it takes no line. Of a source that has never
    acknowledged one, half of the lines at most wait for that.
    """

    def __init__(self, max_calls: int, max_per_source: int | None = None) -> None:
        self.max_calls = max_calls
        self.because = "call.max_calls"
        self._max_per_source = max_per_source
        self._proved: OrderedDict[str, None] = OrderedDict()  # sources that have acknowledged an answer
        self._strained: dict[str, tuple[str, float]] = {}  # by gauge: why, and when it was last not calm

    def bears(self, calls: int, because: str) -> None:
        """Take as many calls, within bounds; `because` tells the operator why, without a stop."""
        self.max_calls = min(self.max_calls, max(FEWEST, calls))
        self.because = f"call.max_calls is auto: {because}"

    @property
    def capacity(self) -> str:
        """A sentence for the operator."""
        return f"{self.max_calls} calls at once ({self.because})."

    def acknowledged(self, source: str) -> None:
        """Take note that a call from there was answered and acknowledged."""
        self._proved[source] = None
        self._proved.move_to_end(source)
        if len(self._proved) > REMEMBERED:
            self._proved.popitem(last=False)

    def weigh(self, load: Load, now: float) -> None:
        """Take note of how busy all is. `now` is of any clock that doesn't run backwards, in seconds."""
        gauges = {gauge.name: gauge for gauge in _gauges(load)}
        for name in self._strained.keys() - gauges.keys():
            del self._strained[name]
        for name, gauge in gauges.items():
            if gauge.value >= gauge.refuse or (name in self._strained and gauge.value > gauge.calm):
                self._strained[name] = gauge.why, now
            elif name in self._strained and now - self._strained[name][1] >= CALM_S:
                del self._strained[name]

    @property
    def strain(self) -> str:
        """Why no call is taken although lines are free; empty where that isn't so."""
        return next((f"Too much to do: {why}." for why, _ in self._strained.values()), "")

    def refusal(
        self, held: Sequence[Held], source: str | None = None, *, elsewhere: int = 0
    ) -> Refusal | None:
        """Why one more call isn't taken, from `source` if that is known; None where it is.

        `elsewhere`: how many other processes of this server hold.
        """
        taken = [one for one in held if not one.half_open]
        if len(taken) + elsewhere >= self.max_calls:
            return Refusal("full", f"All {self.max_calls} lines are busy ({self.because}).")
        if source and (why := self._too_many_of(source, held, taken)):
            return Refusal("limited", why)
        return Refusal("stopped", self.strain) if self.strain else None

    def _too_many_of(self, source: str, held: Sequence[Held], taken: Sequence[Held]) -> str:
        """Why it may not call once more; empty where it may."""
        theirs = sum(one.info.source == source for one in taken)
        if self._max_per_source is not None and theirs >= self._max_per_source:
            return f"{theirs} calls from there are on (call.max_per_source)."
        waiting = self.unproved(source, held)
        return f"{len(waiting)} calls from there aren't acknowledged yet." if waiting else ""

    def unproved(self, source: str, held: Sequence[H]) -> Sequence[H]:
        """Its calls that nobody has acknowledged yet, if they are as many as it may have before it has ever
        acknowledged one; else none."""
        for one in held:
            if one.connected_at is not None:
                self.acknowledged(one.info.source)
        if source in self._proved:
            return ()
        theirs = [one for one in held if one.info.source == source and one.info.direction == "inbound"]
        # Those that are half open by now make room for others.
        waiting = [one for one in theirs if one.connected_at is None and not one.half_open]
        return waiting if len(waiting) >= max(1, self.max_calls // 2) else ()

    def in_the_way(self, held: Sequence[H], *, elsewhere: int = 0) -> H | None:
        """The half-open call to end for one more, where there are as many as there may be: of whoever has
        most of them, the oldest, which is the first."""
        half_open = [one for one in held if one.half_open]
        if len(held) + elsewhere < self.max_calls or not half_open:
            return None
        most = Counter(one.info.source for one in half_open).most_common(1)[0][0]
        return next(one for one in half_open if one.info.source == most)


def _gauges(load: Load) -> Iterator[_Gauge]:
    for name, age in load.lanes_s.items():
        why = f"{name} is {age:.1f} s behind"
        yield _Gauge(name, age, REFUSE_LANE_S, CALM_LANE_S, why)
    why = f"the language model is {load.mind_s:.1f} s behind"
    yield _Gauge("language model", load.mind_s, REFUSE_MIND_S, CALM_MIND_S, why)
    if (lag := load.loop_lag_s) is not None:
        yield _Gauge("loop", lag, REFUSE_LAG_S, CALM_LAG_S, f"the event loop is {lag * 1000:.0f} ms late")
    for name, left, refuse, calm in (
        ("memory", load.memory_bytes, REFUSE_MEMORY_BYTES, CALM_MEMORY_BYTES),
        ("GPU memory", load.gpu_memory_bytes, REFUSE_GPU_BYTES, CALM_GPU_BYTES),
    ):
        if left is not None:
            yield _Gauge(name, -left, -refuse, -calm, f"{left / 1e6:.0f} MB of {name} are left")
