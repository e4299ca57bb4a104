"""Puts a voice stream's packets back in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

# Later packets that may wait for a missing one: 60 ms of 20 ms packets. Speech recognition loses
# less by a short gap than the conversation does by a longer wait.
MAX_WAITING = 3
# Further apart than this, it isn't the same stream's order any more (a restarted sender).
MAX_JUMP = 500
# As many too late ones in a row, each right behind the other, are a sender who counts anew.
MAX_LATE = 5


class Numbered(Protocol):
    @property
    def sequence_number(self) -> int: ...


P = TypeVar("P", bound=Numbered)


@dataclass(frozen=True, slots=True)
class VoicePacket:
    """An RTP packet's part that matters here."""

    sequence_number: int
    rtp_timestamp: int
    payload: bytes


class ReorderBuffer(Generic[P]):
    """Gives packets back in order of their sequence numbers, at once as long as none is missing.

    A jitter buffer paces a loudspeaker; what listens here is a recognizer, which takes audio as it
    comes. So nothing is delayed until a packet is missing, and then for `MAX_WAITING` packets.
    """

    def __init__(self) -> None:
        self._next: int | None = None
        self._waiting: dict[int, P] = {}
        self._late: list[int] = []
        self.lost = 0
        self.late = 0

    @property
    def waiting(self) -> bool:
        """Whether packets wait for one that is missing."""
        return bool(self._waiting)

    def add(self, packet: P) -> list[P]:
        """Take a packet as it arrived; returns those that are due, in order."""
        number = packet.sequence_number
        if self._next is None:
            self._next = number
        ahead = (number - self._next) & 0xFFFF
        if MAX_JUMP < ahead < 0x10000 - MAX_JUMP:
            self._waiting.clear()
            self._next, ahead = number, 0
        if ahead >= 0x8000:
            self.late += 1
            if self._late and number != (self._late[-1] + 1) & 0xFFFF:
                self._late.clear()
            self._late.append(number)
            if len(self._late) < MAX_LATE:
                return []
            self._waiting.clear()
            self._next = number
        self._late.clear()
        self._waiting[number] = packet
        due = self._take()
        if not due and len(self._waiting) > MAX_WAITING:
            due = self._skip()
        return due

    def give_up(self) -> list[P]:
        """Wait no longer for what is missing; returns all that is left, in order."""
        due = []
        while self._waiting:
            due += self._skip()
        return due

    def _skip(self) -> list[P]:
        first = min(self._waiting, key=lambda n: (n - self._first_due()) & 0xFFFF)
        self.lost += (first - self._first_due()) & 0xFFFF
        self._next = first
        return self._take()

    def _first_due(self) -> int:
        assert self._next is not None
        return self._next

    def _take(self) -> list[P]:
        due = []
        while (packet := self._waiting.pop(self._first_due(), None)) is not None:
            due.append(packet)
            self._next = (self._first_due() + 1) & 0xFFFF
        return due
