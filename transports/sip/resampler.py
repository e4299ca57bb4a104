"""Streaming conversion between a wire's rate and the pipeline's 16 kHz.

A linear-phase FIR, because its delay is fixed and short. libsoxr's streams hold back up to 60 ms (LQ)
or 117 ms (MQ, HQ) of 8 kHz audio fed in 20 ms pieces, measured.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

SAMPLE_RATE_HZ = 16_000
_TAPS_PER_PHASE = 24
_PASSBAND = 0.92  # of the lower of the two Nyquist frequencies


class Resampler:
    """Converts s16le mono PCM by a ratio of small integers; delays it by `delay_ms`."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        if max(from_hz, to_hz) % min(from_hz, to_hz):
            raise ValueError(f"can't convert {from_hz} Hz to {to_hz} Hz: one must be a multiple of the other")
        self._up = max(1, to_hz // from_hz)
        self._down = max(1, from_hz // to_hz)
        self._taps = _lowpass(max(self._up, self._down))
        # Input samples still needed for the next output.
        self._rest = np.zeros(len(self._taps) // self._up - 1, np.float32)
        self.delay_ms = (len(self._taps) - 1) / 2 * 1000 / max(from_hz, to_hz)

    def process(self, pcm: np.ndarray) -> np.ndarray:
        """Take int16 samples and return as many as they make, int16."""
        if self._up == 1 and self._down == 1:
            return pcm
        signal = np.concatenate((self._rest, pcm.astype(np.float32)))
        if self._up > 1:
            keep = len(self._rest)
            self._rest = signal[-keep:]
            phases = [np.convolve(signal, self._taps[p :: self._up], "valid") for p in range(self._up)]
            out = np.stack(phases, axis=1).reshape(-1) * self._up
        else:
            span = len(self._taps)
            count = max(0, (len(signal) - span) // self._down + 1)
            windows = np.lib.stride_tricks.sliding_window_view(signal, span)[:: self._down][:count]
            out = windows @ self._taps
            self._rest = signal[count * self._down :]
        return np.clip(np.rint(out), -32768, 32767).astype(np.int16)


@lru_cache
def _lowpass(ratio: int) -> np.ndarray:
    if ratio == 1:
        return np.ones(1, np.float32)
    length = _TAPS_PER_PHASE * ratio
    t = np.arange(length) - (length - 1) / 2
    cutoff = _PASSBAND / ratio
    taps = np.sinc(t * cutoff) * np.kaiser(length, 7.0)
    return np.asarray(taps / taps.sum(), np.float32)
