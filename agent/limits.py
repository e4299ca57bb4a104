"""What one call takes of the models and tools, and when that is enough: a policy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from config.limits import LimitSettings

MINUTE_S = 60.0


class Limits:
    """One call's. `on_reached` is told once which setting ends it."""

    def __init__(self, settings: LimitSettings, on_reached: Callable[[str], None]) -> None:
        self._settings = settings
        self._on_reached = on_reached
        self._asked: deque[float] = deque()  # in the last minute
        self._answers = self._tool_calls = 0
        self.tokens = 0
        self.cost = 0.0
        self.reached = ""

    def answer(self, now: float) -> bool:
        """Whether one more may be asked for, at `now` in seconds; it is counted."""
        while self._asked and now - self._asked[0] >= MINUTE_S:
            self._asked.popleft()
        self._asked.append(now)
        self._answers += 1
        if len(self._asked) > self._settings.answers_per_minute:
            self._reach("answers_per_minute")
        if self._answers > self._settings.answers:
            self._reach("answers")
        return not self.reached

    def tool_call(self) -> bool:
        """Whether one more tool may be used; it is counted."""
        self._tool_calls += 1
        if self._tool_calls > self._settings.tool_calls:
            self._reach("tool_calls")
        return not self.reached

    def spent(self, tokens: int, cost: float) -> None:
        """A model has read and written so many, for so much."""
        self.tokens += tokens
        self.cost += cost
        if self.tokens > self._settings.tokens:
            self._reach("tokens")
        if self._settings.cost is not None and self.cost > self._settings.cost:
            self._reach("cost")

    def _reach(self, name: str) -> None:
        if not self.reached:
            self.reached = name
            self._on_reached(name)
