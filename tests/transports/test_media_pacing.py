"""Packets for a carrier, and what a stream may send: policies whose tests state the time."""

from __future__ import annotations

import numpy as np

from transports.media_streams.call import GONE_S
from transports.media_streams.inflow import Inflow
from transports.media_streams.pacer import LEAD_PACKETS, Pacer
from transports.playout import Playout


def speech(ms: int) -> bytes:
    return (8000 * np.sin(np.arange(ms * 16) / 5)).astype(np.int16).tobytes()


def paced(playout: Playout, packet_ms: int = 20) -> Pacer:
    return Pacer(playout, 8000, packet_ms)


def test_nothing_is_sent_in_silence() -> None:
    pacer = paced(Playout())
    assert [pacer.packets(n * 0.02) for n in range(100)] == [[]] * 100


def test_speech_starts_with_a_lead_and_goes_on_packet_by_packet() -> None:
    playout = Playout()
    pacer = paced(playout)
    playout.write(speech(100))
    sent = [pacer.packets(n * 0.02) for n in range(5)]
    assert [len(packets) for packets in sent] == [LEAD_PACKETS + 1, 1, 1, 1, 1]
    assert {len(packet) for packets in sent for packet in packets} == {320}
    assert playout.position == 1600
    assert pacer.ahead_ms(0.08) == 60


def test_the_line_goes_quiet_after_a_tail_of_silence() -> None:
    playout = Playout()
    pacer = paced(playout)
    playout.write(speech(20))
    counts = [len(pacer.packets(n * 0.02)) for n in range(30)]
    assert counts == [LEAD_PACKETS + 1] + [1] * 20 + [0] * 9
    playout.write(speech(20))
    assert len(pacer.packets(0.6)) == LEAD_PACKETS + 1


def test_a_cut_gives_back_what_the_carrier_cant_have_played() -> None:
    playout = Playout()
    pacer = paced(playout)
    playout.on_cut = lambda: pacer.cut(0.1)
    playout.write(speech(1000))
    for n in range(6):
        pacer.packets(n * 0.02)
    assert playout.position == 6 * 320
    assert pacer.ahead_ms(0.1) == 60
    playout.interrupt()
    assert playout.position == 3 * 320
    (fade,) = pacer.packets(0.1)
    samples = np.frombuffer(fade, np.int16)
    assert samples.any()
    assert not samples[-60:].any(), "8 ms of fade, and the filter's tail"


def test_a_stream_may_send_real_time_and_a_burst() -> None:
    inflow = Inflow(0)
    assert all(inflow.admits(20, n * 0.02) for n in range(10_000))
    assert all(inflow.admits(20, 200 + GONE_S) for _ in range(round(GONE_S * 50))), "held back by a network"


def test_a_flood_of_sound_or_of_messages_isnt_admitted() -> None:
    inflow = Inflow(0)
    assert not all(inflow.admits(20, 0) for _ in range(1000))
    inflow = Inflow(0)
    assert not all(inflow.admits(0, n * 0.001) for n in range(3000))
