"""What of one call is recorded: nothing before the caller has been told, and nothing secret."""

from __future__ import annotations

from collections.abc import Callable

from agent.observer import Recorded
from agent.recordings.recording import CallRecording
from agent.recordings.recordings import Recordings
from agent.recordings.tap import Tap
from transports.call import CallTransport


class Monitor:
    """One call's; without `recordings` nothing ever is."""

    def __init__(
        self, call: CallTransport, clock: Callable[[], float], recordings: Recordings | None
    ) -> None:
        self._recordings = recordings
        self._tap: Tap | None = None
        self._recording: CallRecording | None = None
        if recordings:
            self._tap = Tap(call, clock)
            self._recording = recordings.record(call.info.id, self._tap, clock)
        self._secrets = 0
        self.announced = False

    @property
    def recorded(self) -> Recorded | None:
        """What there is of the recording by now."""
        return self._recording.recorded if self._recording else None

    @property
    def paused(self) -> bool:
        return self._recording is not None and self._recording.paused

    def announce(self) -> None:
        """The caller has been told."""
        self.announced = True
        if self._recording:
            self._recording.begin()

    def pause(self, paused: bool) -> None:
        """Record silence in the place of what is heard, or what is heard again."""
        if self._recording:
            self._recording.paused = paused

    def hide(self) -> None:
        """What is on the wire is secret, until `show` was called as often."""
        self._secrets += 1
        self._tell()

    def show(self) -> None:
        self._secrets -= 1
        self._tell()

    async def finish(self) -> None:
        """The call is over."""
        if self._recordings and self._recording:
            await self._recordings.finish(self._recording)

    def _tell(self) -> None:
        if self._tap:
            self._tap.secret = self._secrets > 0
