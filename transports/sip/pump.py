"""One tick for all calls: moves their audio between the SIP stack and their pipelines."""

from __future__ import annotations

import asyncio
import select
from typing import Protocol

TICK_S = 0.010
# A loop that was away longer than this goes on from now, not through all that it missed.
MAX_CATCH_UP_S = 0.100
MAX_BURST = 63  # packets of a call in one tick, beyond the first: half a second of packets of 10 ms


class Pumped(Protocol):
    def fileno(self) -> int:
        """Of the socket on which its packets come."""
        ...

    async def tick(self, now: float, *, readable: bool) -> None:
        """Take one packet, if there are any, and do what is due. May come again at the same time."""

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
            readable = self._readable()
            for call, socket in list(self._calls.items()):
                await self._tick(call, now, readable=socket in readable)
            for _ in range(MAX_BURST):  # and whether more has come than one packet each
                if not (readable := self._readable()):
                    break
                for call, socket in list(self._calls.items()):
                    if socket in readable:
                        await self._tick(call, now, readable=True)
            due = max(due + TICK_S, loop.time() - MAX_CATCH_UP_S)
            await asyncio.sleep(max(0.0, due - loop.time()))
        self._task = None

    def _readable(self) -> set[int]:
        return {socket for socket, _ in self._sockets.poll(0)}

    async def _tick(self, call: Pumped, now: float, *, readable: bool) -> None:
        try:
            await call.tick(now, readable=readable)
        except Exception as error:  # one call may die, the others not
            call.break_off(error)
