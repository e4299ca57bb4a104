"""The agent's own voice, coming back from a loudspeaker or a line: taken out, and told from the caller's.

WebRTC's echo canceller does the work: over a telephone band it takes an echo at -5 to -15 dB with 50 to
400 ms of delay below what Silero notices, from its first second on, and leaves a voice over it to be
noticed within 100 ms (median), for 0.7% of a core while the agent speaks. Where it is lost, because a
jitter buffer changed the delay under it, what it lets through still correlates with what was played:
`probability` says so until it has found its way again. On a line that returns nothing, as most do, it is
left out: it would take some of the caller's voice over the agent's away.
Before a line is known to return nothing or something, it would take most of a voice over the agent's first
second: until then, what doesn't match what was played is left as it came.
(`bench/endpointing/echo.py` measures all of it.)
"""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pywebrtc_audio import EchoCanceller

RATE_HZ = 16_000
TAIL_S = 0.6  # echoes come this long after the agent has fallen silent
# The caller's sound is set against what was sent this long before: less than any echo's way, and enough for
# a caller's packets that come in bunches.
_BEHIND = RATE_HZ * 40 // 1000
_APART = RATE_HZ * 40 // 1000  # further behind than that for a second: packets of the caller's were lost
_WATCHED = 50  # frames, a second
_CAUGHT_UP = 50  # frames, of which an echo may be one: a second
_AUDIBLE = 60.0  # RMS below which nothing is left that could pass for a voice
_LOUD = 500.0  # RMS of the agent's from which an echo would be audible
_SILENT_S = 0.2  # of silence where an echo would be, until there is none on this line
_TEST_EVERY_S = 0.04
_ECHO_TESTS = 4  # in a row, until a line that returned nothing is taken to do so after all
_STRANGE_TESTS = 2  # in a row, until a sound on a line of which nothing is known is a voice of the caller's
_WINDOW = 2560  # 320 ms at 8 kHz
_LONGEST_DELAY = 4000  # 500 ms at 8 kHz
_BLOCK = 1600  # 200 ms; four of them are longer than any echo's way, buffers included
# A voice of the caller's own correlates by 0.15 with what was played (98% below 0.30), an echo by 0.49
# (90% above 0.34).
_EVEN, _STEEP = 0.32, 0.02

Samples = NDArray[np.int16]


class Played(Protocol):
    """What the wire was given, at its place in the wire's time (`transports.sent.Sent`)."""

    @property
    def end(self) -> int: ...
    def read(self, place: int, samples: int) -> Samples: ...


