"""One model, one worker thread, many calls.

A lane runs blocking work for a model, one piece at a time: calls', then what somebody waits for in text,
then what calls may yet need, then uploads and long synthesis. Within a class calls take turns, so that one
which asks for much doesn't hold up the others. Work whose caller was cancelled is dropped before it costs
compute. Whoever has long work gives it in pieces, between which whatever is more urgent runs.

Lanes share the processor, so uploads' and long texts' pieces also wait while any lane works for a call, and
for what follows: a turn goes from one model to the next.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeVar

from loguru import logger

from models.errors import ModelBusy, ModelError, ModelFailed

T = TypeVar("T")

Speculative = bool | Callable[[], bool]
"""Whether work may yet prove not to be wanted; asked again and again, on the lane's thread."""

NICENESS = 5
DEADLINE_S = 10.0  # for one piece: ten times what any takes on a machine that can hold a call at all
CLOSE_S = 3.0  # for the piece at hand, once there is no more
QUIET_S = 1.0  # without work for calls, before a BULK piece: the language model, in no lane, answers in it
MOST_HELD_S = 3.0  # that a BULK piece is held for that
_LOOK_S = 0.05


class Priority(IntEnum):
    """Whom work is for; what is for calls and may yet prove unwanted comes after TEXT."""

    CALL = 0
    TEXT = 1
    BULK = 3


_GUESS = 2


@dataclass(frozen=True, slots=True)
class LaneStats:
    """A lane at one moment. `dropped` counts work that was cancelled or evicted unrun."""

    queued: int
    running: bool
    done: int
    dropped: int
    last_error: str | None
    stuck: str | None
    """A sentence, where one piece of work has taken longer than any may."""
    oldest_s: float
    """Since the oldest work for calls was asked for that isn't done."""


