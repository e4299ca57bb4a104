"""Streaming conversion between a wire's rate and the pipeline's 16 kHz.

A linear-phase FIR, because its delay is fixed and short: 1.5 ms at most. libsoxr's streams hold back up
to 60 ms (LQ) or 117 ms (MQ, HQ) of 8 kHz audio fed in 20 ms pieces, measured.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_TAPS_PER_PHASE = 24
_PASSBAND = 0.92  # of the lower of the two Nyquist frequencies
_LOWEST, _HIGHEST = np.float32(-32768), np.float32(32767)


class Resampler:
    """Converts s16le mono PCM between two rates, one a multiple of the other; delays it by `delay_ms`.

    Each output depends on `span` samples of the input.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        if max(from_hz, to_hz) % min(from_hz, to_hz):
            raise ValueError(f"can't convert {from_hz} Hz to {to_hz} Hz: one must be a multiple of the other")
        up, self._down = max(1, to_hz // from_hz), max(1, from_hz // to_hz)
        self._passes = up == 1 == self._down
        # One column of taps for each output sample that an input sample makes.
        self._taps = _filter(up, self._down)
        self.span = len(self._taps)
        self._rest = np.zeros(self.span - 1, np.float32)  # input still needed for the next output
        self.delay_ms = 0.0 if self._passes else (self.span * up - 1) / 2 * 1000 / max(from_hz, to_hz)

    def process(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take samples and return all that they make."""
        if self._passes:
            return pcm
        signal = np.concatenate((self._rest, pcm), dtype=np.float32)
        count = max(0, (len(signal) - self.span) // self._down + 1)
        self._rest = signal[count * self._down :]
        step = signal.itemsize
        windows: NDArray[np.float32] = np.ndarray(
            (count, self.span), np.float32, signal, 0, (self._down * step, step)
        )
        out = windows @ self._taps
        np.rint(out, out=out)
        np.minimum(out, _HIGHEST, out=out)  # np.clip takes three times as long for so few samples
        np.maximum(out, _LOWEST, out=out)
        return out.astype(np.int16).ravel()


@lru_cache
def _filter(up: int, down: int) -> NDArray[np.float32]:
    ratio = max(up, down)
    length = _TAPS_PER_PHASE * ratio
    t = np.arange(length) - (length - 1) / 2
    taps = np.sinc(t * _PASSBAND / ratio) * np.kaiser(length, 7.0)
    taps *= up / taps.sum()
    return np.ascontiguousarray(taps.reshape(-1, up)[::-1], np.float32)
