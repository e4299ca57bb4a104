"""What was on the wire of a call, by whoever was at its other end, and where a recording has it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tests.sip_caller import PACKET_SAMPLES, PTIME_S, Caller, ulaw_decode

WIRE_HZ, RATE_HZ = 8000, 16_000
Samples = NDArray[np.int16]


def noise(seconds: float, seed: int, rate_hz: int) -> Samples:
    """What is like nothing else, below 3 kHz, as a telephone lets through."""
    count = round(seconds * rate_hz)
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(0, 6000, count))
    spectrum[np.fft.rfftfreq(count, 1 / rate_hz) > 3000] = 0
    return np.fft.irfft(spectrum, count).astype(np.int16)


class Wire:
    """Notes when the caller sent each packet of sound, from when on it was silent before it."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.sent: list[tuple[float, Samples]] = []
        caller.disturb = self._note

    def _note(self, packet: bytes) -> list[bytes]:
        self.sent.append((time.monotonic() - PTIME_S, ulaw_decode(packet[12:])))
        return [packet]

    def received(self) -> list[tuple[float, Samples]]:
        packets = [one for one in self._caller.received if one.payload_type == 0]
        return [(one.at, ulaw_decode(one.payload)) for one in packets]


def began(packets: Sequence[tuple[float, Samples]], sound: Samples) -> float | None:
    """When `sound`, at 8 kHz, began on the wire: by the packets that came through soonest."""
    assert all(len(samples) == PACKET_SAMPLES for _, samples in packets)
    first = where(np.concatenate([samples for _, samples in packets]), sound)
    start = min(at - n * PTIME_S for n, (at, _) in enumerate(packets))
    return None if first is None else start + first / WIRE_HZ


def where(line: Samples, sound: Samples) -> int | None:
    """At which sample `sound` begins in `line`, both of one rate; None where it isn't there as a whole."""
    size = len(line) + len(sound)
    spectrum = np.fft.rfft(line, size) * np.conj(np.fft.rfft(sound, size))
    correlation = np.fft.irfft(spectrum, size)[: len(line)]
    at = int(correlation.argmax())
    there = line[at : at + len(sound)].astype(np.float64)
    match = correlation[at] / (np.linalg.norm(there) * np.linalg.norm(sound.astype(np.float64)) or 1)
    return at if match > 0.8 else None


def at_16_khz(sound: Samples) -> Samples:
    """What was at 8 kHz."""
    return (2 * np.fft.irfft(np.fft.rfft(sound.astype(np.float64)), 2 * len(sound))).astype(np.int16)
