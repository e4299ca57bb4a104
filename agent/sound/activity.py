"""When the caller speaks, and when they pause: read from Silero's probabilities.

Thresholds were tuned on telephone audio at -4 to -38 dBFS and 10 to 60 dB above the noise
(`bench/endpointing/onset.py`).
"""

from __future__ import annotations

import math
import warnings
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore", DeprecationWarning
    )  # Python 3.13 has it from audioop-lts, as Pipecat does
    import audioop

CHUNK_S = 0.032
VOICED = 0.5  # one chunk of this is speech
LIKELY = 0.3  # two in a row are, too
FAINT = 0.15  # where a voice that is heard now may have begun
FALLING = 0.8  # of what it was: a voice may be ceasing
PAUSED_S = 0.096  # a pause is more than the gap inside "stop it"
HANGOVER_S = 0.050  # Silero, and the way through the line, stay this long behind the last sound (median)


class Change(Enum):
    STARTED = auto()
    PAUSING = auto()  # the first trace of a pause; often taken back
    PAUSED = auto()
    RESUMED = auto()


@dataclass(frozen=True)
class VoiceEvent:
    change: Change
    at: float  # when the change took place, as far as can be told: seconds, on the clock of the chunks


class SpeechActivity:
    """One caller's voice. Feed it each chunk's probability with the time at which the chunk ended."""

    def __init__(self) -> None:
        self._onset: float | None = None  # of the turn's first sound; None while nobody has spoken
        self._rise: float | None = None  # where the latest run of faint chunks began
        self._before = 0.0
        self._high = 0.0  # how sure the model has been of this voice
        self._voiced_until = 0.0
        self._now = 0.0
        self._pausing = False
        self._paused = False

    @property
    def onset(self) -> float | None:
        """When the turn began; None before it."""
        return self._onset

    @property
    def speaking(self) -> bool:
        """Whether a voice is heard now, or a pause is no more than a trace."""
        return self._onset is not None and not self._paused

    @property
    def speech_end(self) -> float:
        """When the latest sound ended; the latest chunk's end while there is one."""
        return self._voiced_until - HANGOVER_S if self._pausing else self._now

    @property
    def silence_s(self) -> float:
        """How long the caller has been silent within the turn; 0 before it and while they speak."""
        return self._now - self.speech_end if self._onset is not None else 0.0

    def reset(self) -> None:
        """The turn is over: the next voice starts another."""
        self._onset = None
        self._rise = None
        self._pausing = self._paused = False

    def process(self, probability: float, at: float) -> VoiceEvent | None:
        """What this chunk, which ended at `at`, changes."""
        self._now = at
        if probability < FAINT:
            self._rise = None
        elif self._rise is None:
            self._rise = at - CHUNK_S
        before, self._before = self._before, probability
        if self._onset is None:
            voiced = probability >= VOICED or min(probability, before) >= LIKELY
            return self._start(probability, at) if voiced else None
        if self._pausing:
            # A resumed voice is as sure as it was, or holds.
            voiced = probability >= FALLING * self._high or min(probability, before) >= VOICED
            return self._go_on(probability, at) if voiced else self._fall_silent(at)
        self._high = max(probability, 0.95 * self._high)
        if probability >= FALLING * self._high:
            self._voiced_until = at
            return None
        self._pausing = True
        return VoiceEvent(Change.PAUSING, self.speech_end)

    def _start(self, probability: float, at: float) -> VoiceEvent:
        self._high = probability
        self._onset = self._rise if self._rise is not None else at - CHUNK_S
        self._voiced_until = at
        return VoiceEvent(Change.STARTED, self._onset)

    def _go_on(self, probability: float, at: float) -> VoiceEvent:
        self._high = probability
        self._pausing = self._paused = False
        self._voiced_until = at
        return VoiceEvent(Change.RESUMED, self._rise if self._rise is not None else at - CHUNK_S)

    def _fall_silent(self, at: float) -> VoiceEvent | None:
        if self._paused or at - self._voiced_until < PAUSED_S - 1e-6:
            return None
        self._paused = True
        return VoiceEvent(Change.PAUSED, self.speech_end)


