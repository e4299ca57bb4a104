"""A call's sound and keys from its socket, at times that the test states."""

from __future__ import annotations

import contextlib
import difflib
import select
import socket
import struct
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.sip_caller import ulaw_encode
from transports.sip.encryption import Encryption
from transports.sip.limits import BURST_S
from transports.sip.native_rtp import TELEPHONE_EVENT, Negotiated, RtpFormat
from transports.sip.receiver import KEYS_PER_S, MAX_HELD_S, MAX_WAIT_S, Receiver
from transports.sip.tones import ToneKeys

Samples = NDArray[np.int16]

SPEECH = Path(__file__).parents[3] / "shared" / "speech"
KEYS = "123A456B789C*0#D"
LOW_HZ, HIGH_HZ = (697, 770, 852, 941), (1209, 1336, 1477, 1633)


class Wire:
    """A caller's PCMU on loopback, 20 ms a packet, and the receiver of a call that has no other keys."""

    def __init__(self) -> None:
        self.ours, self.theirs = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
        for sock in (self.ours, self.theirs):
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        negotiated = Negotiated(self.theirs.getsockname(), {0: RtpFormat("pcmu", 8000)})
        self.receiver = Receiver((self.ours, self.theirs), negotiated, "", 0.0)
        self.now = 0.0
        self.number = 0
        self.heard: list[Samples] = []
        self.keys = ""

    def send(self, pcm: Samples, number: int | None = None, ssrc: int = 7) -> None:
        self.number = self.number if number is None else number
        head = struct.pack("!BBHII", 0x80, 0, self.number & 0xFFFF, self.number * 160, ssrc)
        self.theirs.sendto(head + ulaw_encode(pcm), self.ours.getsockname())
        self.number += 1

    def press(self, key: int, step: int, number: int) -> None:
        """One of a key's packets, from a source beside the voice."""
        head = struct.pack("!BBHII", 0x80, 0x80 * (step == 0) | 101, number, key * 4800, 9)
        event = struct.pack("!BBH", key, 0x80 * (step > 4), 160 * (step + 1))
        self.theirs.sendto(head + event, self.ours.getsockname())

    def read(self, after_s: float = 0.020) -> int:
        """How many samples came."""
        self.now += after_s
        pcm, keys = self.receiver.read(self.now)
        while select.select([self.ours], [], [], 0)[0]:
            more, more_keys = self.receiver.read(self.now)
            pcm, keys = pcm + more, keys + more_keys
        self.heard.append(np.frombuffer(pcm, np.int16))
        self.keys += keys
        return len(self.heard[-1])

    def say(self, pcm: Samples, lost: NDArray[np.bool_] | None = None) -> None:
        for nth, start in enumerate(range(0, len(pcm) - 159, 160)):
            if lost is None or not lost[nth]:
                self.send(pcm[start : start + 160])
            else:
                self.number += 1
            self.read()


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    with contextlib.closing(wire.ours), contextlib.closing(wire.theirs):
        yield wire


def voice(seconds: float, rate_hz: int = 8000) -> Samples:
    t = np.arange(int(rate_hz * seconds)) / rate_hz
    return np.asarray(6000 * np.sin(2 * np.pi * 150 * t), np.int16)


def test_what_comes_in_order_is_played_at_once(wire: Wire) -> None:
    for _ in range(5):
        wire.send(voice(0.02))
        assert wire.read() == 320


def test_what_comes_behind_a_missing_packet_waits_for_it_no_longer_than_60_ms(wire: Wire) -> None:
    wire.send(voice(0.02), 0)
    assert wire.read() == 320
    wire.send(voice(0.02), 2)
    assert [wire.read(0.01) for _ in range(6)] == [0] * 6
    assert wire.read(MAX_WAIT_S - 0.05) == 640  # with what stands for the lost one


def test_a_late_packet_is_put_back_in_its_place(wire: Wire) -> None:
    for number in (0, 2, 3, 1):
        wire.send(voice(0.02), number)
    assert wire.read() == 4 * 320
    wire.send(voice(0.02), 1)
    assert wire.read() == 0


def test_lost_packets_shorten_nothing_and_fade(wire: Wire) -> None:
    lost = np.zeros(50, bool)
    lost[[10, 25, 26]] = True
    wire.say(voice(1.0), lost)
    heard = np.concatenate(wire.heard)
    assert len(heard) == 16_000
    undisturbed = np.abs(np.diff(voice(1.0, 16_000).astype(int))).max()
    assert np.abs(np.diff(heard.astype(int)))[200:].max() < 1.3 * undisturbed  # no click


def test_loss_and_jitter_are_counted(wire: Wire) -> None:
    lost = np.zeros(100, bool)
    lost[[10, 20, 21]] = True
    wire.say(voice(2.0), lost)  # at once, though each is of 20 ms
    stats = wire.receiver.stats
    assert (stats.packets_received, stats.packets_lost) == (97, 3)
    assert stats.jitter_ms is not None
    assert 15 < stats.jitter_ms < 22


