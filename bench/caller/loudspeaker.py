"""What a carrier does with the sound that it is sent: plays it in its own time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

BYTES_PER_S = 8000
BLOCK_BYTES = 160


@dataclass(frozen=True, slots=True)
class Block:
    """20 ms of G.711 that the caller hears from `at` on."""

    at: float
    sequence_number: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Reached:
    """A mark before which everything has been played, or dropped."""

    name: str


@dataclass(frozen=True, slots=True)
class _Waiting:
    since: float
    payload: bytes
    mark: str | None = None


class Loudspeaker:
    """Plays 20 ms blocks one after another, each as soon as it is there and the one before is over.

    No clock: the time is an argument. It adds no buffer of its own to what the agent sends ahead.
    Source: https://www.twilio.com/docs/voice/media-streams/websocket-messages (media, mark, clear)
    """

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._free_at = float("-inf")
        self._sequence = 0

    def media(self, payload: bytes, now: float) -> None:
        for start in range(0, len(payload), BLOCK_BYTES):
            self._waiting.append(_Waiting(now, payload[start : start + BLOCK_BYTES]))

    def mark(self, name: str, now: float) -> None:
        self._waiting.append(_Waiting(now, b"", name))

    def clear(self) -> list[Reached]:
        """Drop what hasn't begun to play; marks in it are reached."""
        marks = [Reached(one.mark) for one in self._waiting if one.mark is not None]
        self._waiting.clear()
        return marks

    def due(self) -> float | None:
        """When there is something to play next."""
        return max(self._free_at, self._waiting[0].since) if self._waiting else None

    def play(self, now: float) -> list[Block | Reached]:
        """What has begun to play, and what was reached, until now.

        Sequence numbers leave a gap of half their range where the sound stopped, so that it counts
        neither as lost packets nor as a late one.
        """
        played: list[Block | Reached] = []
        while (at := self.due()) is not None and at <= now:
            one = self._waiting.popleft()
            if one.mark is not None:
                played.append(Reached(one.mark))
                continue
            self._sequence += 1 if at == self._free_at else 0x8000
            played.append(Block(at, self._sequence & 0xFFFF, one.payload))
            self._free_at = at + len(one.payload) / BYTES_PER_S
        return played
