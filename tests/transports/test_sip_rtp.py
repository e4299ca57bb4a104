"""Sources, order and keys of RTP, without a wire."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from aiortc.rtp import RtpPacket

from transports.concealment import Concealer
from transports.reorder import MAX_LATE, ReorderBuffer
from transports.sip.source import SILENT_S, CallerSource
from transports.sip.telephone_events import TelephoneEvents

ANNOUNCED, MOVED, NAT, STRANGER = (
    ("10.0.0.5", 4000),
    ("10.0.0.5", 4100),
    ("192.0.2.7", 61000),
    ("203.0.113.9", 9),
)


def packet(number: int, ssrc: int = 1) -> RtpPacket:
    return RtpPacket(sequence_number=number & 0xFFFF, ssrc=ssrc)


def source() -> CallerSource:
    return CallerSource(ANNOUNCED, NAT[0])


def test_who_sends_from_where_the_sdp_says_is_believed_at_once() -> None:
    caller = source()
    assert len(caller.take(ANNOUNCED, packet(1), 0.0)) == 1
    assert caller.destination == ANNOUNCED


def test_who_sends_from_where_the_invite_came_from_is_believed_after_three_in_a_row() -> None:
    caller = source()
    assert [len(caller.take(NAT, packet(n), 0.0)) for n in (1, 2, 3, 4)] == [0, 0, 3, 1]
    assert caller.destination == NAT


def test_who_sends_anything_is_not_believed() -> None:
    caller = source()
    chance = np.random.default_rng(1)
    for n in range(1000):
        assert (
            caller.take(STRANGER, packet(int(chance.integers(65536)), int(chance.integers(5))), n / 50) == []
        )
    assert caller.destination == ANNOUNCED


def test_a_stranger_who_was_faster_loses_the_call_to_the_caller() -> None:
    caller = source()
    assert [len(caller.take(STRANGER, packet(n), 0.0)) for n in range(8)] == [0] * 7 + [8]
    assert caller.destination == STRANGER
    assert len(caller.take(ANNOUNCED, packet(1, 2), 0.1)) == 1
    assert caller.destination == ANNOUNCED
    assert caller.take(STRANGER, packet(9), 100.0) == []


def test_another_port_takes_over_only_when_the_first_is_silent() -> None:
    caller = source()
    caller.take(NAT, packet(1), 0.0), caller.take(NAT, packet(2), 0.0), caller.take(NAT, packet(3), 0.0)
    rebound = (NAT[0], 62000)
    for n in range(10):
        assert caller.take(rebound, packet(n), SILENT_S * 0.9) == []
    later = SILENT_S * 1.1
    assert [len(caller.take(rebound, packet(n), later)) for n in (11, 12, 13)] == [0, 0, 3]
    assert caller.destination == rebound


def test_a_new_sdp_moves_the_call_when_its_source_speaks() -> None:
    caller = source()
    caller.take(ANNOUNCED, packet(1), 0.0)
    caller.announce(MOVED)
    assert caller.destination == MOVED
    assert len(caller.take(ANNOUNCED, packet(2), 0.1)) == 1  # the last ones from before
    assert caller.destination == MOVED
    assert len(caller.take(MOVED, packet(1, 2), 0.2)) == 1
    assert caller.take(ANNOUNCED, packet(3), 0.3) == []


def test_a_caller_behind_nat_stays_reachable_through_hold() -> None:
    caller = source()
    for n in range(3):
        caller.take(NAT, packet(n), 0.0)
    caller.announce(("0.0.0.0", 4000))
    caller.announce(ANNOUNCED)
    for n in range(10):
        caller.take(NAT, packet(3 + n), 1.0)
    assert caller.destination == NAT


def test_a_sender_who_counts_anew_is_followed() -> None:
    order: ReorderBuffer[RtpPacket] = ReorderBuffer()
    for n in range(100, 200):
        order.add(packet(n))
    heard = [p.sequence_number for n in range(50) for p in order.add(packet(n))]
    assert heard == list(range(MAX_LATE - 1, 50))


def event(
    number: int, key: int, stamp: int, duration: int, *, end: bool = False, marker: int = 0
) -> RtpPacket:
    body = struct.pack("!BBH", key, (0x80 if end else 0) | 10, duration)
    return RtpPacket(sequence_number=number, timestamp=stamp, marker=marker, payload=body)


def keys(*packets: RtpPacket) -> str:
    """As a call hears them: in order, each once."""
    order: ReorderBuffer[RtpPacket] = ReorderBuffer()
    events = TelephoneEvents()
    due = [p for each in packets for p in order.add(each)] + order.give_up()
    return "".join(map(events.key, due))


def press(number: int, key: int, stamp: int, clock: int = 8000) -> list[RtpPacket]:
    """Nine packets: six while it is down, three with the end bit."""
    tick = clock // 50
    return [
        event(number + n, key, stamp, tick * min(n + 1, 6), end=n >= 6, marker=int(n == 0)) for n in range(9)
    ]


@pytest.mark.parametrize("clock", [8000, 16000, 48000])
def test_each_of_the_16_keys_is_told_once(clock: int) -> None:
    pressed = [p for nth in range(16) for p in press(nth * 9, nth, nth * clock, clock)]
    assert keys(*pressed) == "0123456789*#ABCD"


def test_only_end_packets_are_enough() -> None:
    assert keys(*press(0, 5, 800)[6:], *press(20, 5, 8000)[6:]) == "55"


def test_lost_end_packets_are_not_missed() -> None:
    assert keys(*press(0, 5, 800)[:6], *press(9, 5, 8000)[:6], *press(18, 6, 16000)[:6]) == "556"


def test_a_key_pressed_twice_at_once_after_lost_end_packets_is_two() -> None:
    assert keys(*press(0, 5, 800)[:4], *press(9, 5, 800 + 6 * 160 + 320)[1:4]) == "55"


@pytest.mark.parametrize(
    "heard", [slice(0, 9), slice(1, 9), slice(0, 6)], ids=["whole", "no begin", "no end"]
)
def test_a_key_pressed_again_by_a_sender_whose_time_began_anew_is_two(heard: slice) -> None:
    assert keys(*press(0, 5, 2_000_000_000)[heard], *press(9, 5, 800)[heard]) == "55"


def test_end_packets_out_of_order_and_doubled_tell_nothing_new() -> None:
    down = press(0, 5, 800)
    again = press(9, 5, 8000)
    assert keys(*down[:5], down[7], down[5], down[8], down[6], *again[:2], down[8], *again[2:]) == "55"


def test_a_long_key_in_segments_is_one() -> None:
    first = [event(n, 1, 100, 0xFFFF, marker=int(n == 0)) for n in range(3)]
    second = [event(3 + n, 1, 100 + 0xFFFF, 800, end=n > 1) for n in range(4)]
    assert keys(*first, *second) == "1"


def test_a_sender_who_moves_the_timestamp_within_a_key_pressed_it_once() -> None:
    assert (
        keys(*(event(n, 3, 160 * n, 160 * (n + 1), end=n == 8, marker=int(n == 0)) for n in range(9))) == "3"
    )


def test_other_events_are_no_keys() -> None:
    assert keys(event(0, 16, 0, 800, end=True), event(1, 36, 900, 800, end=True)) == ""


def test_a_gap_in_a_voice_goes_on_and_fades() -> None:
    t = np.arange(16_000) / 16_000
    voice = np.asarray(8000 * np.sin(2 * np.pi * 150 * t), np.int16)
    concealer = Concealer()
    concealer.played(voice[:3200])
    made = concealer.conceal(320)
    after = concealer.played(voice[3520:3840])
    heard = np.concatenate((voice[3000:3200], made, after)).astype(int)
    assert np.abs(np.diff(heard)).max() < 1.2 * np.abs(np.diff(voice.astype(int))).max()  # no click
    assert np.abs(made[:160].astype(int) - voice[3200:3360]).max() < 800
    assert not concealer.conceal(1600)[-640:].any()
