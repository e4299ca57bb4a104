"""Work of a processor's that goes on beside its frames."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any

from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameProcessor


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
