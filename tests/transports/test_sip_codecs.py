"""Every codec at every packet time, both ways: tones across the band, their level and their delay."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
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


def packets(codec: str, ptime_ms: int) -> Callable[[bytes], list[bytes]]:
    """Sends them instead of what the caller sends every 20 ms."""
    payloads, (payload_type, *_, clock) = encoded(codec, ptime_ms), CODECS[codec]
    ticks = sent = 0

    def instead(_: bytes) -> list[bytes]:
        nonlocal ticks, sent
        ticks += 1
        due = []
        while payloads and sent * ptime_ms < ticks * 20:
            stamp = sent * ptime_ms * clock // 1000
            due.append(struct.pack("!BBHII", 0x80, payload_type, sent, stamp, 0xC0DEC) + payloads.pop(0))
            sent += 1
        return due

    return instead


def levels_db(heard: NDArray[np.int16]) -> list[float]:
    """Of each tone, against what was sent."""
    loud = np.nonzero(np.abs(heard) > PEAK // 4)[0][0]
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
                caller.disturb = packets(codec, 20 if opus_has_none else ptime_ms)
                await speak(call, sweep(RATE_HZ))
                whole = int(TONE_S * RATE_HZ) * len(TONES_HZ)
                await until(lambda: len(listener.heard()) > whole + RATE_HZ // 2)
                heard = listener.heard()
            await caller.bye()
            ours = decoder(codec)
            theirs = [p.payload for p in caller.received if p.payload_type == payload_type and p.payload]
            said = b"".join(map(ours.decode, theirs))
    assert np.abs(levels_db(heard)).max() < 1
    assert np.abs(levels_db(np.frombuffer(said, np.int16))).max() < 1
