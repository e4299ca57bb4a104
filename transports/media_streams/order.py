"""A carrier's media in the order in which it was spoken."""

from __future__ import annotations

from dataclasses import dataclass

from transports.media_streams.carrier import Message
from transports.reorder import ReorderBuffer


@dataclass(frozen=True, slots=True)
class _Chunk:
    sequence_number: int
    pcm: bytes


class MediaOrder:
    """Puts media back in order by `chunk`; what comes twice is heard once.

    Media that carry none, or always the same with other timestamps, are in order as they come.
    """

    def __init__(self) -> None:
        self._order: ReorderBuffer[_Chunk] = ReorderBuffer()
        self._last: tuple[int, object] | None = None
        self._counts = True

    def add(self, media: Message, pcm: bytes) -> bytes:
        """Take the sound of a message with the object `media`; returns what is due, perhaps nothing."""
        number = _number(media.get("chunk"))
        place = number, media.get("timestamp")
        if self._last is not None and number == self._last[0] and place != self._last:
            self._counts = False
        self._last = place
        if number < 0 or not self._counts:
            return self.give_up() + pcm
        return b"".join(chunk.pcm for chunk in self._order.add(_Chunk(number & 0xFFFF, pcm)))

    def give_up(self) -> bytes:
        """Wait no longer for what is missing; returns all that is left."""
        return b"".join(chunk.pcm for chunk in self._order.give_up())


def _number(value: object) -> int:
    """-1 for what is none."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
