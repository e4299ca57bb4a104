"""Opus on the wire, 16 kHz PCM inside: one encoder and one decoder for each peer connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from transports.decoders import OPUS_RATE_HZ, OpusDecoder
from transports.playout import SAMPLE_RATE_HZ
from transports.reorder import ReorderBuffer, VoicePacket

PTIME_S = 0.020
PACKET_SAMPLES = SAMPLE_RATE_HZ // 50
OPUS_PACKET_TICKS = OPUS_RATE_HZ // 50
OPUS_BIT_RATE = 32_000
# A loop that was away longer than this doesn't send what it missed in one burst.
MAX_CATCH_UP_S = 0.060
# A silence on the wire that is filled, so that the listener's clock goes on (a muted sender with DTX,
# lost packets); more than this is a sender that was away.
MAX_FILL_SAMPLES = SAMPLE_RATE_HZ // 2
STARVED_S = 0.060
_TIME_BASE = Fraction(1, OPUS_RATE_HZ)


class OpusEncoder:
    """Encodes 20 ms of s16le mono PCM at 16 kHz into one Opus packet.

    Ours, because aiortc's resamples to 48 kHz, codes stereo at 96 kbit/s and takes a thread's turn for
    each packet; this takes 0.17 ms on the loop.
    """

    def __init__(self) -> None:
        codec: Any = av.CodecContext.create("libopus", "w")
        codec.sample_rate = SAMPLE_RATE_HZ
        codec.layout = "mono"
        codec.format = "s16"
        codec.bit_rate = OPUS_BIT_RATE
        codec.options = {
            "application": "voip",
            "frame_duration": "20",
            "compression_level": "5",
            # In-band redundancy: a browser rebuilds a lost packet from the next one.
            "fec": "1",
            "packet_loss": "5",
        }
        self._codec = codec

    def encode(self, pcm: bytes) -> bytes:
        frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, np.int16)[None, :], layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))


class SpeechTrack(MediaStreamTrack):
    """What our end sends: pulls 20 ms at a time, paced by the loop's clock."""

    kind = "audio"

    def __init__(self, pull: Callable[[int], bytes]) -> None:
        super().__init__()
        self._pull = pull
        self._encoder = OpusEncoder()
        self._due: float | None = None
        self._ticks = 0

    async def recv(self) -> Any:  # av.Packet, generic only in its stubs
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._due is None:
            self._due = now
        if (late := now - self._due) > MAX_CATCH_UP_S:
            missed = int(late / PTIME_S)
            self._due += missed * PTIME_S
            self._ticks += missed * OPUS_PACKET_TICKS
        await asyncio.sleep(max(0.0, self._due - now))
        packet = av.Packet(self._encoder.encode(self._pull(PACKET_SAMPLES)))
        packet.pts = self._ticks
        packet.time_base = _TIME_BASE
        self._ticks += OPUS_PACKET_TICKS
        self._due += PTIME_S
        return packet


class IncomingSpeech:
    """What their end sends: in order, decoded, and without holes in time."""

    def __init__(self) -> None:
        self._reorder: ReorderBuffer[VoicePacket] = ReorderBuffer()
        self._decoder = OpusDecoder()
        self._next_timestamp: int | None = None
        self._last_at: float | None = None
        self._filled = 0  # samples of silence given since the last packet
        self.undecodable = 0

    @property
    def lost(self) -> int:
        return self._reorder.lost

    def receive(self, packet: VoicePacket, now: float) -> bytes:
        """Take a packet; returns s16le mono PCM at 16 kHz that is due, perhaps none."""
        if packet.payload:
            self._last_at = now
        return b"".join(self._play(p) for p in self._reorder.add(packet))

    def fill(self, now: float) -> bytes:
        """20 ms of silence if nothing has come for a while, so that the listener's time goes on.

        Before that, what has waited in vain for a lost packet.
        """
        if self._last_at is None or now - self._last_at < STARVED_S + self._filled / SAMPLE_RATE_HZ:
            return b""
        if self._reorder.waiting:
            return b"".join(self._play(p) for p in self._reorder.give_up())
        self._filled += PACKET_SAMPLES
        return bytes(PACKET_SAMPLES * 2)

    def _play(self, packet: VoicePacket) -> bytes:
        if not packet.payload:  # padding alone
            return b""
        try:
            pcm = self._decoder.decode(packet.payload)
        except ValueError:
            self.undecodable += 1
            pcm = bytes(PACKET_SAMPLES * 2)
        gap = 0
        if self._next_timestamp is not None:
            ticks = (packet.rtp_timestamp - self._next_timestamp) & 0xFFFFFFFF
            if ticks < 0x80000000:
                gap = ticks * SAMPLE_RATE_HZ // OPUS_RATE_HZ - self._filled
        self._filled = 0
        samples = len(pcm) // 2
        self._next_timestamp = (packet.rtp_timestamp + samples * OPUS_RATE_HZ // SAMPLE_RATE_HZ) & 0xFFFFFFFF
        return bytes(2 * gap) + pcm if 0 < gap <= MAX_FILL_SAMPLES else pcm
