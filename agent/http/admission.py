"""Text requests work on the calls' models, so they get in only where a call would.

Uploads and long synthesis take half of the places at most, so that those who only ask find one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agent.http.contracts import Calls
from agent.http.problems import ProblemError


class TextAdmission:
    def __init__(self, calls: Calls, limit: int) -> None:
        self._calls = calls
        self._limit = limit
        self._bulk_limit = max(1, limit // 2)
        self.at_work = 0
        self._bulk_at_work = 0

    @contextmanager
    def __call__(self, *, bulk: bool = False) -> Iterator[None]:
        """Hold a place for one request. Raises ProblemError (503) if there is none."""
        accepting, why_not = self._calls.accepting
        if not accepting:
            raise ProblemError(503, why_not, headers={"Retry-After": "5"})
        if self.at_work >= self._limit:
            why_not = f"{self._limit} text requests are at work (text.max_requests). Try again shortly."
            raise ProblemError(503, why_not, headers={"Retry-After": "1"})
        if bulk and self._bulk_at_work >= self._bulk_limit:
            why_not = f"{self._bulk_limit} uploads or long texts are at work, half of text.max_requests."
            raise ProblemError(503, f"{why_not} Try again shortly.", headers={"Retry-After": "2"})
        self.at_work += 1
        self._bulk_at_work += bulk
        try:
            yield
        finally:
            self.at_work -= 1
            self._bulk_at_work -= bulk