class _Latest:
    """So many of the latest samples, at 8 kHz."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._room = np.zeros(4 * length, np.float32)  # filled from the left; moved there when full
        self._end = length

    @property
    def samples(self) -> NDArray[np.float32]:
        return self._room[self._end - self._length : self._end]

    def add(self, new: NDArray[np.float32]) -> None:
        new = new[-self._length :]
        if self._end + len(new) > len(self._room):
            self._room[: self._length] = self.samples
            self._end = self._length
        self._room[self._end : self._end + len(new)] = new
        self._end += len(new)

    def clear(self) -> None:
        self.samples[:] = 0


class EchoGuard:
    """One call's. Costs nothing but memory while it isn't fed."""

    def __init__(self) -> None:
        self._canceller = EchoCanceller(RATE_HZ, 1)
        # What the canceller, which costs more than all else, is given once something is heard on the line.
        self._uncancelled: deque[tuple[Samples, Samples]] = deque(maxlen=_CAUGHT_UP)
        self._came = 0  # samples from the caller, those that weren't processed included
        self._shift: int | None = None  # from a place there to the place in the wire's time
        self._behind: deque[int] = deque(maxlen=_WATCHED)
        self._end = 0
        self._heard = _Latest(_WINDOW)  # cleaned
        self._raw = _Latest(_WINDOW)  # as it came, while it may return what is played
        self._played = _Latest(_WINDOW + _LONGEST_DELAY)
        self._quiet_at = -math.inf
        self._test_at = 0.0
        self._silent_s = 0.0
        self._returns = False
        self._matches = 0
        self._match = 0.0
        self._strange = 0  # tests that found a sound which isn't what was played, less those that found it
        self._echo_tests = 0  # and those that found what was, before the line was known

    @property
    def probability(self) -> float:
        """That what is heard is the agent; 0 on a line that returns nothing, where a match is chance."""
        return 0.0 if self.returns_nothing else self._match

    @property
    def returns_nothing(self) -> bool:
        """Whether this line has been seen to return nothing. The canceller then only dulls the caller."""
        return self._silent_s >= _SILENT_S and not self._returns

    def tail(self, now: float) -> bool:
        """Whether the agent's voice may still be coming back."""
        return now < self._quiet_at

    def skip(self, pcm: bytes) -> None:
        """`pcm` came while nothing could echo."""
        self._came += len(pcm) // 2

    def process(self, pcm: bytes, played: Played, now: float) -> bytes:
        """`pcm` from the caller (s16le, 16 kHz, whole 10 ms) without the agent's voice; the same length.

        Call it for all that comes while the agent speaks and for `tail` after it, and `skip` for the rest.
        """
        if not self.tail(now):
            self._start()
        near = np.frombuffer(pcm, np.int16)
        far = self._far(played, len(near))
        if np.count_nonzero(far) or self._quiet_at == -math.inf:
            self._quiet_at = now + TAIL_S
        # Over a line that is silent the canceller makes a faint sound of its own while it learns, and that
        # passes for a voice.
        quiet = _rms(near.astype(np.float32)) < _AUDIBLE
        self._uncancelled.append((near, far))
        clean = near
        while self._uncancelled and not quiet:
            clean = self._canceller.process(*self._uncancelled.popleft())
        self._played.add(_halve(far))
        tests = now >= self._test_at
        raw = _halve(near)
        if not self.returns_nothing:
            self._raw.add(raw)
            if tests:
                self._tell_apart()
        strange = self._strange >= _STRANGE_TESTS and self._echo_tests < _ECHO_TESTS
        kept = near if self.returns_nothing or quiet or strange else clean
        self._heard.add(raw if kept is near else _halve(kept))
        if tests:
            self._test_at = now + _TEST_EVERY_S
            self._match = self._test(self._heard.samples)
            # A voice matches what was played for a moment now and then; an echo goes on matching it.
            self._matches = self._matches + 1 if self._match >= 0.5 else 0
            if self.returns_nothing and self._matches >= _ECHO_TESTS:
                self._returns = True
        if not self.returns_nothing and self._nothing_returns():
            self._silent_s += len(near) / RATE_HZ
        return bytes(kept.tobytes())

    def _tell_apart(self) -> None:
        """Until an echo is known: whether what came is the agent, or a voice of the caller's own."""
        if self._echo_tests >= _ECHO_TESTS:
            return
        if _rms(self._raw.samples[-_WINDOW // 2 :]) < _AUDIBLE:
            self._strange = 0
        elif self._test(self._raw.samples) >= 0.5:
            self._strange = max(0, self._strange - _STRANGE_TESTS)
            self._echo_tests += 1
        else:
            self._strange = min(2 * _STRANGE_TESTS, self._strange + 1)
            self._echo_tests = 0

    def _nothing_returns(self) -> bool:
        """Whether the caller's side is silent although the agent spoke at every delay an echo may have."""
        if _rms(self._raw.samples) >= _AUDIBLE:
            return False
        blocks = self._played.samples[-4 * _BLOCK :].reshape(4, _BLOCK)
        return bool((np.einsum("ij,ij->i", blocks, blocks) > _LOUD**2 * _BLOCK).all())

    def _start(self) -> None:
        """The agent begins: what was played before is silence."""
        self._heard.clear()
        self._raw.clear()
        self._played.clear()
        self._match = 0.0
        self._strange = 0
        self._quiet_at = -math.inf

    def _far(self, played: Played, samples: int) -> Samples:
        """What was sent while the next `samples` of the caller's were recorded, or a fixed time before.

        Both directions are counted in samples, whatever a late machine or a bunch of packets does to the
        clock: a canceller needs a delay that stays the same.
        """
        self._came += samples
        if self._end != (end := played.end):
            self._end = end
            if self._shift is None:
                self._shift = end - _BEHIND - self._came
            self._behind.append(end - self._shift - self._came)
            least = min(self._behind)
            if least < 0 or (least > _BEHIND + _APART and len(self._behind) == _WATCHED):
                self._shift += least - _BEHIND
                self._behind.clear()
        if self._shift is None:
            return np.zeros(samples, np.int16)
        return played.read(self._came + self._shift - samples, samples)

    def _test(self, line: NDArray[np.float32]) -> float:
        """How probable it is that what came, or what the canceller left of it, is what was played."""
        if _rms(line[-_WINDOW // 2 :]) < _AUDIBLE:
            return 0.0
        heard = _brightened(line)
        energy = float(heard @ heard)
        played = _brightened(self._played.samples)
        size = 8192
        products = np.fft.irfft(np.fft.rfft(played, size) * np.conj(np.fft.rfft(heard, size)), size)
        lags = _LONGEST_DELAY + 1
        sums = np.concatenate(([0.0], np.cumsum(played.astype(np.float64) ** 2)))
        energies = sums[_WINDOW : _WINDOW + lags] - sums[:lags]
        match = np.abs(products[:lags]) / np.sqrt(energy * np.maximum(energies, 1.0) + 1.0)
        return 1 / (1 + math.exp(-(float(match.max()) - _EVEN) / _STEEP))


def _rms(samples: NDArray[np.float32]) -> float:
    return math.sqrt(float(np.dot(samples, samples)) / len(samples))


def _halve(samples: Samples) -> NDArray[np.float32]:
    """At 8 kHz; what folds over is faint in a telephone band."""
    exact = samples.astype(np.float32)
    return np.asarray((exact[::2] + exact[1::2]) * np.float32(0.5))


def _brightened(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """With the tilt of a voice's spectrum taken out, so that pitch alone doesn't correlate."""
    bright = samples.copy()
    bright[1:] -= np.float32(0.9) * samples[:-1]
    return bright
