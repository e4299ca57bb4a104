"""`tone`: a tone at a known level, as exchanges have it, then a sweep."""

from __future__ import annotations

from functools import cache

import numpy as np

from agent.test_numbers.line_test import LineTest
from transports.playout import FADE_MS, SAMPLE_RATE_HZ

TONE_HZ = 1004.0  # and not 1,000, which would fall on the same few codes of G.711 again and again
SWEEP_HZ = (200.0, 7000.0)
TONE_S = SWEEP_S = 10.0
GAP_S = 0.5
LEVEL_DBM0 = -10.0
# ITU-T G.711: a sine that just reaches the codec's limit is 3.17 dBm0, by the mu-law.
PEAK = 32767 * 10 ** ((LEVEL_DBM0 - 3.17) / 20)


class Tone(LineTest):
    """As long as the call stands."""

    _began = False

    async def said(self) -> None:
        if not self._began:
            self._began = True
            self._again()

    async def stop_listening(self) -> None:
        await super().stop_listening()
        self._call.playout.interrupt()

    def _again(self) -> None:
        if not (self._over or self._call.playout.closed):  # there each mark is reached at once
            self._call.playout.write(cycle())
            self._call.playout.mark(self._again)


@cache
def cycle() -> bytes:
    """Tone, gap, sweep, gap: s16le mono at 16 kHz. The sweep takes each octave the same time."""
    at = np.arange(int(TONE_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    low, high = SWEEP_HZ
    octaves = np.log(high / low)
    sweep = 2 * np.pi * low * SWEEP_S / octaves * (np.exp(at / SWEEP_S * octaves) - 1)
    gap = bytes(2 * int(GAP_S * SAMPLE_RATE_HZ))
    return b"".join(_faded(phase) + gap for phase in (2 * np.pi * TONE_HZ * at, sweep))


def _faded(phase: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bytes:
    samples = PEAK * np.sin(phase)
    ramp = np.linspace(0.0, 1.0, SAMPLE_RATE_HZ * FADE_MS // 1000)
    samples[: len(ramp)] *= ramp
    samples[-len(ramp) :] *= ramp[::-1]
    return samples.astype(np.int16).tobytes()
