"""The FIR between a wire's rate and 16 kHz."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from transports.resampler import Resampler

RATES = [(8000, 16000), (16000, 8000), (48000, 16000), (16000, 48000), (48000, 8000)]


def tone(rate_hz: int, frequency_hz: float, seconds: float = 0.5) -> NDArray[np.int16]:
    return np.asarray(
        10000 * np.sin(2 * np.pi * frequency_hz * np.arange(int(rate_hz * seconds)) / rate_hz), np.int16
    )


def in_pieces(resampler: Resampler, pcm: NDArray[np.int16], sizes: list[int]) -> NDArray[np.int16]:
    out, start, nth = [], 0, 0
    while start < len(pcm):
        size = sizes[nth % len(sizes)]
        out.append(resampler.process(pcm[start : start + size]))
        start, nth = start + size, nth + 1
    return np.concatenate(out)


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_a_tone_keeps_its_shape_and_comes_late_by_the_stated_delay(from_hz: int, to_hz: int) -> None:
    resampler = Resampler(from_hz, to_hz)
    out = resampler.process(tone(from_hz, 1000)).astype(float)
    t = np.arange(len(out)) / to_hz - resampler.delay_ms / 1000
    expected = 10000 * np.sin(2 * np.pi * 1000 * t)
    settled = slice(to_hz // 100, None)
    if from_hz <= to_hz:
        assert np.abs(out - expected)[settled].max() < 100
    else:  # the first window ends with the first sample, so the phase is off by less than one output sample
        assert np.abs(np.abs(out[settled]).max() - 10000) < 300


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_pieces_make_the_same_as_the_whole(from_hz: int, to_hz: int) -> None:
    speech = np.random.default_rng(1).integers(-8000, 8000, from_hz // 2).astype(np.int16)
    whole = Resampler(from_hz, to_hz).process(speech)
    pieces = in_pieces(Resampler(from_hz, to_hz), speech, [from_hz // 50, 7, 1, from_hz // 100])
    assert np.array_equal(whole, pieces)


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_it_is_late_by_less_than_two_milliseconds(from_hz: int, to_hz: int) -> None:
    assert Resampler(from_hz, to_hz).delay_ms < 2


@pytest.mark.parametrize(
    ("from_hz", "to_hz", "hz"), [(16000, 8000, 3000), (48000, 8000, 3000), (48000, 16000, 6300)]
)
def test_speech_passes(from_hz: int, to_hz: int, hz: int) -> None:
    out = Resampler(from_hz, to_hz).process(tone(from_hz, hz))
    assert np.abs(out[100:].astype(int)).max() > 9500


@pytest.mark.parametrize(
    ("from_hz", "to_hz", "hz"), [(16000, 8000, 6000), (48000, 8000, 6000), (48000, 16000, 9000)]
)
def test_what_the_lower_rate_can_not_carry_is_gone(from_hz: int, to_hz: int, hz: int) -> None:
    out = Resampler(from_hz, to_hz).process(tone(from_hz, hz))
    assert np.abs(out[100:].astype(int)).max() < 100


def test_loud_speech_is_clipped_not_wrapped() -> None:
    square = np.tile(np.repeat(np.array([32767, -32768], np.int16), 8), 100)
    out = Resampler(8000, 16000).process(square).astype(int)
    assert np.abs(np.diff(out)).max() < 50000


def test_rates_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="one must be a multiple"):
        Resampler(44100, 16000)


def test_equal_rates_pass_through() -> None:
    samples = np.arange(100, dtype=np.int16)
    assert Resampler(16000, 16000).process(samples) is samples
