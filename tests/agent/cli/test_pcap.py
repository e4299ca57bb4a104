"""A trace as a capture that other tools read."""

from __future__ import annotations

import struct

import pytest

from agent.cli.pcap import capture


def message(local: str, remote: str, *, sent: bool, text: str) -> dict[str, object]:
    return {
        "at": "2026-08-01T10:11:12.345678Z",
        "sent": sent,
        "protocol": "UDP",
        "local": [local, 5060],
        "remote": [remote, 5071],
        "call_id": "a",
        "text": text,
    }


@pytest.mark.parametrize(("local", "remote"), [("192.0.2.20", "192.0.2.10"), ("2001:db8::1", "2001:db8::2")])
@pytest.mark.parametrize("text", ["OPTIONS sip:a@b SIP/2.0\r\n\r\n", "odd"])
def test_a_record_is_a_valid_datagram(local: str, remote: str, text: str) -> None:
    data = capture(
        [message(local, remote, sent=False, text=text), message(local, remote, sent=True, text=text)]
    )
    assert data[:4] == bytes.fromhex("d4c3b2a1")
    seconds, micros, size, whole = struct.unpack_from("<IIII", data, 24)
    assert (seconds, micros, size) == (1785579072, 345678, whole)
    packet = data[40 : 40 + size]
    version6 = ":" in local
    ip_bytes = 40 if version6 else 20
    addresses = packet[8:40] if version6 else packet[12:20]
    assert struct.unpack_from("!HH", packet, ip_bytes) == (5071, 5060)
    assert packet[ip_bytes + 8 :].decode() == text
    datagram = packet[ip_bytes:]
    assert sum_of(addresses + struct.pack("!IHBB", len(datagram), 0, 0, 17) + datagram) == 0xFFFF
    if not version6:
        assert sum_of(packet[:20]) == 0xFFFF
    second = data[40 + size + 16 :]
    assert struct.unpack_from("!HH", second, ip_bytes) == (5060, 5071)


def sum_of(data: bytes) -> int:
    """One's complement sum: all ones where the checksum in it is right."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
