"""A peer has us call somebody else in its place, with whom the call then goes on (RFC 3515, RFC 5589).

Within what may be called, and how much, as any other call of ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from typing import Protocol

from transports.call import BY_PEER, CallGone, CallTransport, EndReason
from transports.outbound import LimitReached, NotPermitted, OutboundGuard, Permit
from transports.sip.moving import MovingCall
from transports.sip.outgoing import OutgoingCall, OutgoingHandler
from transports.sip.referral import Referral

RING_S = 50.0  # at most: the stack gives up who waits for news of it after 60
_STATUS = {
    EndReason.BUSY: 486,
    EndReason.DECLINED: 603,
    EndReason.NO_ANSWER: 480,
    EndReason.UNAUTHORIZED: 403,
}

logger = logging.getLogger("offhook.sip")


class Dial(Protocol):
    def __call__(
        self,
        to: str,
        handler: OutgoingHandler,
        *,
        account: str,
        ring_timeout_s: float,
        replaces: str,
        joins: MovingCall,
    ) -> Awaitable[OutgoingCall]: ...


class Referrals:
    """Of one SIP server."""

    def __init__(self, dial: Dial, guard: OutboundGuard, ring_timeout_s: float) -> None:
        self._dial = dial
        self._guard = guard
        self._ring_timeout_s = min(ring_timeout_s, RING_S)

    def permits(self, referral: Referral, account: str) -> bool:
        """May be called on any thread."""
        try:
            self._guard.permits(referral.to, account)
        except NotPermitted:
            return False
        return True

    async def follow(self, call: MovingCall, referral: Referral) -> None:
        """Call them, and have `call` go on with them once they have answered. Otherwise it stays as it is."""
        try:
            permit = await self._guard.admit(BY_PEER, _now())
        except LimitReached as refused:
            logger.warning("call %s isn't put through: %s", call.info.id, refused)
            await call.stay(503)
            return

        async def run(there: OutgoingCall) -> None:
            try:
                await self._run(call, there, permit)
            finally:
                self._guard.end(permit, _now())

        try:
            await self._dial(
                referral.to,
                run,
                account=call.info.account,
                ring_timeout_s=self._ring_timeout_s,
                replaces=referral.replaces,
                joins=call,
            )
        except (NotPermitted, CallGone) as error:
            self._guard.end(permit, _now())
            logger.info("call %s isn't put through: %s", call.info.id, error)
            await call.stay(404)

    async def _run(self, call: MovingCall, there: OutgoingCall, permit: Permit) -> None:
        answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        over = asyncio.Event()

        async def on_ringing(*_: object) -> None:
            await call.notify(180)

        async def on_answered(_: CallTransport) -> None:
            if not answered.done():
                answered.set_result(call.move(there))

        async def on_stopped(*_: object) -> None:
            over.set()
            if not answered.done():
                answered.set_result(False)

        there.add_event_handler("on_dialout_ringing", on_ringing)
        there.add_event_handler(there.connected_event, on_answered)
        there.add_event_handler(there.stopped_event, on_stopped)
        if not call.expect(there):
            await there.hangup()
        with contextlib.suppress(CallGone):
            await there.answer()
        if not await answered:
            failure = there.failure
            logger.info("call %s isn't put through: %s", call.info.id, failure.sentence if failure else "")
            await call.stay((failure.status or _STATUS.get(failure.reason, 503)) if failure else 503)
            return
        logger.info("call %s goes on with whom its peer has put it through to", call.info.id)
        self._guard.answered(permit, _now())
        await call.notify(200)
        while not over.is_set():
            left_s = self._guard.left_s(permit, _now())
            if not left_s:
                await call.hangup()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), left_s or None)


def _now() -> float:
    return asyncio.get_running_loop().time()
