"""From a packet's payload to 16 kHz PCM, one decoder for each stream of a caller's."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

import av
import numpy as np
from numpy.typing import NDArray

from transports.playout import SAMPLE_RATE_HZ
from transports.resampler import Resampler

OPUS_RATE_HZ = 48_000  # RFC 7587: the RTP clock, whatever the coded rate
_G711_RATE_HZ = 8_000


class Decoder(Protocol):
    """Decodes one continuous stream, packet by packet."""

    def decode(self, payload: bytes) -> bytes:
        """Returns s16le mono PCM at 16 kHz. Raises ValueError if `payload` isn't of this codec."""


def decoder(codec: str) -> Decoder:
    """For a codec by its name in SDP, e.g. `PCMU`. Raises ValueError for one that we don't have."""
    match codec.lower():
        case "pcmu":
            return G711Decoder("pcm_mulaw")
        case "pcma":
            return G711Decoder("pcm_alaw")
        case "g722":
            return G722Decoder()
        case "opus":
            return OpusDecoder()
    raise ValueError(f"no decoder for {codec!r}")


class G711Decoder:
    def __init__(self, law: str) -> None:
        self._table = _expansion(law)
        self._resampler = Resampler(_G711_RATE_HZ, SAMPLE_RATE_HZ)
        self._before: tuple[bytes, bytes] = b"", b""  # the latest packet, and what it sounded like
        self._steady = False  # it was one code throughout, and so was the one before it

    def decode(self, payload: bytes) -> bytes:
        same = payload == self._before[0]
        if same and self._steady:  # silence, mostly: the resampler is full of it
            return self._before[1]
        self._steady = same and payload.count(payload[:1]) == len(payload) >= self._resampler.span
        samples = self._table.take(np.frombuffer(payload, np.uint8))
        self._before = payload, self._resampler.process(samples).tobytes()
        return self._before[1]


@lru_cache
def _expansion(law: str) -> NDArray[np.int16]:
    """The sample for each of the 256 codes."""
    codec: Any = av.CodecContext.create(law, "r")
    codec.sample_rate, codec.layout = _G711_RATE_HZ, "mono"
    table: NDArray[np.int16] = codec.decode(av.Packet(bytes(range(256))))[0].to_ndarray()[0]
    return table


class G722Decoder:
    def __init__(self) -> None:
        codec: Any = av.CodecContext.create("g722", "r")
        codec.sample_rate, codec.layout = SAMPLE_RATE_HZ, "mono"
        self._codec = codec

    def decode(self, payload: bytes) -> bytes:
        return b"".join(samples.tobytes() for samples in _decoded(self._codec, payload, "a G.722 packet"))


class OpusDecoder:
    def __init__(self, rate_hz: int = SAMPLE_RATE_HZ) -> None:
        """`rate_hz` is that of what it gives."""
        codec: Any = av.CodecContext.create("libopus", "r")
        codec.layout = "mono"
        codec.format = "s16"
        self._codec = codec
        self._resampler = Resampler(OPUS_RATE_HZ, rate_hz)

    def decode(self, payload: bytes) -> bytes:
        decoded = _decoded(self._codec, payload, "an Opus packet")
        return b"".join(self._resampler.process(samples).tobytes() for samples in decoded)


def _decoded(codec: Any, payload: bytes, kind: str) -> list[NDArray[np.int16]]:
    """A packet's mono frames. Raises ValueError if it isn't of this `kind`."""
    if not payload:  # FFmpeg would take it for the stream's end, and decode nothing after it
        raise ValueError(f"not {kind}")
    try:
        return [frame.to_ndarray()[0] for frame in codec.decode(av.Packet(payload))]
    except av.FFmpegError as error:
        raise ValueError(f"not {kind}") from error
