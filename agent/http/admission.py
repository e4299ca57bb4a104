"""Text requests work on the calls' models, so they get in only where a call would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agent.http.contracts import Calls
from agent.http.problems import ProblemError


class TextAdmission:
    def __init__(self, calls: Calls, limit: int) -> None:
        self._calls = calls
        self._limit = limit
        self.at_work = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Hold a place for one request. Raises ProblemError (503) if there is none."""
        accepting, why_not = self._calls.accepting
        if not accepting:
            raise ProblemError(503, why_not, headers={"Retry-After": "5"})
        if self.at_work >= self._limit:
            why_not = f"{self._limit} text requests are at work (text.max_requests). Try again shortly."
            raise ProblemError(503, why_not, headers={"Retry-After": "1"})
        self.at_work += 1
        try:
            yield
        finally:
            self.at_work -= 1
