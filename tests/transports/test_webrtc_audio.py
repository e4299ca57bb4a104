from __future__ import annotations

import numpy as np
import pytest

from transports.decoders import OpusDecoder, decoder
from transports.reorder import MAX_WAITING, ReorderBuffer, VoicePacket
from transports.webrtc.audio import IncomingSpeech, OpusEncoder


def packet(number: int, timestamp: int | None = None, payload: bytes = b"") -> VoicePacket:
    ticks = number * 960 if timestamp is None else timestamp
    return VoicePacket(number & 0xFFFF, ticks & 0xFFFFFFFF, payload)


def played(arrivals: list[int]) -> list[int]:
    buffer: ReorderBuffer[VoicePacket] = ReorderBuffer()
    return [p.sequence_number for n in arrivals for p in buffer.add(packet(n))]


@pytest.mark.parametrize(
    ("arrivals", "expected"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([1, 3, 2, 4], [1, 2, 3, 4]),
        ([1, 4, 3, 2], [1, 2, 3, 4]),
        ([1, 2, 2, 3], [1, 2, 3]),
        ([65534, 65535, 0, 1], [65534, 65535, 0, 1]),
        ([65535, 1, 0], [65535, 0, 1]),
        ([1, 3, 4, 5, 6], [1, 3, 4, 5, 6]),  # the second never comes
        ([1, 3, 4, 5, 6, 2, 7], [1, 3, 4, 5, 6, 7]),  # or too late
        ([1, 2, 30000, 30001], [1, 2, 30000, 30001]),  # the sender began anew
    ],
)
def test_packets_come_out_in_order(arrivals: list[int], expected: list[int]) -> None:
    assert played(arrivals) == expected


def test_a_gap_is_waited_for_no_longer_than_it_pays() -> None:
    buffer: ReorderBuffer[VoicePacket] = ReorderBuffer()
    buffer.add(packet(1))
    for n in range(MAX_WAITING):
        assert not buffer.add(packet(3 + n))
    assert len(buffer.add(packet(3 + MAX_WAITING))) == MAX_WAITING + 1
    assert buffer.lost == 1


def test_whatever_arrives_nothing_comes_out_twice_or_backwards() -> None:
    random = np.random.default_rng(7)
    arrivals = [int(n + random.integers(0, 6)) for n in range(2000) if random.random() > 0.05]
    out = played(arrivals)
    assert out == sorted(set(out))
    assert len(out) > 0.6 * len(set(arrivals))


def sine(hz: float, rate: int, samples: int, start: int = 0) -> np.ndarray:
    return (8000 * np.sin(2 * np.pi * hz * (np.arange(samples) + start) / rate)).astype(np.int16)


def encoded(count: int) -> list[bytes]:
    encoder = OpusEncoder()
    return [encoder.encode(sine(440, 16000, 320, n * 320).tobytes()) for n in range(count)]


def test_speech_survives_the_codec_in_one_piece() -> None:
    decoder = OpusDecoder()
    pcm = np.frombuffer(b"".join(decoder.decode(p) for p in encoded(50)), np.int16)
    assert len(pcm) == 50 * 320
    assert 7000 < np.abs(pcm[3200:].astype(int)).max() < 9000


def test_lost_time_is_filled_and_damage_does_no_harm() -> None:
    payloads = encoded(20)
    payloads[9] = b"\xff\xff\xff"
    speech = IncomingSpeech()
    pcm = b"".join(
        speech.receive(packet(n, payload=payload), n * 0.02)
        for n, payload in enumerate(payloads)
        if n not in (5, 6)
    )
    assert len(pcm) == 20 * 640
    assert speech.lost == 2
    assert speech.undecodable == 1


@pytest.mark.parametrize("codec", ["opus", "g722"])
def test_an_empty_payload_is_of_no_codec_and_ends_no_stream(codec: str) -> None:
    ours = decoder(codec)
    with pytest.raises(ValueError, match="not a"):
        ours.decode(b"")
    payload = encoded(1)[0] if codec == "opus" else bytes(160)
    assert len(ours.decode(payload)) == 640


def test_a_packet_of_padding_alone_is_no_sound_and_no_damage() -> None:
    payloads = encoded(20)
    payloads[9] = b""
    speech = IncomingSpeech()
    pcm = b"".join(speech.receive(packet(n, payload=p), n * 0.02) for n, p in enumerate(payloads))
    assert len(pcm) == 20 * 640
    assert np.abs(np.frombuffer(pcm[-640:], np.int16).astype(int)).max() > 7000
    assert speech.undecodable == 0


def test_padding_alone_does_not_stop_the_clock() -> None:
    speech = IncomingSpeech()
    speech.receive(packet(0, payload=encoded(1)[0]), 0.0)
    filled = 0
    for n in range(1, 51):
        filled += len(speech.receive(packet(n), n * 0.02)) // 2
        filled += len(speech.fill(n * 0.02)) // 2
    assert filled == pytest.approx(16000 - 960, abs=640)


def test_a_silent_sender_does_not_stop_the_clock() -> None:
    payloads = encoded(2)
    speech = IncomingSpeech()
    assert speech.fill(0.0) == b""  # nothing has begun
    speech.receive(packet(0, payload=payloads[0]), 0.0)
    filled = sum(len(speech.fill(n * 0.02)) for n in range(1, 51)) // 2
    assert filled == pytest.approx(16000 - 960, abs=640)
    # What came of itself isn't filled a second time when the sender goes on a second later.
    pcm = speech.receive(packet(1, 50 * 960, payloads[1]), 1.0)
    assert len(pcm) // 2 == pytest.approx(16000 - filled, abs=320)


def test_what_waits_for_a_lost_packet_is_heard_when_the_sender_falls_silent() -> None:
    speech = IncomingSpeech()
    for n, payload in enumerate(encoded(10)):
        if n != 7:
            speech.receive(packet(n, payload=payload), n * 0.02)
    assert np.frombuffer(speech.fill(0.25), np.int16)[320:].any()  # behind what stands for the lost one
    assert speech.lost == 1
    assert not any(speech.fill(0.27))
