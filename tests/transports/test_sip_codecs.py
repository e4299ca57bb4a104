"""Every codec at every packet time, both ways: tones across the band, their level and their delay.

Prints the delays: of what is heard, from a packet's departure to the pipeline; of what is said, from the
playout to a packet's arrival, and the codec's own besides.
"""

from __future__ import annotations

import contextlib
import struct
import time
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.peers import Reception, sip_server
from tests.sip_caller import TELEPHONE_EVENT, Caller
from tests.transports.test_sip_audio import Pipelined, speak
from tests.waiting import until
from transports.decoders import decoder

RATE_HZ = 16_000
TONES_HZ = (400, 1004, 2000, 2800)
TONE_S = 0.4
PEAK = 6000

# Payload type, SDP's name, the codec that encodes it here, its rate and its RTP clock.
CODECS = {
    "pcmu": (0, "PCMU/8000", "pcm_mulaw", 8_000, 8_000),
    "pcma": (8, "PCMA/8000", "pcm_alaw", 8_000, 8_000),
    "g722": (9, "G722/8000", "g722", 16_000, 8_000),
    "opus": (96, "opus/48000/2", "libopus", 16_000, 48_000),
}


def sweep(rate_hz: int) -> NDArray[np.int16]:
    t = np.arange(int(TONE_S * rate_hz)) / rate_hz
    return np.concatenate([np.asarray(PEAK * np.sin(2 * np.pi * hz * t), np.int16) for hz in TONES_HZ])


def encoded(codec: str, ptime_ms: int) -> list[bytes]:
    """The sweep in packets."""
    _, _, name, rate_hz, _ = CODECS[codec]
    encoder: Any = av.CodecContext.create(name, "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate_hz, "mono", "s16"
    if name == "libopus":
        encoder.bit_rate, encoder.options = 32_000, {"frame_duration": str(ptime_ms), "application": "voip"}
    pcm, step = sweep(rate_hz), rate_hz * ptime_ms // 1000
    payloads = []
    for start in range(0, len(pcm) - step + 1, step):
        frame = av.AudioFrame.from_ndarray(pcm[None, start : start + step], layout="mono")
        frame.sample_rate = rate_hz
        payloads += [bytes(packet) for packet in encoder.encode(frame)]
    if name == "libopus":
        return payloads
    sound, size = b"".join(payloads), 8 * ptime_ms  # 64 kbit/s, all of them
    return [sound[start : start + size] for start in range(0, len(sound) - size + 1, size)]


class Sweep:
    """Sends it instead of what the caller sends every 20 ms."""

    def __init__(self, codec: str, ptime_ms: int) -> None:
        self._payloads, self._ptime_ms = encoded(codec, ptime_ms), ptime_ms
        self._payload_type, *_, self._clock = CODECS[codec]
        self._ticks = self._sent = 0
        self.began = 0.0  # by the monotonic clock

    def __call__(self, _: bytes) -> list[bytes]:
        self._ticks += 1
        self.began = self.began or time.monotonic()
        due = []
        while self._payloads and self._sent * self._ptime_ms < self._ticks * 20:
            stamp = self._sent * self._ptime_ms * self._clock // 1000
            header = struct.pack("!BBHII", 0x80, self._payload_type, self._sent, stamp, 0xC0DEC)
            due.append(header + self._payloads.pop(0))
            self._sent += 1
        return due


def onset(heard: NDArray[np.int16]) -> int:
    """The sample at which the sweep begins."""
    return int(np.nonzero(np.abs(heard) > PEAK // 4)[0][0])


def levels_db(heard: NDArray[np.int16]) -> list[float]:
    """Of each tone, against what was sent."""
    loud = onset(heard)
    step = int(TONE_S * RATE_HZ)
    found = []
    for nth in range(len(TONES_HZ)):
        middle = heard[loud + nth * step + step // 4 :][: step // 2].astype(float)
        # The median of 10 ms: what a busy machine leaves out is another matter.
        power = np.median(np.mean(middle.reshape(-1, RATE_HZ // 100) ** 2, axis=1))
        found.append(10 * np.log10(power / (PEAK**2 / 2)))
    return found


@pytest.mark.parametrize("ptime_ms", [10, 20, 30, 40, 60])
@pytest.mark.parametrize("codec", CODECS)
async def test_the_sound_keeps_its_level_both_ways(codec: str, ptime_ms: int) -> None:
    payload_type, name, *_ = CODECS[codec]
    reception = Reception()
    async with sip_server(reception) as server:
        caller = Caller(server)
        with contextlib.closing(caller):
            caller.formats = f"{payload_type} {TELEPHONE_EVENT}"
            rtpmaps = (f"rtpmap:{payload_type} {name}", f"rtpmap:{TELEPHONE_EVENT} telephone-event/8000")
            caller.attributes = (*rtpmaps, f"ptime:{ptime_ms}")
            caller.disturb = lambda _: []
            assert (await caller.call()).status == 200
            call = await reception.connected.get()
            assert call.info.codec == codec
            async with Pipelined(call) as listener:
                opus_has_none = codec == "opus" and ptime_ms == 30
                caller.disturb = sent = Sweep(codec, 20 if opus_has_none else ptime_ms)
                spoke = time.monotonic()
                await speak(call, sweep(RATE_HZ))
                whole = int(TONE_S * RATE_HZ) * len(TONES_HZ)
                await until(lambda: len(listener.heard()) > whole + RATE_HZ // 2)
                heard = listener.heard()
            await caller.bye()
            ours = decoder(codec)
            theirs = [p for p in caller.received if p.payload_type == payload_type and p.payload]
            decoded = [ours.decode(packet.payload) for packet in theirs]
    said = np.frombuffer(b"".join(decoded), np.int16)
    assert np.abs(levels_db(heard)).max() < 1
    assert np.abs(levels_db(said)).max() < 1
    ends = np.cumsum([len(pcm) // 2 for pcm in decoded])
    first = int(np.searchsorted(ends, onset(said), side="right"))
    within_s = (onset(said) - ends[first] + len(decoded[first]) // 2) / RATE_HZ
    heard_ms = 1000 * (listener.at[onset(heard) * 2 // len(listener.frames[0].audio)] - sent.began)
    said_ms = 1000 * (theirs[first].at + within_s - spoke)
    print(f"\n{codec}, {ptime_ms} ms: heard after {heard_ms:.0f} ms, said after {said_ms:.0f} ms")
    assert heard_ms > 0
    assert said_ms > 0