class Leveler:
    """Raises a quiet caller before Silero, and never a loud one; causal, without delay.

    Silero notices a caller at -38 dBFS 50 ms late and sometimes not at all. The gain follows the peaks,
    and never lifts the noise beyond what a silent line may have.
    """

    _TARGET_PEAK = 10 ** (-12 / 20) * 32768
    _NOISE_CEILING = 10 ** (-52 / 20) * 32768
    _MOST_GAIN = 10 ** (26 / 20)
    _FIRST_PEAK = 10 ** (-24 / 20) * 32768  # what a caller is expected to be until heard
    _RELEASE_S = 4.0
    _HUSHED = 10 ** (-20 / 20)
    _SILENT = 10 ** (-30 / 20)

    def __init__(self, sample_rate_hz: int = 16_000) -> None:
        self._rate = sample_rate_hz
        self._peak = self._FIRST_PEAK
        self._noise = self._NOISE_CEILING  # until the line has been heard
        self._gain = 1.0
        self.background = False  # whether the latest frame was no more than the line's own noise
        self.hushed = 0  # how many of the latest frames were far below the voice
        self.silent = 0  # how many were so far below it that they can't be speech
        self.tells = False  # whether the line's own noise is as faint as that

    def process(self, pcm: bytes, *, foreign: bool = False) -> bytes:
        """`pcm`, s16le mono, at an even level; the same length. What is `foreign` isn't turned up."""
        if not pcm:
            return pcm
        if foreign:
            self.background = True
            self.hushed += 1
            self.silent += 1
            return pcm
        samples = np.frombuffer(pcm, np.int16)
        seconds = len(samples) / self._rate
        peak = float(audioop.max(pcm, 2))  # NumPy's takes ten times as long for so few samples
        leveled = samples.astype(np.float32)
        rms = math.sqrt(float(np.dot(leveled, leveled)) / len(leveled))
        # The floor falls at once and rises by 3 dB a second, so that speech hardly moves it.
        self._noise = max(1.0, min(rms, self._noise * 10 ** (3 * seconds / 20)))
        self.background = peak <= 6 * self._noise
        self.hushed = self.hushed + 1 if peak < self._HUSHED * self._peak else 0
        if peak > 4 * self._noise:
            self._peak = max(peak, self._peak * math.exp(-seconds / self._RELEASE_S))
        self.silent = self.silent + 1 if peak < self._SILENT * self._peak else 0
        self.tells = 6 * self._noise <= self._SILENT * self._peak
        gain = min(self._TARGET_PEAK / self._peak, self._NOISE_CEILING / self._noise, self._MOST_GAIN)
        gain = max(1.0, gain)
        before = self._gain
        if not self.background or abs(gain - before) >= 0.01 * gain:
            self._gain = gain
        if not peak or before == self._gain == 1.0:
            return pcm
        if before == self._gain or peak * before > 32000:  # a sudden loud sound: the old gain would clip it
            leveled *= np.float32(self._gain)
        else:
            leveled *= _rise(len(leveled)) * np.float32(gain - before) + np.float32(before)
        if peak * max(before, gain) > 32767:
            np.clip(leveled, -32768, 32767, out=leveled)
        return leveled.astype(np.int16).tobytes()


class CallerLevel:
    """How loud the caller is, as their turns have been; and so, what else in the room isn't them.

    A second voice in the room or a television would be turned up by the leveler and answered. Whoever speaks
    into the telephone is far louder. Who for long is only a little too faint may be the caller after all,
    whose telephone lies on the table by now.
    """

    _BELOW = 10 ** (-18 / 20)
    _FAR_BELOW = 10 ** (-27 / 20)
    _LATEST, _LOUD = 5, 3  # of so many frames so many must be loud: a far voice has single peaks that are
    _PATIENCE = 500  # frames: 10 s
    _SHARE = 0.3  # of what is known, that a turn changes
    _LONGEST = 3000  # frames; a minute

    def __init__(self) -> None:
        self._turns: float | None = None  # how loud turns were: the peak of a loud frame, in samples
        self._peaks: deque[float] = deque(maxlen=self._LONGEST)  # of this turn's frames
        self._loud: deque[bool] = deque(maxlen=self._LATEST)
        self._faint = 0  # frames since the last turn that were somewhat below the caller

    def is_far_below(self, pcm: bytes) -> bool:
        """Whether what is heard, up to this frame, s16le mono, is far too faint for the caller."""
        peak = float(audioop.max(pcm, 2))
        self._peaks.append(peak)
        if self._turns is None:
            return False
        far = peak < self._FAR_BELOW * self._turns
        below = peak < self._BELOW * self._turns
        self._faint += below and not far
        self._loud.append(not (far if self._faint > self._PATIENCE else below))
        return sum(self._loud) < self._LOUD

    def begin(self) -> None:
        """Somebody begins to speak."""
        self._peaks.clear()

    def turn_over(self) -> None:
        """It was a turn of the caller's. A click in it says nothing of how loud they are."""
        self._faint = 0
        if self._peaks:
            peaks = np.array(self._peaks)
            # Of the frames with a voice: who thinks before they speak is no fainter for it.
            loud = float(np.percentile(peaks[peaks >= 0.1 * np.percentile(peaks, 95)], 90))
            known = self._turns if self._turns is not None else loud
            self._turns = (1 - self._SHARE) * known + self._SHARE * loud
            self._peaks.clear()


@lru_cache
def _rise(samples: int) -> NDArray[np.float32]:
    """From 0 to 1."""
    return np.linspace(0.0, 1.0, samples, dtype=np.float32)
