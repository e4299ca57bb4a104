"""What passes the wire of one call, told to whoever records it or listens in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from transports.call import CallTransport
from transports.pipecat_io import CallInput
from transports.playout import SAMPLE_RATE_HZ

Samples = NDArray[np.int16]
Side = Literal[0, 1]  # the channel: left, right
CALLER: Side = 0
AGENT: Side = 1


@dataclass(frozen=True, slots=True)
class Sound:
    """16 kHz mono of one side. `place` is its first sample's on that side's own count.

    `at` is when it was on the wire: a caller's when it ended, the agent's when it began, in seconds; None
    for what stands in the place of sound that was told before.
    """

    side: Side
    place: int
    samples: Samples
    at: float | None


Take = Callable[[Sound], None]  # on whatever thread the wire has


class Tap:
    """Between one call and those who take its sound. They get silence while it is `secret`."""

    def __init__(self, call: CallTransport, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._call = call
        self._came = 0
        self._takes: tuple[Take, ...] = ()
        self.secret = False
        source = call.input()
        assert isinstance(source, CallInput)
        source.on_audio = self._hear
        call.playout.sent.on_put = self._send
        call.playout.sent.on_taken_back = self._take_back

    def add(self, take: Take) -> None:
        self._takes = (*self._takes, take)

    def remove(self, take: Take) -> None:
        self._takes = tuple(one for one in self._takes if one != take)

    def _hear(self, pcm: bytes) -> None:
        samples = np.frombuffer(pcm, np.int16)
        self._tell(Sound(CALLER, self._came, samples, self._clock()))
        self._came += len(samples)

    def _send(self, place: int, samples: Samples) -> None:
        self._tell(Sound(AGENT, place, samples, self._clock() + self._call.sent_delay_s))

    def _take_back(self, place: int) -> None:
        gone = max(0, self._call.playout.sent.end - place)
        self._tell(Sound(AGENT, place, np.zeros(gone, np.int16), None))

    def _tell(self, sound: Sound) -> None:
        if self.secret:
            sound = silent(sound)
        for take in self._takes:
            take(sound)


def silent(sound: Sound) -> Sound:
    """As much of nothing: its place is still that of what comes behind it."""
    return Sound(sound.side, sound.place, np.zeros(len(sound.samples), np.int16), sound.at)


def samples_in(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)