def test_a_source_that_comes_back_is_heard(wire: Wire) -> None:
    for ssrc in (7, 8, 7):  # the caller, music, the caller
        heard = 0
        for _ in range(50):
            wire.send(voice(0.02), ssrc=ssrc)
            heard += wire.read()
        assert heard >= 16_000


def test_keys_that_are_a_source_of_their_own_are_each_told_once_and_cost_no_sound(wire: Wire) -> None:
    formats = {0: RtpFormat("pcmu", 8000), 101: RtpFormat(TELEPHONE_EVENT, 8000)}
    wire.receiver.renegotiated(Negotiated(wire.theirs.getsockname(), formats))
    heard = 0
    for nth in range(180):
        key, step = divmod(nth, 30)
        if step < 8:
            wire.press(key, step, 500 + nth)
        wire.send(voice(0.02))
        heard += wire.read()
    assert wire.keys == "012345"
    assert heard == 180 * 320


def test_keys_that_are_a_source_of_their_own_are_put_in_order(wire: Wire) -> None:
    formats = {0: RtpFormat("pcmu", 8000), 101: RtpFormat(TELEPHONE_EVENT, 8000)}
    wire.receiver.renegotiated(Negotiated(wire.theirs.getsockname(), formats))
    for number in (0, 1, 2, 3, 4, 6, 5, 5, 8, 7, 9):
        wire.press(number // 6, number % 6, number)
        wire.send(voice(0.02))
        wire.read()
    assert wire.keys == "01"
    wire.press(2, 0, 12)  # behind two that are lost
    wire.send(voice(0.02))
    wire.read()
    assert wire.keys == "01"
    assert wire.receiver.due(wire.now)
    wire.read(MAX_WAIT_S + 0.01)
    assert wire.keys == "012"
    assert wire.receiver.stats.packets_lost == 0


def test_a_packet_that_waits_while_its_codec_goes_is_nothing(wire: Wire) -> None:
    wire.send(voice(0.02), 0)
    wire.read()
    wire.send(voice(0.02), 2)
    wire.read()
    wire.receiver.renegotiated(Negotiated(wire.theirs.getsockname(), {8: RtpFormat("pcma", 8000)}))
    assert wire.read(0.1) == 0


def test_a_packet_of_an_unknown_type_is_nothing(wire: Wire) -> None:
    wire.theirs.sendto(struct.pack("!BBHII", 0x80, 77, 0, 0, 7) + bytes(160), wire.ours.getsockname())
    wire.theirs.sendto(b"\0" * 300, wire.ours.getsockname())
    assert wire.read() == 0
    assert wire.receiver.heard_at == 0.0


def test_what_the_caller_sends_to_keep_a_nat_open_is_a_sign_of_life(wire: Wire) -> None:
    keep_alive = struct.pack("!BBHII", 0x80, 19, 0, 0, 7)  # or comfort noise as it was once numbered
    for send in (
        lambda: wire.send(voice(0.02)),
        lambda: wire.theirs.sendto(keep_alive, wire.ours.getsockname()),
    ):
        wire.now += 10.0
        send()
        wire.read()
        assert wire.receiver.heard_at == wire.now


def pressed(keys: str, down_s: float, up_s: float, noise: float = 0.0, *, off: float = 0.0) -> Samples:
    """The tones of keys at 8 kHz, as a telephone sends them at -13 dBm0 each."""
    chance = np.random.default_rng(len(keys))
    parts: list[NDArray[np.float64]] = [np.zeros(800)]
    for key in keys:
        row, column = divmod(KEYS.index(key), 4)
        t = np.arange(int(8000 * down_s)) / 8000
        low, high = (np.sin(2 * np.pi * hz * (1 + off) * t) for hz in (LOW_HZ[row], HIGH_HZ[column]))
        parts += [5000 * (low + high), np.zeros(int(8000 * up_s))]
    sound = np.concatenate((*parts, np.zeros(800)))
    return np.asarray(np.clip(sound + chance.normal(0, noise + 1e-9, len(sound)), -32768, 32767), np.int16)


@pytest.mark.parametrize("off", [-0.015, 0.0, 0.015])
@pytest.mark.parametrize(("down_s", "up_s"), [(0.045, 0.045), (0.1, 0.1), (1.0, 0.05)])
def test_keys_in_the_sound_are_each_heard_once(wire: Wire, down_s: float, up_s: float, off: float) -> None:
    wire.say(pressed(KEYS + "1155##", down_s, up_s, noise=60, off=off))
    assert wire.keys == KEYS + "1155##"


def test_at_1_percent_loss_99_of_100_keys_in_the_sound_are_heard() -> None:
    chance = np.random.default_rng(5)
    right = 0
    for _ in range(20):
        wire = Wire()
        with contextlib.closing(wire.ours), contextlib.closing(wire.theirs):
            sound = pressed(KEYS, 0.08, 0.08)
            wire.say(sound, chance.random(len(sound) // 160) < 0.01)
            matching = difflib.SequenceMatcher(None, KEYS, wire.keys).get_matching_blocks()
            right += sum(block.size for block in matching)
            assert len(wire.keys) <= len(KEYS)
    assert right >= 0.99 * 20 * len(KEYS)


def test_who_sends_keys_as_events_is_not_listened_to_for_tones(wire: Wire) -> None:
    formats = {0: RtpFormat("pcmu", 8000), 101: RtpFormat("telephone-event", 8000)}
    wire.receiver.renegotiated(Negotiated(wire.theirs.getsockname(), formats))
    wire.say(pressed("123", 0.1, 0.1))
    assert wire.keys == ""


def recordings() -> list[Path]:
    return sorted(SPEECH.glob("*.wav"))


@pytest.mark.skipif(not recordings(), reason="no recordings of people here")
def test_voices_press_no_keys() -> None:
    seconds = 0.0
    for path in recordings():
        with wave.open(str(path)) as file:
            pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)[:: file.getnchannels()]
            rate_hz = file.getframerate()
        for speed in (0.8, 0.9, 1.0, 1.1, 1.2):  # other voices
            at = np.arange(0, len(pcm), speed * rate_hz / 16_000)
            sound = np.interp(at, np.arange(len(pcm)), pcm).astype(np.int16)
            assert ToneKeys().keys(sound) == "", path.name
            seconds += len(sound) / 16_000
    assert seconds > 600


def test_what_nobody_can_have_spoken_is_dropped(wire: Wire) -> None:
    heard = 0
    for _ in range(40):
        for _ in range(50):
            wire.send(voice(0.02))
        heard += wire.read()
    assert MAX_HELD_S * 16_000 < heard <= (MAX_HELD_S + wire.now + 0.1) * 16_000
    wire.now += 2 * MAX_HELD_S
    wire.read()
    wire.send(voice(0.02))
    assert wire.read() >= 320


@pytest.mark.parametrize(
    "clocks_hz", [[16_000], [8000], [16_000, 8000]], ids=["wrong", "right", "wrong at first"]
)
def test_g722_with_timestamps_at_its_sampling_rate_is_heard_without_gaps(
    wire: Wire, clocks_hz: list[int]
) -> None:
    """RFC 3551, 4.5.2, has its clock at half that rate. One packet in 50 is lost."""
    wire.receiver.renegotiated(Negotiated(wire.theirs.getsockname(), {9: RtpFormat("g722", 8000)}))
    stamp = heard = 0
    for nth in range(500):
        stamp += clocks_hz[nth // 50 % len(clocks_hz) if nth < 100 else -1] // 50
        if nth % 50 != 25:
            head = struct.pack("!BBHII", 0x80, 9, nth, stamp, 7)
            wire.theirs.sendto(head + bytes(160), wire.ours.getsockname())
        heard += wire.read()
    assert heard == pytest.approx(500 * 320, abs=2 * 320)
    assert wire.receiver.stats.packets_lost == 10
    assert (wire.receiver.stats.jitter_ms or 0) < 25


def test_packets_that_wait_to_be_believed_may_be_of_what_was_agreed_before(wire: Wire) -> None:
    """From another port, three in a row are the caller's; the codec changes after the second."""
    wire.receiver = Receiver(
        (wire.ours, wire.theirs), Negotiated(("127.0.0.1", 9), {0: RtpFormat("pcmu", 8000)}), "", 0.0
    )
    for _ in range(2):
        wire.send(voice(0.02))
        assert wire.read() == 0
    wire.receiver.renegotiated(Negotiated(("127.0.0.1", 9), {8: RtpFormat("pcma", 8000)}))
    head = struct.pack("!BBHII", 0x80, 8, wire.number, wire.number * 160, 7)
    wire.theirs.sendto(head + bytes(160), wire.ours.getsockname())
    assert wire.read() == 320


def test_of_a_flood_of_dtls_the_stack_sees_little(wire: Wire) -> None:
    seen: list[bytes] = []
    negotiated = Negotiated(
        wire.theirs.getsockname(), {0: RtpFormat("pcmu", 8000)}, encryption=Encryption.DTLS
    )
    wire.receiver = Receiver(
        (wire.ours, wire.theirs), negotiated, "", 0.0, lambda packet, _: seen.append(packet)
    )
    for nth in range(40):
        wire.theirs.sendto(bytes([22, nth]), wire.ours.getsockname())
    wire.send(voice(0.02))  # and nothing is heard before there is a key
    assert wire.read() == 0
    assert seen == [bytes([22, nth]) for nth in range(8)]


def test_keys_come_no_faster_than_they_can_be_pressed(wire: Wire) -> None:
    formats = {0: RtpFormat("pcmu", 8000), 101: RtpFormat(TELEPHONE_EVENT, 8000)}
    wire.receiver.renegotiated(Negotiated(wire.theirs.getsockname(), formats))
    for number in range(1000):
        head = struct.pack("!BBHII", 0x80, 0x80 | 101, number, number * 160, 7)
        wire.theirs.sendto(head + struct.pack("!BBH", number % 10, 0x80, 160), wire.ours.getsockname())
        wire.read(0.001)
    assert wire.keys.startswith("0123456789")
    assert len(wire.keys) <= KEYS_PER_S * (BURST_S + 1)
