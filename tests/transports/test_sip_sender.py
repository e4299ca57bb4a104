"""The way of speech from the playout to the stack's ring, without a clock."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from baresip.audio import AudioInfo, AudioStats, CallAudio
from numpy.typing import NDArray

from transports.playout import Playout
from transports.sip.sender import AHEAD_MS, SPARE_MS, Sender

BYTES_PER_MS = 32  # 16 kHz, so that nothing is resampled
RING_MS = 20 + SPARE_MS


class Ring:
    """The stack's ring, emptied when the test says so."""

    def __init__(self, ptime_ms: int = 20) -> None:
        self.ptime_ms = ptime_ms
        self.buffered = b""
        self.sent = b""
        self.silent = self.filled_up = 0

    def stats(self) -> AudioStats:
        return AudioStats(self.silent, self.filled_up, 0, 0, len(self.buffered), 0, 0, 0, 0, 0)

    def info(self) -> AudioInfo:
        return AudioInfo(True, True, 16000, 1, self.ptime_ms, 16000, 1, len(self.buffered), 0, 65536, 65536)

    def write(self, pcm: bytes) -> int:
        self.buffered += pcm
        return len(pcm)

    def send_packet(self) -> None:
        size = self.ptime_ms * BYTES_PER_MS
        self.silent += not self.buffered
        self.filled_up += 0 < len(self.buffered) < size
        self.sent += self.buffered[:size].ljust(size, b"\0")
        self.buffered = self.buffered[size:]

    def heard(self) -> NDArray[np.int16]:
        return np.frombuffer(self.sent, np.int16)


def speaking(ms: int = 1000, ptime_ms: int = 20) -> tuple[Sender, Playout, Ring]:
    ring, playout = Ring(ptime_ms), Playout(records=False)
    sender = Sender(cast(CallAudio, ring), playout, lambda: None)
    playout.on_cut = sender.cut
    playout.write(np.full(ms * 16, 9000, np.int16).tobytes())
    return sender, playout, ring


def test_the_ring_holds_no_more_than_is_needed() -> None:
    sender, playout, ring = speaking()
    for _ in range(20):
        sender.top_up()
        sender.feed()
        assert len(ring.buffered) == RING_MS * BYTES_PER_MS
        ring.send_packet()
    assert playout.position <= (20 * 20 + RING_MS + AHEAD_MS) * 16


@pytest.mark.parametrize("ptime_ms", [10, 20, 30, 40, 60])
def test_all_that_is_said_is_sent_once_and_in_order(ptime_ms: int) -> None:
    sender, playout, ring = speaking(0, ptime_ms)
    speech = np.random.default_rng(1).integers(-9000, 9000, 16 * 505).astype(np.int16)
    playout.write(speech.tobytes())
    for _ in range(800 // ptime_ms):
        for _ in range(ptime_ms // 5):  # as often as the feeder comes
            sender.top_up()
            sender.feed()
        ring.send_packet()
    assert np.array_equal(ring.heard()[: len(speech)], speech)
    assert not ring.heard()[len(speech) :].any()


def test_an_interruption_fades_right_after_what_the_ring_holds() -> None:
    for how in ("interrupt", "hold"):
        sender, playout, ring = speaking()
        sender.top_up()
        sender.feed()
        in_ring = len(ring.buffered) // 2
        getattr(playout, how)()
        sender.feed()  # the feeder may come before the event loop
        sender.top_up()
        for _ in range(5):
            sender.feed()
            ring.send_packet()
        heard = ring.heard()
        assert (heard[:in_ring] == 9000).all()
        audible = int(np.nonzero(heard)[0][-1]) + 1
        assert in_ring < audible <= 2 * 20 * 16
        assert np.abs(np.diff(heard[:audible].astype(int))).max() < 100
        assert not heard[audible:].any()


def test_what_was_not_heard_is_given_back() -> None:
    sender, playout, ring = speaking()
    sender.top_up()
    sender.feed()
    playout.hold()
    sender.top_up()
    faded = 8 * 16
    assert playout.position == len(ring.buffered) // 2 + faded
    playout.resume()
    assert playout.queued_ms == 1000  # no word was heard whole: all of it again


def test_the_end_of_speech_is_not_followed_by_what_the_playout_never_had() -> None:
    sender, playout, ring = speaking(5)  # less than a slice
    sender.top_up()
    playout.interrupt()
    sender.top_up()
    for _ in range(4):
        sender.feed()
        ring.send_packet()
    assert playout.position <= 5 * 16
    assert np.count_nonzero(ring.heard()) <= 5 * 16


def test_a_ring_that_ran_dry_is_filled_no_further_than_before() -> None:
    sender, _, ring = speaking(3000)
    for _ in range(4):
        sender.top_up()
        sender.feed()
        for _ in range(3):
            ring.send_packet()
    sender.top_up()
    sender.feed()
    assert len(ring.buffered) == RING_MS * BYTES_PER_MS


def test_what_was_sent_is_known_by_its_place_although_the_wire_was_silent_by_itself() -> None:
    sender, playout, ring = speaking(0)
    rng = np.random.default_rng(2)
    for spoken_ms, packets in ((100, 9), (505, 30), (30, 1), (200, 12), (10, 4), (90, 8)):
        playout.write(rng.integers(-9000, 9000, 16 * spoken_ms).astype(np.int16).tobytes())
        for _ in range(packets):
            sender.top_up()
            sender.feed()
            ring.send_packet()
            if rng.random() < 0.3:  # the feeder is late
                ring.send_packet()
        heard = ring.heard()
        kept = min(len(heard), 16_000)
        assert np.array_equal(playout.sent.read(len(heard) - kept, kept), heard[-kept:])
