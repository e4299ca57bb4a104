"""Keys as tones in the sound (ITU-T Q.23, Q.24), for peers that have no other way to send them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transports.playout import SAMPLE_RATE_HZ

_KEYS = ("123A", "456B", "789C", "*0#D")
_LOW_HZ, _HIGH_HZ = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
_TOLERANCE = 0.012  # by which a tone may be off and still fall into one of three filters; Q.24 says 1.5%
_BLOCK = SAMPLE_RATE_HZ * 26 // 1000
_HOP = _BLOCK // 2
# What tells keys from voices, whose sound is never two tones alone for so long.
_PURE = 0.80  # of the block's energy is in the two tones
_ALONE = 0.10  # of a tone's energy may be in the next strongest of its group
_TWIST_DB = (-10.0, 6.0)  # how much stronger the high tone may be; Q.24 says -8 to 4
_QUIETEST = 100.0  # RMS of s16: -47 dBm0
_DOWN_HOPS = 2  # 39 ms; Q.24: a key of 40 ms must be heard
_UP_HOPS = 3  # 39 ms; Q.24: keys are 40 ms apart

Samples = NDArray[np.int16]


def _filters() -> NDArray[np.float32]:
    """Two columns, cosine and sine, for each of the eight tones, each in three pitches."""
    pitches = [hz * (1 + off) for hz in _LOW_HZ + _HIGH_HZ for off in (-_TOLERANCE, 0.0, _TOLERANCE)]
    turns = 2 * np.pi * np.outer(np.arange(_BLOCK) / SAMPLE_RATE_HZ, pitches)
    return np.stack((np.cos(turns), np.sin(turns)), axis=2).reshape(_BLOCK, -1).astype(np.float32)


_FILTERS = _filters()


class ToneKeys:
    """Tells each key once, when it has sounded for 40 to 52 ms."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.int16)
        self._sounding = ""
        self._down = 0  # hops for which the same key has sounded
        self._up = 0  # hops since the last told key ceased
        self._told = ""

    def keys(self, samples: Samples) -> str:
        """The keys that begin in the next `samples`, 16 kHz mono: what came, without what was made up."""
        signal = np.concatenate((self._rest, samples))
        told = ""
        start = 0
        while start + _BLOCK <= len(signal):
            told += self._hop(_key(signal[start : start + _BLOCK]))
            start += _HOP
        self._rest = signal[start:]
        return told

    def _hop(self, key: str) -> str:
        self._down = self._down + 1 if key and key == self._sounding else bool(key)
        self._sounding = key
        if key != self._told:
            self._up += 1
            if self._up >= _UP_HOPS:
                self._told = ""
        if self._down >= _DOWN_HOPS and key != self._told:
            self._told, self._up = key, 0
            return key
        if key and key == self._told:
            self._up = 0
        return ""


def _key(block: Samples) -> str:
    """The key whose tones sound in a block; empty if none."""
    signal = block.astype(np.float32)
    energy = float(signal @ signal)
    if energy < _QUIETEST**2 * _BLOCK:
        return ""
    parts = (signal @ _FILTERS) ** 2
    tones = parts.reshape(8, 3, 2).sum(axis=2).max(axis=1) * (2 / _BLOCK)
    low, high = tones[:4], tones[4:]
    row, column = int(low.argmax()), int(high.argmax())
    if low[row] + high[column] < _PURE * energy:
        return ""
    if np.partition(low, 2)[2] > _ALONE * low[row] or np.partition(high, 2)[2] > _ALONE * high[column]:
        return ""
    twist_db = 10 * np.log10(high[column] / low[row])
    return _KEYS[row][column] if _TWIST_DB[0] <= twist_db <= _TWIST_DB[1] else ""
