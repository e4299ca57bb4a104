"""Whether a call that came to nothing is made again, and when. A policy: no I/O, no clock.

Libraries for retries (tenacity, stamina) call a function again; here what waits is a call that people watch
and may give up, and the decision is one line.
"""

from __future__ import annotations

from dataclasses import dataclass

from transports.call import EndReason

_WORTH_IT = frozenset((EndReason.BUSY, EndReason.NO_ANSWER))


@dataclass(frozen=True, slots=True)
class Retries:
    most: int = 0
    after_s: float = 60.0

    def wait_s(self, reason: EndReason, attempts: int) -> float | None:
        """How long until the next attempt, of which there were so many; None: it was the last."""
        return self.after_s if reason in _WORTH_IT and attempts <= self.most else None
