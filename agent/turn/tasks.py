"""Work of a processor's that goes on beside its frames."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from pipecat.frames.frames import Frame, SystemFrame
from pipecat.processors.frame_processor import FrameProcessor

from agent.turn.commands import Command

INTERRUPTION_DEADLINE_S = 0.5  # takes milliseconds


class Interrupted(SystemFrame):
    """Comes to the end of the pipeline behind the interruption that went before it."""


class Orders:
    """Commands, carried out one after the other."""

    def __init__(self, carry_out: Callable[[Command], None]) -> None:
        self._carry_out = carry_out
        self._commands: deque[Command] = deque()
        self._waiting: asyncio.TimerHandle | None = None
        self._until: object = None

    def give(self, commands: Iterable[Command]) -> None:
        self._commands += commands
        while self._commands and not self._waiting:
            self._carry_out(self._commands.popleft())

    def wait(self, until: object) -> None:
        """All that follow wait until `go_on` is told of just this, though not for long."""
        self._until = until
        self._waiting = asyncio.get_running_loop().call_later(INTERRUPTION_DEADLINE_S, self._go_on)

    def go_on(self, reached: object) -> None:
        if reached is self._until:
            self._go_on()

    def _go_on(self) -> None:
        if self._waiting:
            self._waiting.cancel()
            self._waiting = self._until = None
            self.give(())

    def finish(self) -> None:
        """Wait for nothing more."""
        while self._waiting:
            self._go_on()

    def stop(self) -> None:
        """What still waits isn't carried out."""
        self._commands.clear()
        self._go_on()


class Latest:
    """A task of `owner`'s, of which only the latest is wanted: starting another cancels it."""

    def __init__(self, owner: FrameProcessor) -> None:
        self._owner = owner
        self.task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self.cancel()
        self.task = self._owner.create_task(work)

    def cancel(self) -> None:
        if self.task:
            self.task.cancel()

    async def stop(self) -> None:
        """Cancel it, and wait until it has ended."""
        if self.task and not self.task.done():
            await self._owner.cancel_task(self.task)
        self.task = None


class Outbox:
    """Sends frames from `owner`'s place in the pipeline, in order; a kind of frame goes both ways."""

    def __init__(self, owner: FrameProcessor) -> None:
        self._owner = owner
        self._frames: deque[Frame | type[Frame]] = deque()
        self._sending = Latest(owner)

    def send(self, frame: Frame | type[Frame]) -> None:
        self._frames.append(frame)
        if not self._sending.running:
            self._sending.start(self._send_all())

    async def _send_all(self) -> None:
        while self._frames:
            frame = self._frames.popleft()
            if isinstance(frame, Frame):
                await self._owner.push_frame(frame)
            else:
                await self._owner.broadcast_frame(frame)
