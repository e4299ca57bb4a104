"""A capture file of SIP messages, as tcpdump would have written it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)  # 101: IP without a link layer
_UDP = 17
_MOST = 65000  # bytes of a message that fit a datagram


def capture(messages: Sequence[Mapping[str, Any]]) -> bytes:
    """Of messages as the API gives them. What went over TCP stands in datagrams as well.

    The format: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html
    """
    return _HEADER + b"".join(_record(message) for message in messages)


def _record(message: Mapping[str, Any]) -> bytes:
    local, remote = tuple(message["local"]), tuple(message["remote"])
    source, destination = (local, remote) if message["sent"] else (remote, local)
    packet = _packet(source, destination, message["text"].encode()[:_MOST])
    at = datetime.fromisoformat(message["at"]).timestamp()
    seconds = int(at)
    return struct.pack("<IIII", seconds, round((at - seconds) * 1e6), len(packet), len(packet)) + packet


def _packet(source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> bytes:
    family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
    ends = b"".join(socket.inet_pton(family, host) for host, _ in (source, destination))
    size = 8 + len(payload)
    ports = struct.pack("!HH", source[1], destination[1])
    pseudo = ends + struct.pack("!IHBB", size, 0, 0, _UDP) + ports + struct.pack("!HH", size, 0) + payload
    datagram = ports + struct.pack("!HH", size, _checksum(pseudo) or 0xFFFF) + payload
    if family == socket.AF_INET6:
        return struct.pack("!IHBB", 6 << 28, size, _UDP, 64) + ends + datagram
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, 0, 0, 64, _UDP, 0) + ends
    return head[:10] + struct.pack("!H", _checksum(head)) + ends + datagram


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
