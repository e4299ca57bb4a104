"""One piece of work at a time, of which only the latest is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from pipecat.processors.frame_processor import FrameProcessor

T = TypeVar("T")


class Latest(Generic[T]):
    """A task of `owner`'s; starting another cancels it."""

    def __init__(self, owner: FrameProcessor) -> None:
        self._owner = owner
        self.task: asyncio.Task[T] | None = None

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done()

    def start(self, work: Coroutine[Any, Any, T]) -> None:
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
