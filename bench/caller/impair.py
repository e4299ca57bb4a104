"""What line and room do to the caller's audio, from a seed: loss, jitter, noise, echo."""

from __future__ import annotations

import random
import wave
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from bench.caller.script import PACKET_SAMPLES, RATE_HZ, Line, Samples


def load_wav(path: Path, gain_db: float = 0.0) -> Samples:
    """A mono 16-bit WAV file as 8 kHz samples. Raises ValueError for any other kind."""
    with wave.open(str(path), "rb") as source:
        if source.getnchannels() != 1 or source.getsampwidth() != 2:
            raise ValueError(f"{path} must be mono with 16-bit samples")
        samples = np.frombuffer(source.readframes(source.getnframes()), dtype=np.int16)
        rate = source.getframerate()
    if rate != RATE_HZ:
        samples = soxr.resample(samples, rate, RATE_HZ)
    return clip(samples.astype(np.float32) * 10 ** (gain_db / 20))


def clip(samples: NDArray[np.float32]) -> Samples:
    return np.clip(np.round(samples), -32768, 32767).astype(np.int16)


def level_dbfs(samples: Samples) -> float:
    """RMS under full scale; -100 for digital silence."""
    if not len(samples):
        return -100.0
    rms = float(np.sqrt(np.mean(np.square(samples.astype(np.float32)))))
    return max(-100.0, 20 * float(np.log10(max(rms, 1e-9) / 32768)))


class Loss:
    """Which packets are lost. Independent losses, or a fixed pattern."""

    def __init__(self, line: Line) -> None:
        self._random = random.Random(line.seed)
        self._share = line.loss
        self._pattern = line.loss_pattern
        self._sent = 0

    def next(self) -> bool:
        place, self._sent = self._sent, self._sent + 1
        if self._pattern:
            return bool(self._pattern[place % len(self._pattern)])
        return self._random.random() < self._share


class Jitter:
    """When a packet that is due at a time really leaves: later by up to the bound, never out of order."""

    def __init__(self, line: Line) -> None:
        self._random = random.Random(line.seed + 1)
        self._bound_s = line.jitter_ms / 1000
        self._last = float("-inf")

    def leaves(self, due: float) -> float:
        self._last = max(self._last, due + self._random.uniform(0, self._bound_s))
        return self._last


class Room:
    """Mixes speech with the background and the agent's echo.

    The agent's packets are laid down by RTP timestamp from their first arrival (`hear`), and are
    taken up again `delay_ms` later.
    """

    def __init__(self, line: Line) -> None:
        self._noise_rms = 0.0 if line.noise_dbfs is None else 32768 * 10 ** (line.noise_dbfs / 20)
        self._random = np.random.default_rng(line.seed + 2)
        self._background = load_wav(line.noise_wav, line.noise_gain_db) if line.noise_wav else None
        self._position = 0
        self._echo = line.echo
        self._heard: dict[int, Samples] = {}

    def hear(self, at: float, samples: Samples) -> None:
        """`at`: seconds since any fixed point, the same one as for `mix`."""
        if self._echo is not None:
            slot = round(at * RATE_HZ / PACKET_SAMPLES)
            self._heard[slot] = samples
            self._heard.pop(slot - 200, None)

    def mix(self, at: float, speech: Samples | None) -> Samples:
        total = np.zeros(PACKET_SAMPLES, np.float32)
        if speech is not None:
            total += speech
        if self._noise_rms:
            total += self._random.normal(0.0, self._noise_rms, PACKET_SAMPLES).astype(np.float32)
        if self._background is not None:
            index = np.arange(self._position, self._position + PACKET_SAMPLES) % len(self._background)
            total += self._background[index]
            self._position += PACKET_SAMPLES
        if self._echo is not None:
            slot = round((at - self._echo.delay_ms / 1000) * RATE_HZ / PACKET_SAMPLES)
            heard = self._heard.get(slot)
            if heard is not None and len(heard) == PACKET_SAMPLES:
                total += heard * 10 ** (self._echo.gain_db / 20)
        return clip(total)
