"""The live calls of a SIP server, each looked after until nothing of it is left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from transports.sip.dialogs import Dialogs
from transports.sip.dispatcher import Dispatcher
from transports.sip.guard import Guard
from transports.sip.limits import source_of
from transports.sip.moving import MovingCall
from transports.sip.trace import Trace
from transports.sip.worker import Worker

ENDING_S = 5.0  # for whoever serves calls, once all are hung up

logger = logging.getLogger("offhook.sip")


class Calls:
    def __init__(
        self,
        live: set[str],
        guard: Guard,
        dialogs: Dialogs,
        trace: Trace,
        dispatcher: Dispatcher | None,
        worker: Worker | None,
    ) -> None:
        """`live`, the Call-IDs, is kept up to date."""
        self._live = live
        self._guard = guard
        self._dialogs = dialogs
        self._trace = trace
        self._dispatcher, self._worker = dispatcher, worker
        self._serving: dict[MovingCall, asyncio.Task[None]] = {}

    @property
    def accounts(self) -> set[str]:
        """By which there are any."""
        return {call.info.account for call in self._serving}

    @property
    def addresses(self) -> set[str]:
        """With whom they are."""
        return {call.info.remote.partition("%")[0] for call in self._serving if call.info.remote}

    def supervise(self, call: MovingCall, serving: Coroutine[Any, Any, None]) -> None:
        """Have what serves a call run until nothing of it is left."""

        async def run() -> None:
            try:
                await serving
            except Exception:
                logger.exception("call %s failed", call.info.id)
            finally:
                await call.hangup()
                await call.settle()
                self._dialogs.forget(call.info.call_id)

        task = self._serving[call] = asyncio.create_task(run(), name=f"sip-{call.info.id}")
        self._live.add(call.info.call_id)
        self.report()
        self._trace.name(call.info.call_id, call.info.id)
        task.add_done_callback(lambda _: self._forget(call))
        call.add_event_handler(call.connected_event, self._note_source)

    def report(self) -> None:
        """Tell the other processes which calls are live."""
        if self._dispatcher:
            self._dispatcher.report(self._live)
        if self._worker:
            self._worker.report({call.info.call_id: call.info.id for call in self._serving})

    def fail(self) -> None:
        """The stack has died under them."""
        for call in list(self._serving):
            call.fail()

    async def close(self) -> None:
        """Hang up, and wait for whoever serves them, but not for long."""
        await asyncio.gather(*(call.hangup() for call in list(self._serving)))
        if tasks := list(self._serving.values()):
            await asyncio.wait(tasks, timeout=ENDING_S)  # who serves a call has something to put away
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _note_source(self, call: MovingCall) -> None:
        if call.info.remote:
            self._guard.had_call(source_of(call.info.remote))

    def _forget(self, call: MovingCall) -> None:
        self._serving.pop(call, None)
        self._live.discard(call.info.call_id)
        self.report()
