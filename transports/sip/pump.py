"""One tick for all calls: moves their audio between the SIP stack and their pipelines."""

from __future__ import annotations

import asyncio
import select
from typing import Protocol

TICK_S = 0.010
# A loop that was away longer than this goes on from now, not through all that it missed.
MAX_CATCH_UP_S = 0.100


class Pumped(Protocol):
    def fileno(self) -> int:
        """Of the socket on which its packets come."""
        ...

    async def tick(self, now: float, *, readable: bool) -> None: ...
    def break_off(self, error: Exception) -> None: ...


class Pump:
    """Runs only while there are calls."""

    def __init__(self) -> None:
        self._calls: dict[Pumped, int] = {}  # and their sockets
        self._sockets = select.epoll()
        self._task: asyncio.Task[None] | None = None

    def add(self, call: Pumped) -> None:
        self._calls[call] = call.fileno()
        self._sockets.register(self._calls[call], select.EPOLLIN)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="sip-pump")

    def remove(self, call: Pumped) -> None:
        """Before its socket is closed."""
        if (socket := self._calls.pop(call, None)) is not None:
            self._sockets.unregister(socket)

    async def close(self) -> None:
        self._calls.clear()
        self._sockets.close()
        task, self._task = self._task, None
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while self._calls:
            now = loop.time()
            # One question for all: to look into each socket costs more than all else that a silent one needs.
            readable = {socket for socket, _ in self._sockets.poll(0)}
            for call, socket in list(self._calls.items()):
                try:
                    await call.tick(now, readable=socket in readable)
                except Exception as error:  # one call may die, the others not
                    call.break_off(error)
            due = max(due + TICK_S, loop.time() - MAX_CATCH_UP_S)
            await asyncio.sleep(max(0.0, due - loop.time()))
        self._task = None
