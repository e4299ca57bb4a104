"""What of one call is recorded or listened to: nothing before the caller has been told, nothing secret."""

from __future__ import annotations

from collections.abc import Callable

from agent.observer import Recorded
from agent.recordings.listener import Listener
from agent.recordings.recording import CallRecording
from agent.recordings.recordings import Recordings
from agent.recordings.tap import Tap
from transports.call import CallTransport

MOST_LISTENERS = 4  # to one call


class CantBeHeard(Exception):
    """Not this call, or not now; the message is a sentence."""


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
        self._clock = clock
        self._listeners: set[Listener] = set()
        self._secrets = 0
        self._over = False
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
        """Record silence in the place of what is heard, or what is heard again. Raises CantBeHeard."""
        if self._recording is None or self.recorded is None:
            raise CantBeHeard("The call isn't recorded, or not yet.")
        self._recording.paused = paused

    def listen(self, on_over: Callable[[], None]) -> Listener:
        """`on_over` is called when the call is over, or the listener closed. Raises CantBeHeard."""
        if self._recordings is None or self._tap is None or not self._recordings.may_listen:
            raise CantBeHeard("Callers aren't told that they may be listened to: set recordings.listening.")
        if not self.announced:
            raise CantBeHeard("The caller hasn't been told yet that they may be listened to.")
        if self._over:
            raise CantBeHeard("The call is over.")
        if len(self._listeners) >= MOST_LISTENERS:
            raise CantBeHeard(f"{MOST_LISTENERS} listen already.")

        def over(listener: Listener) -> None:
            self._listeners.discard(listener)
            on_over()

        listener = Listener(self._tap, self._clock, over)
        self._listeners.add(listener)
        return listener

    def hide(self) -> None:
        """What is on the wire is secret, until `show` was called as often."""
        self._secrets += 1
        self._tell()

    def show(self) -> None:
        self._secrets -= 1
        self._tell()

    def moved(self) -> None:
        """Somebody else is there, who hasn't been told: of them there is silence."""
        if self.announced:
            self.hide()

    async def finish(self) -> None:
        """The call is over."""
        self._over = True
        for listener in list(self._listeners):
            listener.end()
        if self._recordings and self._recording:
            await self._recordings.finish(self._recording)

    def _tell(self) -> None:
        if self._tap:
            self._tap.secret = self._secrets > 0
