"""What SIP knows of its media. Browsers and carriers: `tests/e2e/test_line_tests.py`."""

from __future__ import annotations

import asyncio
import socket
import struct

from tests.peers import Reception, sip_server
from tests.sip_caller import Caller, dialled
from transports.call import CallTransport, MediaStats

SENDER_REPORT, RECEIVER_REPORT = 200, 201
HELD_S = 0.1  # so long the caller says that it held a report back
LATE_S = 0.25  # and so long it does


async def received(call: CallTransport, packets: int) -> MediaStats:
    """The statistics once so many packets have come."""
    async with asyncio.timeout(5):
        while ((stats := await call.media_stats()).packets_received or 0) < packets:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return stats


async def test_what_came_and_what_was_lost_is_counted() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        call = await reception.connected.get()
        assert (await received(call, 20)).packets_lost == 0
        caller._sequence_number += 5
        stats = await received(call, 50)
        assert stats.packets_lost == 5
        assert stats.jitter_ms is not None
        assert 0 <= stats.jitter_ms < 20
        assert stats.round_trip_ms is None  # nobody has reported
    assert (await call.media_stats()).packets_lost == 5  # also once it is over


async def test_the_round_trip_is_known_from_the_peer_s_reports() -> None:
    reception = Reception()
    loop = asyncio.get_running_loop()
    async with sip_server(reception) as server:
        caller = Caller(server)
        host, port = caller.rtp.getsockname()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp:
            rtcp.bind((host, port + 1))
            rtcp.setblocking(False)
            await caller.call()
            call = await reception.connected.get()
            async with asyncio.timeout(15):
                data, peer = await loop.sock_recvfrom(rtcp, 2048)
                while data[1] != SENDER_REPORT:
                    data, peer = await loop.sock_recvfrom(rtcp, 2048)
            ssrc, last_report = struct.unpack("!4xI2xI", data[:14])  # the middle of its NTP time
            await asyncio.sleep(LATE_S)
            block = struct.pack("!IIIIII", ssrc, 0, 0, 0, last_report, int(HELD_S * 65536))
            rtcp.sendto(struct.pack("!BBHI", 0x81, RECEIVER_REPORT, 7, 0xC0FFEE) + block, peer)
            async with asyncio.timeout(5):
                while (stats := await call.media_stats()).round_trip_ms is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            # What it held the report back for beyond what it says passes for the way.
            assert stats.round_trip_ms >= (LATE_S - HELD_S) * 1000 - 20
        await caller.bye()
        caller.close()
