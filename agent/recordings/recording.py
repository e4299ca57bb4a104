"""One call's recording."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from agent.observer import Recorded
from agent.recordings.file import RecordingFile
from agent.recordings.stereo import Stereo
from agent.recordings.tap import Sound, Tap, silent
from transports.playout import SAMPLE_RATE_HZ

LATE_S = 2.0  # sound that comes later than this isn't recorded; nor what a process that dies had last
MOST_SOUNDS = 10_000  # more than a minute's, for a disk that hangs


class CallRecording:
    """Takes sound from the call's beginning on, and keeps what comes behind `begin`.

    `write` and what it touches are the writer's thread's, all else is the event loop's.
    """

    def __init__(self, path: Path, tap: Tap, clock: Callable[[], float]) -> None:
        self.path = path
        self._clock = clock
        self._tap = tap
        self._sounds: deque[Sound] = deque(maxlen=MOST_SOUNDS)
        self._stereo = Stereo(clock())
        self._file: RecordingFile | None = None
        self._begun_at: float | None = None
        self._ended_at: float | None = None
        self._began = 0.0  # Unix time
        self.paused = False
        self.given_up = False  # too much of it waits for the disk
        tap.add(self._take)

    def begin(self) -> None:
        """Keep what is on the wire from now on."""
        if self._begun_at is None and self._ended_at is None:
            self._began = time.time()
            self._begun_at = self._clock()

    @property
    def recorded(self) -> Recorded | None:
        """What there is by now; None for nothing."""
        if self._begun_at is None:
            return None
        file = self._file
        seconds = file.samples / SAMPLE_RATE_HZ if file else 0.0
        return Recorded(self.path, self._began, seconds, file.bytes if file else 0)

    def end(self) -> None:
        """Nothing more is taken; it is to be written once more."""
        self._tap.remove(self._take)
        if self._ended_at is None:
            self._ended_at = self._clock()

    @property
    def waiting_bytes(self) -> int:
        """What the disk hasn't taken."""
        return self._file.waiting_bytes if self._file else 0

    def write(self) -> bool:
        """Encode what came, and bring it to the disk. Whether that was all there will ever be.

        Raises OSError where the disk doesn't take it, and goes on there the next time.
        """
        ended_at, begun_at = self._ended_at, self._begun_at
        self._encode(begun_at, self._clock() - LATE_S if ended_at is None else ended_at)
        if self._file is None:
            return ended_at is not None
        if ended_at is not None:
            self._file.finish()
        self._file.flush()
        if ended_at is not None:
            self._file.close()
        return ended_at is not None

    def give_up(self) -> None:
        """Let go of what the disk doesn't take."""
        self.given_up = True
        self.end()
        if self._file:
            self._file.close()

    def _take(self, sound: Sound) -> None:
        self._sounds.append(silent(sound) if self.paused else sound)

    def _encode(self, begun_at: float | None, until: float) -> None:
        self._stereo.put([self._sounds.popleft() for _ in range(len(self._sounds))])
        before = until if begun_at is None else min(begun_at, until)
        self._stereo.read(before)
        if begun_at is None or until <= begun_at:
            return
        if self._file is None:
            self._file = RecordingFile(self.path)
        if len(samples := self._stereo.read(until)):
            self._file.write(samples)
