"""Keys in RTP (RFC 4733)."""

from __future__ import annotations

import struct

from aiortc.rtp import RtpPacket

_KEYS = "0123456789*#ABCD"
_END = 0x80


class TelephoneEvents:
    """Tells each key once, from the first of its packets that comes.

    All packets of one key have the timestamp at which it went down; its end, and what is between, come
    several times and may be lost.
    """

    def __init__(self) -> None:
        self._event = -1
        self._timestamp: int | None = None
        self._duration = 0
        self._ended = False

    def key(self, packet: RtpPacket) -> str:
        """The key that a packet tells, in order of sequence numbers; empty if it tells no new one."""
        if len(packet.payload) < 4:
            return ""
        event, flags, duration = struct.unpack("!BBH", packet.payload[:4])
        if event >= len(_KEYS):  # a flash, a fax tone
            return ""
        new = self._is_new(event, packet)
        self._event, self._timestamp = event, packet.timestamp
        self._duration = duration if new else max(duration, self._duration)
        self._ended = bool(flags & _END) or (self._ended and not new)
        return _KEYS[event] if new else ""

    def _is_new(self, event: int, packet: RtpPacket) -> bool:
        if self._timestamp is None or event != self._event:
            return True
        ahead = (packet.timestamp - self._timestamp) & 0xFFFFFFFF
        if ahead == 0:
            return False
        # The next segment of a long key (RFC 4733, 2.5.1.3) begins where the last one ended; and some
        # senders move the timestamp with each packet of a key. Behind the last key is who counts anew.
        return bool(self._ended or packet.marker or self._duration < ahead < 0x80000000)