@dataclass(slots=True, eq=False)
class _Job:
    call_id: str
    work: Callable[[], Any]
    speculative: Speculative
    priority: Priority
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    since: float = field(default_factory=time.monotonic)

    @property
    def rank(self) -> int:
        guess = self.speculative() if callable(self.speculative) else self.speculative
        return max(_GUESS, self.priority) if guess else self.priority


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

    _call_worked_at = 0.0  # of all lanes: monotonic

    def __init__(self, name: str, *, max_queued: int = 64, deadline_s: float = DEADLINE_S) -> None:
        self.name = name
        self._max_queued = max_queued
        self._deadline_s = deadline_s
        self._queues = [_Turns() for _ in range(Priority.BULK + 1)]  # by rank
        self._began: float | None = None
        self._asked_at: float | None = None  # for the work at hand, where it is for a call
        self._bulk_at = 0.0
        self._changed = threading.Condition()
        self._closed = False
        self._done = 0
        self._dropped = 0
        self._last_error: str | None = None
        self._exited: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None
        self._thread = threading.Thread(target=self._work, name=f"lane-{name}", daemon=True)
        self._thread.start()

    async def run(
        self,
        call_id: str,
        work: Callable[[], T],
        *,
        speculative: Speculative = False,
        priority: Priority = Priority.CALL,
    ) -> T:
        """Run `work` on the lane's thread and return what it returns.

        Speculative work becomes real where it waits, once it isn't speculative any more.
        Cancelling drops work that hasn't begun; work that has is finished and its result thrown away.
        Raises ModelBusy when the queue is full of work that is as urgent, or fills with more urgent work,
        ModelFailed when `work` raises, when it or what it waits for takes longer than the deadline, and when
        the lane is closed. A ModelError of `work` passes unchanged.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        # Nobody may ask any more for what went wrong: who is cancelled as it comes doesn't.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        job = _Job(call_id, work, speculative, priority, loop, future)
        with self._changed:
            self._admit(job)
            self._changed.notify()
        try:
            while not future.done():
                await asyncio.wait({future}, timeout=self._deadline_s / 8)
                if not future.done() and (stuck := self.stats.stuck):
                    raise ModelFailed(stuck)
            return future.result()
        finally:
            if not future.done():
                self._drop(job)
                future.cancel()

    @property
    def idle(self) -> bool:
        """Whether work given now would begin at once."""
        with self._changed:
            return self._began is None and not self._queued

    @property
    def stats(self) -> LaneStats:
        with self._changed:
            return LaneStats(
                queued=self._queued,
                running=self._began is not None,
                done=self._done,
                dropped=self._dropped,
                last_error=self._last_error,
                stuck=self._stuck,
                oldest_s=self._oldest_s,
            )

    async def close(self) -> None:
        """Refuse further work, fail what waits, and return once the thread has ended.

        Work that doesn't end within 3 s is left to itself; it can't be stopped, and ends with the process.
        """
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
        await asyncio.wait({self._exited[1]}, timeout=CLOSE_S)
        if self._exited[1].done():
            self._thread.join()
        else:
            self._exited[1].cancel()
            logger.warning(f"{self.name} was closed with a piece of work that doesn't end.")

    @property
    def _queued(self) -> int:
        return sum(queue.size for queue in self._queues)

    @property
    def _stuck(self) -> str | None:
        took = 0.0 if self._began is None else time.monotonic() - self._began
        if took < self._deadline_s:
            return None
        return f"{self.name} has been at one piece of work for {took:.0f} s; {self._queued} wait."

    @property
    def _oldest_s(self) -> float:
        waiting = (job.since for queue in self._queues for job in queue if job.priority is Priority.CALL)
        now = time.monotonic()
        return now - min([*waiting, *([] if self._asked_at is None else [self._asked_at])], default=now)

    def _admit(self, job: _Job) -> None:
        if self._closed:
            raise ModelFailed(f"{self.name} is closed.")
        if stuck := self._stuck:
            raise ModelFailed(stuck)
        rank = job.rank
        if self._queued >= self._max_queued:
            less_urgent = (queue.evict() for queue in reversed(self._queues[rank + 1 :]))
            evicted = next((found for found in less_urgent if found is not None), None)
            if evicted is None:
                raise ModelBusy(f"{self.name} has {self._max_queued} pieces of work waiting.")
            self._dropped += 1
            _settle(evicted, error=ModelBusy(f"{self.name} dropped this for more urgent work."))
        self._queues[rank].add(job)

    def _drop(self, job: _Job) -> None:
        with self._changed:
            if any(queue.discard(job) for queue in self._queues):
                self._dropped += 1

    @property
    def _held(self) -> bool:
        """Whether BULK work has to wait for calls on whatever lane."""
        now = time.monotonic()
        return now - Lane._call_worked_at < QUIET_S and now - self._bulk_at < MOST_HELD_S

    def _next(self, *, every: bool = False) -> _Job | None:
        for job in self._queues[_GUESS]:
            if job.rank != _GUESS:
                self._queues[_GUESS].discard(job)
                self._queues[job.rank].add(job)
        may_run = self._queues[: Priority.BULK] if self._held and not every else self._queues
        return next((found for queue in may_run if (found := queue.next())), None)

    def _note(self, priority: Priority) -> None:
        if priority is Priority.CALL:
            Lane._call_worked_at = time.monotonic()
        elif priority is Priority.BULK:
            self._bulk_at = time.monotonic()

    def _take_all(self) -> list[_Job]:
        waiting = []
        while job := self._next(every=True):
            waiting.append(job)
        return waiting

    def _work(self) -> None:
        # Threads that the models start inherit it: a packet is never late because a model thinks.
        thread = threading.get_native_id()
        if os.getpriority(os.PRIO_PROCESS, thread) < NICENESS:  # less nice than it is, only root may be
            os.setpriority(os.PRIO_PROCESS, thread, NICENESS)
        while True:
            with self._changed:
                while not (job := self._next()) and not self._closed:
                    self._changed.wait(_LOOK_S if self._queues[Priority.BULK].size else None)
                self._began = time.monotonic() if job else None
                self._asked_at = job.since if job and job.priority is Priority.CALL else None
            if job is None:
                break
            self._note(job.priority)
            result, error = _attempt(self.name, job.work)
            self._note(job.priority)
            with self._changed:
                self._began = self._asked_at = None
                self._done += 1
                if error is not None and not isinstance(error, ModelBusy):  # a refusal is no failure
                    self._last_error = str(error)
            _settle(job, result, error)
            del job, result, error  # nothing of a call may outlive it while the lane is idle
        if self._exited is not None:
            loop, exited = self._exited
            if not loop.is_closed():
                loop.call_soon_threadsafe(lambda: None if exited.done() else exited.set_result(None))


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
