"""A thread for what a disk may hold up for good."""

from __future__ import annotations

import time
from asyncio import wrap_future
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


class Writer:
    """Does one thing after the other. Unlike an executor's, its thread keeps no process from its exit."""

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._began: float | None = None  # the work at hand

    @property
    def busy_s(self) -> float:
        """For how long it has been at one thing."""
        began = self._began
        return 0.0 if began is None else time.monotonic() - began

    async def run(self, work: Callable[[], T]) -> T:
        """What is cancelled before its turn isn't done."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name="recordings", daemon=True)
            self._thread.start()
        done: Future[T] = Future()
        self._work.put((work, done))
        return await wrap_future(done)

    def close(self) -> None:
        """What waits is done yet, if the disk lets it."""
        self._work.put(None)

    def _run(self) -> None:
        while item := self._work.get():
            work, done = item
            if not done.set_running_or_notify_cancel():
                continue
            self._began = time.monotonic()
            try:
                done.set_result(work())
            except BaseException as error:  # it is the caller's
                done.set_exception(error)
            self._began = None
