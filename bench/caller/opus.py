"""Opus for the caller's 8 kHz sound: what is said at telephone band goes out as such."""

from __future__ import annotations

from typing import Any

import av
import numpy as np

from bench.caller.script import RATE_HZ, Samples
from transports.decoders import OpusDecoder

CLOCK_HZ = 48_000  # RFC 7587: of the RTP timestamps, and of what the decoder gives
PACKET_TICKS = CLOCK_HZ // 50
BIT_RATE = 32_000


class Encoder:
    """20 ms of samples into one packet, as a browser does: mono, for speech, with redundancy."""

    def __init__(self) -> None:
        codec: Any = av.CodecContext.create("libopus", "w")
        codec.sample_rate = RATE_HZ
        codec.layout = "mono"
        codec.format = "s16"
        codec.bit_rate = BIT_RATE
        codec.options = {"application": "voip", "frame_duration": "20", "fec": "1", "packet_loss": "5"}
        self._codec = codec

    def encode(self, samples: Samples) -> bytes:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None, :], layout="mono")
        frame.sample_rate = RATE_HZ
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))


class Decoder:
    """Packets into samples at 8 kHz, 1.5 ms late for the filter."""

    def __init__(self) -> None:
        self._decoder = OpusDecoder(RATE_HZ)

    def decode(self, payload: bytes) -> Samples:
        """Raises ValueError if `payload` isn't Opus."""
        return np.frombuffer(self._decoder.decode(payload), np.int16)
