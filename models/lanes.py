"""One model, one worker thread, many calls.

A lane runs blocking work for a model, one piece at a time. Calls take turns, so that a call which
asks for much doesn't hold up the others; speculative work runs only when no real work waits. Work
whose caller was cancelled is dropped before it costs compute.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from models.errors import ModelBusy, ModelError, ModelFailed

T = TypeVar("T")

Speculative = bool | Callable[[], bool]
"""Whether work may yet prove not to be wanted; asked again and again, on the lane's thread."""

NICENESS = 5


@dataclass(frozen=True, slots=True)
class LaneStats:
    """A lane at one moment. `dropped` counts work that was cancelled or evicted unrun."""

    queued: int
    running: bool
    done: int
    dropped: int
    busy_s: float
    last_error: str | None


@dataclass(slots=True, eq=False)
class _Job:
    call_id: str
    work: Callable[[], Any]
    speculative: Speculative
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]

    @property
    def guess(self) -> bool:
        return self.speculative() if callable(self.speculative) else self.speculative


class _Turns:
    """Jobs in fair order: round robin over calls, first come first served within one."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, deque[_Job]] = OrderedDict()
        self.size = 0

    def add(self, job: _Job) -> None:
        self._calls.setdefault(job.call_id, deque()).append(job)
        self.size += 1

    def next(self) -> _Job | None:
        if not self._calls:
            return None
        call_id, jobs = next(iter(self._calls.items()))
        job = jobs.popleft()
        self.size -= 1
        if jobs:
            self._calls.move_to_end(call_id)
        else:
            del self._calls[call_id]
        return job

    def discard(self, job: _Job) -> bool:
        jobs = self._calls.get(job.call_id)
        if jobs is None or job not in jobs:
            return False
        jobs.remove(job)
        self.size -= 1
        if not jobs:
            del self._calls[job.call_id]
        return True

    def __iter__(self) -> Iterator[_Job]:
        return iter([job for jobs in self._calls.values() for job in jobs])

    def evict(self) -> _Job | None:
        """Take away the newest job of the call that has the most waiting."""
        if not self._calls:
            return None
        job = max(self._calls.values(), key=len)[-1]
        self.discard(job)
        return job


class Lane:
    """A model's queue and its worker thread."""

    def __init__(self, name: str, *, max_queued: int = 64) -> None:
        self.name = name
        self._max_queued = max_queued
        self._real = _Turns()
        self._speculative = _Turns()
        self._changed = threading.Condition()
        self._running = False
        self._closed = False
        self._done = 0
        self._dropped = 0
        self._busy_s = 0.0
        self._last_error: str | None = None
        self._exited: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None
        self._thread = threading.Thread(target=self._work, name=f"lane-{name}", daemon=True)
        self._thread.start()

    async def run(self, call_id: str, work: Callable[[], T], *, speculative: Speculative = False) -> T:
        """Run `work` on the lane's thread and return what it returns.

        Speculative work becomes real where it waits, once it isn't speculative any more.
        Cancelling drops work that hasn't begun; work that has is finished and its result thrown away.
        Raises ModelBusy when the queue is full, ModelFailed when `work` raises or the lane is closed.
        A ModelError of `work` passes unchanged.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        job = _Job(call_id, work, speculative, loop, future)
        with self._changed:
            self._admit(job)
            self._changed.notify()
        try:
            return await future
        except asyncio.CancelledError:
            self._drop(job)
            raise

    @property
    def idle(self) -> bool:
        """Whether work given now would begin at once."""
        with self._changed:
            return not (self._running or self._real.size or self._speculative.size)

    @property
    def stats(self) -> LaneStats:
        with self._changed:
            return LaneStats(
                queued=self._real.size + self._speculative.size,
                running=self._running,
                done=self._done,
                dropped=self._dropped,
                busy_s=self._busy_s,
                last_error=self._last_error,
            )

    async def close(self) -> None:
        """Refuse further work, fail what waits, and return once the thread has ended."""
        loop = asyncio.get_running_loop()
        with self._changed:
            if self._closed:
                return
            self._closed = True
            waiting = self._take_all()
            self._exited = (loop, loop.create_future())
            self._changed.notify()
        for job in waiting:
            _settle(job, error=ModelFailed(f"{self.name} is closed."))
        await self._exited[1]
        self._thread.join()

    def _admit(self, job: _Job) -> None:
        if self._closed:
            raise ModelFailed(f"{self.name} is closed.")
        if self._real.size + self._speculative.size >= self._max_queued:
            evicted = None if job.guess else self._speculative.evict()
            if evicted is None:
                raise ModelBusy(f"{self.name} has {self._max_queued} pieces of work waiting.")
            self._dropped += 1
            _settle(evicted, error=ModelBusy(f"{self.name} dropped speculative work for real work."))
        (self._speculative if job.guess else self._real).add(job)

    def _drop(self, job: _Job) -> None:
        with self._changed:
            if self._real.discard(job) or self._speculative.discard(job):
                self._dropped += 1

    def _next(self) -> _Job | None:
        for job in self._speculative:
            if not job.guess:
                self._speculative.discard(job)
                self._real.add(job)
        return self._real.next() or self._speculative.next()

    def _take_all(self) -> list[_Job]:
        waiting = []
        while job := self._next():
            waiting.append(job)
        return waiting

    def _work(self) -> None:
        # Threads that the models start inherit it: a packet is never late because a model thinks.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while True:
            with self._changed:
                while not (job := self._next()) and not self._closed:
                    self._changed.wait()
                self._running = job is not None
            if job is None:
                break
            began = time.monotonic()
            result, error = _attempt(self.name, job.work)
            with self._changed:
                self._busy_s += time.monotonic() - began
                self._running = False
                self._done += 1
                if error is not None and not isinstance(error, ModelBusy):  # a refusal is no failure
                    self._last_error = str(error)
            _settle(job, result, error)
            del job, result, error  # nothing of a call may outlive it while the lane is idle
        if self._exited is not None:
            loop, exited = self._exited
            loop.call_soon_threadsafe(exited.set_result, None)


def _attempt(name: str, work: Callable[[], Any]) -> tuple[Any, ModelError | None]:
    try:
        return work(), None
    except ModelError as error:
        return None, error
    except Exception as cause:
        # The text of a foreign exception may quote its input; its type can't.
        failure = ModelFailed(f"{name} failed: {type(cause).__name__}.")
        failure.__cause__ = cause
        return None, failure


def _settle(job: _Job, result: Any = None, error: ModelError | None = None) -> None:
    def settle() -> None:
        if not job.future.done():
            if error is None:
                job.future.set_result(result)
            else:
                job.future.set_exception(error)

    if not job.loop.is_closed():
        job.loop.call_soon_threadsafe(settle)
