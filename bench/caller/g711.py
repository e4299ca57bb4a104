"""G.711: PCMU and PCMA, by table."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Law = Literal["pcmu", "pcma"]
PAYLOAD_TYPES: dict[Law, int] = {"pcmu": 0, "pcma": 8}


def _mu_law() -> NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _a_law() -> NDArray[np.int16]:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent = (code >> 4) & 7
    mantissa = (code & 0x0F) << 4
    magnitude = np.where(exponent == 0, mantissa + 8, mantissa + 0x108 << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _nearest(decode: NDArray[np.int16]) -> NDArray[np.uint8]:
    """For every 16-bit sample, the code whose value is nearest."""
    order = np.lexsort((-np.arange(256), decode))  # of the two zeros, 0xFF: the one that lines carry
    values = decode[order].astype(np.int32)
    samples = np.arange(-32768, 32768)
    above = np.clip(np.searchsorted(values, samples), 1, 255)
    below = above - 1
    pick = np.where(samples - values[below] <= values[above] - samples, below, above)
    return order[pick].astype(np.uint8)


_DECODE: dict[Law, NDArray[np.int16]] = {"pcmu": _mu_law(), "pcma": _a_law()}
_ENCODE: dict[Law, NDArray[np.uint8]] = {law: _nearest(table) for law, table in _DECODE.items()}


def encode(samples: NDArray[np.int16], law: Law) -> bytes:
    return _ENCODE[law][samples.astype(np.int32) + 32768].tobytes()


def decode(payload: bytes, law: Law) -> NDArray[np.int16]:
    return _DECODE[law][np.frombuffer(payload, dtype=np.uint8)]
