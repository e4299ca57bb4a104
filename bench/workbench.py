"""What the scenarios share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.callers import Caller
from bench.material import Material
from bench.strangers import Strangers
from bench.subjects import Running


@dataclass(frozen=True, slots=True)
class Bench:
    """What a scenario works with. `turns` and `calls` set its size."""

    caller: Caller
    material: Material
    strangers: Strangers
    turns: int
    calls: int
    say: Callable[[str], None]
    running: Running | None = None  # whose API is asked, if it has one

    def share(self, part: float, least: int = 4) -> int:
        return max(least, round(self.turns * part))
