"""Whose packets are the caller's: no I/O, no clock.

The SDP names an address, but a caller behind NAT sends from another, and anyone may send to our port.
So the source is learnt from the first packets, and whoever else sends is a stranger from then on.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiortc.rtp import RtpPacket

Address = tuple[str, int]

# How a source is known, best first: it is what the SDP says; its host is the SDP's or the signalling's;
# it only speaks RTP. And as many packets in a row it must send before it is believed.
_ANNOUNCED, _HOST_KNOWN, _UNKNOWN = range(3)
_PROBATION = (1, 3, 8)
# So long the learnt source must be silent before another, known no worse, takes its place: a NAT's new port.
SILENT_S = 1.0
# As many packets the learnt source must send behind a new SDP: it may be one that is about to move.
_SETTLED = 10
_MAX_CANDIDATES = 8  # of each kind


class CallerSource:
    """Learns the caller's source of RTP, and tells its packets from those of strangers."""

    def __init__(self, announced: Address, signalling_host: str) -> None:
        self._announced = announced
        self._signalling_host = signalling_host
        self._candidates: tuple[dict[Address, list[RtpPacket]], ...] = ({}, {}, {})
        self._heard_at = 0.0
        self._spoken = 0  # packets of the learnt source since the SDP named another address
        self.learnt: Address | None = None

    @property
    def hosts(self) -> Iterable[str]:
        """From where the caller may send, now that the source is learnt."""
        assert self.learnt
        return {self.learnt[0], self._announced[0], self._signalling_host}

    @property
    def destination(self) -> Address:
        """Where to send to: what the SDP says, until another source has proved to be the caller's."""
        return self.learnt if self.learnt and self._spoken >= _SETTLED else self._announced

    def announce(self, address: Address) -> None:
        """The SDP names `address` now."""
        if address != self._announced:
            self._announced, self._spoken = address, 0

    def take(self, source: Address, packet: RtpPacket, now: float) -> list[RtpPacket]:
        """Which packets are the caller's now: this one, with those that learnt its source, or none."""
        if source == self.learnt:
            self._heard_at = now
            self._spoken += 1
            return [packet]
        kind = self._kind(source)
        if not self._may_replace(kind, now):
            return []
        row = self._row(kind, source, packet)
        if len(row) < _PROBATION[kind]:
            return []
        self.learnt, self._heard_at, self._spoken = source, now, _SETTLED
        for candidates in self._candidates:
            candidates.clear()
        return row

    def _kind(self, source: Address) -> int:
        if source == self._announced:
            return _ANNOUNCED
        return _HOST_KNOWN if source[0] in (self._announced[0], self._signalling_host) else _UNKNOWN

    def _may_replace(self, kind: int, now: float) -> bool:
        if self.learnt is None:
            return True
        known = self._kind(self.learnt)
        return kind < known or (kind == known and now - self._heard_at > SILENT_S)

    def _row(self, kind: int, source: Address, packet: RtpPacket) -> list[RtpPacket]:
        """The packets in a row that `source` has sent, this one the last."""
        candidates = self._candidates[kind]
        row = candidates.pop(source, [])
        if row and (
            packet.ssrc != row[-1].ssrc or packet.sequence_number != (row[-1].sequence_number + 1) & 0xFFFF
        ):
            row = []
        row.append(packet)
        candidates[source] = row
        if len(candidates) > _MAX_CANDIDATES:
            candidates.pop(next(iter(candidates)))
        return row
