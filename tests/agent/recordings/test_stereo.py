"""Both sides' sounds find their places on one clock. Times are stated; a sample is 1/16,000 s."""

from __future__ import annotations

import numpy as np

from agent.recordings.stereo import Stereo
from agent.recordings.tap import AGENT, CALLER, Samples, Side, Sound

RATE_HZ = 16_000
PACKET = 320


def packet(value: int, count: int = 1) -> Samples:
    return np.full(count * PACKET, value, np.int16)


def sound(side: Side, nth: int, at: float | None, samples: Samples) -> Sound:
    return Sound(side, nth * PACKET, samples, at)


def begins(channel: Samples) -> float:
    """When it isn't silent any more, in ms."""
    return float(np.flatnonzero(channel)[0]) * 1000 / RATE_HZ


def test_a_callers_sound_ends_when_it_comes_and_the_agents_begins() -> None:
    stereo = Stereo(start=10.0)
    stereo.put([sound(CALLER, 0, 10.1, packet(1)), sound(AGENT, 0, 10.1, packet(2))])
    both = stereo.read(10.2)
    assert both.shape == (3200, 2)
    assert (begins(both[:, CALLER]), begins(both[:, AGENT])) == (80.0, 100.0)


def test_jitter_tears_nothing() -> None:
    stereo = Stereo(start=0.0)
    late_ms = [0, 40, 25, 10, 0, 55, 40, 20, 0]
    stereo.put(sound(CALLER, n, 1 + n * 0.02 + late / 1000, packet(n + 1)) for n, late in enumerate(late_ms))
    heard = stereo.read(2.0)[:, CALLER]
    assert begins(heard) == 980.0
    assert heard[15_680 : 15_680 + 9 * PACKET].tolist() == np.repeat(np.arange(1, 10), PACKET).tolist()


def test_what_was_held_up_takes_the_place_of_the_silence_that_stood_for_it() -> None:
    stereo = Stereo(start=0.0)
    sounds = [sound(CALLER, n, 1 + n * 0.02, packet(1)) for n in range(10)]
    sounds += [sound(CALLER, n, 1 + n * 0.02, packet(0)) for n in range(10, 30)]
    sounds += [sound(CALLER, n, 1.58 + (n - 30) * 0.0001, packet(2)) for n in range(30, 50)]
    sounds += [sound(CALLER, n, 1.6 + (n - 50) * 0.02, packet(3)) for n in range(50, 60)]
    stereo.put(sounds)
    heard = stereo.read(3.0)[:, CALLER]
    for began, ended, value in ((0.98, 1.18, 1), (1.185, 1.58, 2), (1.585, 1.78, 3)):
        assert set(heard[round(began * RATE_HZ) : round(ended * RATE_HZ)].tolist()) == {value}


def test_a_clock_that_is_slower_is_followed() -> None:
    stereo = Stereo(start=0.0)
    for n in range(3000):  # a minute, 0.1% slower
        stereo.put([sound(CALLER, n, 1 + n * 0.02002, packet(1 + n % 2))])
    heard = stereo.read(70.0)[:, CALLER]
    last = np.flatnonzero(heard)[-1] / RATE_HZ
    assert abs(last - (1 + 2999 * 0.02002)) < 0.012


def test_a_clock_that_is_faster_too() -> None:
    stereo = Stereo(start=0.0)
    for n in range(3000):
        stereo.put([sound(AGENT, n, 1 + n * 0.01998, packet(1))])
    heard = stereo.read(70.0)[:, AGENT]
    last = np.flatnonzero(heard)[-1] / RATE_HZ
    assert abs(last - (1.02 + 2999 * 0.01998)) < 0.012


def test_what_the_wire_took_back_isnt_there() -> None:
    stereo = Stereo(start=0.0)
    stereo.put([sound(AGENT, n, 1 + n * 0.02, packet(1)) for n in range(5)])
    stereo.put([sound(AGENT, 3, None, packet(0, 2))])
    heard = stereo.read(2.0)[:, AGENT]
    assert np.flatnonzero(heard)[-1] == RATE_HZ + 3 * PACKET - 1


def test_what_was_read_isnt_changed_any_more() -> None:
    stereo = Stereo(start=0.0)
    stereo.read(1.0)
    stereo.put([sound(CALLER, 0, 1.01, packet(1))])
    assert stereo.read(2.0)[:, CALLER].sum() == PACKET // 2
