"""All that leans on what aiortc keeps to itself. `tests/test_internals.py` names each such attribute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aioice
import aiortc.rtcsctptransport as sctp

# aiortc has no path MTU discovery and fills 1,305-byte datagrams, which tunnels of 1,280 bytes drop
# for ever; Pipecat clamps it in the same way.
sctp.USERDATA_MAX_LENGTH = 1100

# For so long a STUN or TURN server that doesn't answer may hold up our answer; aioice has 5 s and no setting.
GATHER_S = 1.5
aioice.Connection.get_component_candidates.__defaults__ = (GATHER_S,)

_take_data = aioice.Connection.data_received


def _take_no_empty_data(self: aioice.Connection, data: bytes, component: int) -> None:
    if data:
        _take_data(self, data, component)


# aiortc looks at the first byte of each datagram, whoever sent it. An empty one has none, and would close the
# connection by an IndexError.
aioice.Connection.data_received = _take_no_empty_data  # type: ignore[method-assign]


class _Tap:
    def __init__(self, sink: Callable[[Any], None]) -> None:
        self._sink = sink

    def add(self, packet: Any) -> tuple[bool, None]:
        self._sink(packet)
        return False, None


def tap(receiver: Any, sink: Callable[[Any], None]) -> None:
    """Have each RTP packet of an `RTCRtpReceiver` handed on as it comes, in the place of its jitter buffer.

    aiortc's waits for five packets before it gives the first, which is 80 ms of every answer, and has
    no setting for that.
    """
    receiver._RTCRtpReceiver__jitter_buffer = _Tap(sink)


def keep_opus(transceiver: Any) -> None:
    """Have nothing but Opus answered to the offer that was just taken.

    aiortc sends what the offer names first, and heeds `setCodecPreferences` only before it takes one.
    """
    transceiver._codecs = [codec for codec in transceiver._codecs if codec.mimeType.lower() == "audio/opus"]


def ssrc(sender: Any) -> int:
    """What an `RTCRtpSender` has promised as its SSRC."""
    return int(sender._ssrc)


async def send_rtp(sender: Any, packet: bytes) -> None:
    """Send a whole RTP packet of one's own making through the SRTP of an `RTCRtpSender`.

    Raises ConnectionError once the connection is gone.
    """
    await sender.transport._send_rtp(packet)
