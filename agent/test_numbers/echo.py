"""`echo`: the caller hears themselves."""

from __future__ import annotations

from collections import deque

from agent.conversation import Conversation
from agent.test_numbers.line_test import LineTest
from config.announcement import Announcements
from transports.call import CallTransport
from transports.playout import SAMPLE_RATE_HZ

MOST_WAITING_MS = 60.0
SURPLUS_MS = 5.0
WATCHED = 50  # frames, a second


class Echo(LineTest):
    """Straight into the playout: the wire's own packets are all that it waits for.

    What comes in bunches waits there, and everything behind it would for the rest of the call. So what
    comes while too much waits is dropped, and so is what each frame of a second found waiting.
    """

    def __init__(self, call: CallTransport, conversation: Conversation, says: Announcements) -> None:
        super().__init__(call, conversation, says)
        self._echoes = False
        self._waiting_ms: deque[float] = deque(maxlen=WATCHED)  # that each frame found there

    async def said(self) -> None:
        self._echoes = True

    async def hear(self, pcm: bytes) -> None:
        if not self._echoes:
            return
        playout = self._call.playout
        waiting_ms = playout.queued_ms + playout.unsent() * 1000 / SAMPLE_RATE_HZ
        self._waiting_ms.append(waiting_ms)
        if len(self._waiting_ms) == WATCHED and (surplus_ms := min(self._waiting_ms)) >= SURPLUS_MS:
            self._waiting_ms.clear()
            pcm = pcm[2 * int(surplus_ms * SAMPLE_RATE_HZ / 1000) :]
        if waiting_ms <= MOST_WAITING_MS:
            playout.write(pcm)
