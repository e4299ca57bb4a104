"""One tick for all calls: moves their audio between the SIP stack and their pipelines."""

from __future__ import annotations

import asyncio
from typing import Protocol

TICK_S = 0.010
# A loop that was away longer than this goes on from now, not through all that it missed.
MAX_CATCH_UP_S = 0.100


class Pumped(Protocol):
    async def tick(self, now: float) -> None: ...
    def break_off(self, error: Exception) -> None: ...


class Pump:
    """Runs only while there are calls."""

    def __init__(self) -> None:
        self._calls: dict[Pumped, None] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, call: Pumped) -> None:
        self._calls[call] = None
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="sip-pump")

    def remove(self, call: Pumped) -> None:
        self._calls.pop(call, None)

    async def close(self) -> None:
        self._calls.clear()
        task, self._task = self._task, None
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while self._calls:
            now = loop.time()
            for call in list(self._calls):
                try:
                    await call.tick(now)
                except Exception as error:  # one call may die, the others not
                    call.break_off(error)
            due = max(due + TICK_S, loop.time() - MAX_CATCH_UP_S)
            await asyncio.sleep(max(0.0, due - loop.time()))
        self._task = None
