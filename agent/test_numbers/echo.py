"""`echo`: the caller hears themselves."""

from __future__ import annotations

from agent.test_numbers.line_test import LineTest

# More than this waits for the wire only where packets came in bunches: it is dropped, or it would go on
# waiting for the rest of the call.
MOST_WAITING_MS = 40.0


class Echo(LineTest):
    """Straight into the playout: the wire's own packets are all that it waits for."""

    _echoes = False

    async def said(self) -> None:
        self._echoes = True

    async def hear(self, pcm: bytes) -> None:
        if self._echoes and self._call.playout.queued_ms <= MOST_WAITING_MS:
            self._call.playout.write(pcm)
