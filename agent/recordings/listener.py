"""Somebody who listens to a live call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from agent.recordings.stereo import Stereo
from agent.recordings.tap import Sound, Tap

FRAME_S = 0.1
LATE_S = 0.2  # what comes later than this isn't heard
MOST_BEHIND_S = 3.0


class TooSlow(Exception):
    """The listener didn't keep up."""


class Listener:
    """Hears both sides from now on, `LATE_S` behind. Close it when nobody listens any more."""

    def __init__(self, tap: Tap, clock: Callable[[], float], on_over: Callable[[Listener], None]) -> None:
        """`on_over` is called once: when the call is over, or nobody listens any more."""
        self._tap = tap
        self._clock = clock
        self._on_over: Callable[[Listener], None] | None = on_over
        self._sounds: deque[Sound] = deque()
        self._stereo = Stereo(clock())
        self._over = asyncio.Event()
        tap.add(self._take)

    async def next(self) -> bytes | None:
        """What came since: s16le PCM, 16 kHz, the caller left, the agent right; None at the call's end.

        Raises TooSlow where nobody asked for too long.
        """
        due = self._stereo.at + LATE_S + FRAME_S
        if (wait_s := due - self._clock()) < -MOST_BEHIND_S:
            raise TooSlow
        try:
            async with asyncio.timeout(max(0.0, wait_s)):
                await self._over.wait()
        except TimeoutError:
            self._stereo.put([self._sounds.popleft() for _ in range(len(self._sounds))])
            return self._stereo.read(due - LATE_S).tobytes()
        return None

    def end(self) -> None:
        """The call is over."""
        self._over.set()
        self._tell_over()

    def close(self) -> None:
        self._tap.remove(self._take)
        self._tell_over()

    def _tell_over(self) -> None:
        on_over, self._on_over = self._on_over, None
        if on_over:
            on_over(self)

    def _take(self, sound: Sound) -> None:
        self._sounds.append(sound)
