"""Takes calls that come over SIP."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from baresip.call import Call
from baresip.errors import BaresipError

from config.numbers import plain_number
from transports.call import CallHandler, CallInfo, CallRefused, CallsStopped, LinesBusy
from transports.sip.dialogs import RETRY_AFTER_S, Dialogs
from transports.sip.guard import Guard
from transports.sip.limits import source_of
from transports.sip.moving import MovingCall
from transports.sip.native import Stack

# RFC 6432: whoever chooses among several of us tries the next one, and doesn't where a caller is refused.
_NO_CIRCUIT = 'Reason: Q.850;cause=34;text="All lines are busy"\r\n'

logger = logging.getLogger("offhook.sip")


class Answerer:
    """Of one SIP stack."""

    def __init__(
        self,
        stack: Stack,
        dialogs: Dialogs,
        guard: Guard,
        handler: CallHandler,
        begin: Callable[[MovingCall, Coroutine[Any, Any, None]], None],
        *,
        answers: Callable[[str], bool],
        **named: Any,
    ) -> None:
        """`begin` is given each call with what serves it, `answers` says whether a plain number is answered.

        `named` is what every call of the server's is given.
        """
        self._stack = stack
        self._dialogs = dialogs
        self._guard = guard
        self._handler = handler
        self._begin = begin
        self._answers = answers
        self._named = named

    def on_incoming(self, native_call: Call) -> None:
        call_id = native_call.call_id or ""
        dialog = self._dialogs.find(call_id)
        assert dialog is not None
        who = dialog.parties
        info = CallInfo(
            transport="sip",
            caller=who.caller,
            caller_name=who.caller_name,
            called=who.called,
            diverted_from=who.diverted_from,
            call_id=call_id,
            account=dialog.account,
            headers=who.headers,
        )
        call = MovingCall(native_call, info, dialog, stack=self._stack, **self._named)
        self._begin(call, self._serve(call, dialog.came_from))

    async def _serve(self, call: MovingCall, came_from: str) -> None:
        stack, call_id = self._stack, call.info.call_id
        try:
            if not self._answers(plain_number(call.info.called)):
                await stack.reject(call_id, 404, "Not Found")
                return
            if await stack.remote_address(call_id):  # or it is gone
                call.located(came_from)
            if not call.over:  # cancelled at once: nobody has to know
                await self._handler(call)
            if call.info.remote:
                self._guard.call_over(source_of(call.info.remote))
        except CallRefused as refused:
            try:
                if refused.divert_to:
                    there = f"Contact: <{refused.divert_to}>\r\n"
                    await stack.reject(call_id, 302, "Moved Temporarily", there)
                elif isinstance(refused, CallsStopped):
                    again = f"Retry-After: {RETRY_AFTER_S}\r\n"
                    await stack.reject(call_id, 503, "Service Unavailable", again)
                else:
                    why = _NO_CIRCUIT if isinstance(refused, LinesBusy) else ""
                    await stack.reject(call_id, 486, "Busy Here", why)
            except BaresipError as error:
                logger.debug("call %s: refusing failed: %s", call.info.id, error)
