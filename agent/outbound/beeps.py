"""Beeps of answering machines in the sound: one or two steady tones alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transports.playout import SAMPLE_RATE_HZ

LOWEST_HZ, HIGHEST_HZ = 380, 2150
SHORTEST_S = 0.1  # of a beep; no vowel keeps its pitch so exactly for so long
_WINDOW = SAMPLE_RATE_HZ * 40 // 1000
_HOP = SAMPLE_RATE_HZ * 20 // 1000
_HOP_S = _HOP / SAMPLE_RATE_HZ
_FFT = 2048  # bins of 7.8 Hz
_LOBE = 9  # bins to either side of a peak in which a steady tone's energy is, with this window
_PURE = 0.92  # of the energy is in the tone or the two
_STEADY_HZ = 9.0  # by which a tone may wander from one hop to the next, and over all of them
_QUIETEST = 150.0  # RMS of s16: -47 dBFS
_SECOND = 0.05  # of the energy is in the second tone, if there is one

Samples = NDArray[np.int16]
Tones = tuple[float, ...]

_BINS = slice(LOWEST_HZ * _FFT // SAMPLE_RATE_HZ, HIGHEST_HZ * _FFT // SAMPLE_RATE_HZ)


class BeepDetector:
    """Tells each beep once, at its end, by its tones in Hz."""

    def __init__(self) -> None:
        self._window = np.hanning(_WINDOW).astype(np.float32)
        self._rest = np.zeros(0, np.int16)
        self._tones: Tones = ()
        self._hops = 0  # for which they have sounded

    @property
    def sounding(self) -> bool:
        """Whether a beep sounds that is long enough to be one."""
        return self._hops * _HOP_S >= SHORTEST_S

    def feed(self, samples: Samples) -> Tones:
        """The beep that ended within the next `samples`, mono at 16 kHz; empty if none did."""
        signal = np.concatenate((self._rest, samples))
        ended: Tones = ()
        start = 0
        while start + _WINDOW <= len(signal):
            ended = self._hop(self._tones_in(signal[start : start + _WINDOW])) or ended
            start += _HOP
        self._rest = signal[start:]
        return ended

    def _hop(self, tones: Tones) -> Tones:
        if tones and _same(tones, self._tones):
            self._hops += 1
            return ()
        ended = self._tones if self.sounding else ()
        self._tones, self._hops = tones, bool(tones)
        return ended

    def _tones_in(self, block: Samples) -> Tones:
        """The one or two tones that are all that sounds; none otherwise."""
        signal = block.astype(np.float32) * self._window
        if float(np.sqrt(np.mean(block.astype(np.float32) ** 2))) < _QUIETEST:
            return ()
        power = np.abs(np.fft.rfft(signal, _FFT)) ** 2
        total = float(power[8:].sum())  # without the line's hum
        found: list[float] = []
        held = 0.0
        for _ in range(2):
            peak = int(power[_BINS].argmax()) + _BINS.start
            lobe = slice(max(0, peak - _LOBE), peak + _LOBE + 1)
            share = float(power[lobe].sum()) / total if total else 0.0
            if found and share < _SECOND:
                break
            centre = float((power[lobe] * np.arange(lobe.start, lobe.start + len(power[lobe]))).sum())
            found.append(centre / float(power[lobe].sum() or 1) * SAMPLE_RATE_HZ / _FFT)
            held += share
            power[lobe] = 0
        return tuple(sorted(found)) if held >= _PURE else ()


def _same(one: Tones, other: Tones) -> bool:
    return len(one) == len(other) and all(abs(a - b) <= _STEADY_HZ for a, b in zip(one, other, strict=True))
