"""When to start a crashed process again."""

from __future__ import annotations


class Backoff:
    """Waits between restarts: none after a single crash, doubling while crashes follow each other.

    A process that lived for `stable_s` is taken to be well again. Times are monotonic seconds.
    """

    def __init__(
        self,
        *,
        first_s: float = 0.25,
        longest_s: float = 10.0,
        stable_s: float = 30.0,
        give_up_after: int = 4,
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._stable_s = stable_s
        self._give_up_after = give_up_after
        self._ready_at: float | None = None
        self._next_s = 0.0
        self.failures = 0

    @property
    def hopeless(self) -> bool:
        """So many failures in a row that nobody should wait for the process any more."""
        return self.failures >= self._give_up_after

    def ready(self, now: float) -> None:
        """The process came up."""
        self._ready_at = now

    def failed(self, now: float) -> float:
        """The process died, or didn't come up. Returns the seconds to wait before the next try."""
        if self._ready_at is not None and now - self._ready_at >= self._stable_s:
            self.failures, self._next_s = 0, 0.0
        self._ready_at = None
        self.failures += 1
        wait_s, self._next_s = self._next_s, min(self._longest_s, 2 * self._next_s or self._first_s)
        return wait_s
