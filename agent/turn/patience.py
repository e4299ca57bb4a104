"""How this caller speaks: what the pauses that they ended themselves, and those that they didn't, teach.

Two things are learned in a call. How much what sounds finished can be relied on: each pause moves the
bias of the endpointer's logistic model as one step of its fit would. And how long this caller pauses: waits
reach beyond that. Both start at what suits most callers, are forgotten little by little, and have bounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

KEPT = 0.9  # of what was learned, at each pause
STEP = 1.5
SURER, LESS_SURE = 0.5, 3.0  # at most, in log odds
SPREAD = 1.2  # times the pauses heard so far: the next may be longer
LONGEST_MS = 2500  # a wait is never stretched beyond: the line seems dead
SHORTEST_PAUSE_MS = 250  # shorter ones lie within phrases, and are never waited for
BRISK_AFTER = 3  # turns without a pause
BRISK = 0.85  # of the wait of who is brisk


@dataclass(frozen=True)
class Stretched:
    """A wait in the light of what was learned."""

    wait_ms: float
    reason: str  # "hesitant", "brisk", or "" where it is what it was


class Patience:
    """One call's. Feed it every pause within the caller's turns, and every end of a turn."""

    def __init__(self) -> None:
        self._doubt = 0.0
        self._weight = 0.0
        self._length = 0.0  # weighted sum of the pauses' logarithms
        self._brisk_turns = 0

    @property
    def pause_ms(self) -> float | None:
        """How long this caller's own pauses last; None while none is remembered."""
        return math.exp(self._length / self._weight) if self._weight >= KEPT**12 else None

    @property
    def doubt(self) -> float:
        """By how much this caller is less likely to have finished than they seem, in log odds."""
        return self._doubt

    def resumed(self, pause_ms: float, probability: float) -> None:
        """They went on after `pause_ms`, where the endpointer had thought `probability` that they wouldn't.

        A turn that was taken, and taken back when they went on, is such a pause too.
        """
        if pause_ms < SHORTEST_PAUSE_MS:
            return
        self._forget()
        self._doubt = min(LESS_SURE, self._doubt + STEP * probability)
        self._weight += 1
        self._length += math.log(pause_ms)
        self._brisk_turns = 0

    def answered(self, probability: float) -> None:
        """The turn was over, of which the endpointer had thought `probability`, and they didn't go on."""
        self._forget()
        self._doubt = max(-SURER, self._doubt - STEP * (1 - probability))
        self._brisk_turns += 1

    def stretch(self, wait_ms: float, sure_ms: float) -> Stretched:
        """What to make of a wait. `sure_ms`, the wait after what is surely whole, stays what it is."""
        if wait_ms <= sure_ms:
            return Stretched(wait_ms, "")
        pause_ms = self.pause_ms
        if pause_ms is not None:
            beyond_ms = min(LONGEST_MS, SPREAD * pause_ms)
            return Stretched(beyond_ms, "hesitant") if beyond_ms > wait_ms else Stretched(wait_ms, "")
        if self._brisk_turns >= BRISK_AFTER:
            return Stretched(max(sure_ms, BRISK * wait_ms), "brisk")
        return Stretched(wait_ms, "")

    def _forget(self) -> None:
        self._doubt *= KEPT
        self._weight *= KEPT
        self._length *= KEPT
