"""A call that its peer may have go on with somebody else (RFC 5589, 6)."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Coroutine
from typing import Any, Self

from baresip.errors import BaresipError
from baresip.events import Event, StackEvent

from transports.call import CallTransport, EndReason, MediaStats, TransferFailed
from transports.sip.call import HANGUPS, SipCall
from transports.sip.referral import Referral

BYE_S = 10.0  # which who has put us through has to hang up in, or whose call with us was replaced
_PHRASES = {180: "Ringing", 200: "OK", 404: "Not Found", 480: "Temporarily Unavailable", 486: "Busy Here"}
_OF_A_CALLER = {
    EndReason.CALLED_HANGUP: EndReason.CALLER_HANGUP,
    EndReason.CALLED_GONE: EndReason.CALLER_GONE,
}

Follow = Callable[["MovingCall", Referral], Coroutine[Any, Any, None]]


class MovingCall(SipCall):
    """To the agent it stays the same call: what it is told goes to whoever is at the other end now."""

    def __init__(self, *args: Any, follow: Follow, **named: Any) -> None:
        """`follow` calls whom the peer asks us to call."""
        self._follow = follow
        self._moving = self._moved = False
        self._next: Self | None = None  # the call with whom the peer has put us through to
        self._found_out: asyncio.Event | None = None  # whether who has hung up took our place in a call
        super().__init__(*args, **named)

    @property
    def on_hold(self) -> bool:
        if self._moved:
            return self._leg.on_hold
        return super().on_hold or (self._moving and self.over)

    async def media_stats(self) -> MediaStats:
        return await (self._leg.media_stats() if self._moved else super().media_stats())

    async def hangup(self) -> None:
        if self._next:
            await self._next.hangup()
        await super().hangup()

    async def hold(self) -> None:
        await (self._leg.hold() if self._moved else super().hold())

    async def resume(self) -> None:
        await (self._leg.resume() if self._moved else super().resume())

    async def send_keys(self, keys: str) -> None:
        await (self._leg.send_keys(keys) if self._moved else super().send_keys(keys))

    async def transfer(self, to: str | CallTransport, *, timeout_s: float) -> None:
        if self._moved:
            await self._leg.transfer(to, timeout_s=timeout_s)
            return
        if self._moving:
            raise TransferFailed("The caller's side is putting us through to somebody else.")
        there = to._leg if isinstance(to, MovingCall) else to
        self._replaced = there if isinstance(there, SipCall) else None
        self._dialog.transferring, self._dialog.handed_over = True, False
        try:
            await super().transfer(there, timeout_s=timeout_s)
        except TransferFailed:
            if self._found_out:
                await self._found_out.wait()
            if self._stopped is not EndReason.TRANSFERRED:
                raise
        finally:
            self._dialog.transferring, self._replaced = False, None

    def expect(self, there: Self) -> bool:
        """Whom the peer has us call is being called; whether that is still wanted."""
        self._next = there
        return self._reason is None

    async def stay(self, status: int) -> None:
        """They haven't answered: the call is as it was, or over if the peer has gone meanwhile."""
        self._moving, self._next = False, None
        if self._stopped:
            self._tell_stopped(self._stopped)
        await self.notify(status)

    def move(self, there: Self) -> bool:
        """They have answered, and the call goes on with them; whether it still can."""
        if self._reason or there.over:
            return False
        self._moving, self._moved = False, True
        self._mute()
        there._take_over()
        there.add_event_handler(there.stopped_event, self._on_next_stopped)
        there.add_event_handler("on_dtmf_event", self._on_next_key)
        there.add_event_handler("on_moved", self._on_next_moved)
        self.info = dataclasses.replace(
            self.info,
            remote=there.info.remote,
            codec=there.info.codec,
            encryption=there.info.encryption,
        )
        if self._timer:
            self._timer.cancel()
        if not self._stopped:
            self._timer = self._loop.call_later(BYE_S, self._leave)
        self._start(self.fire("on_moved", there.info.called))
        return True

    async def notify(self, status: int) -> None:
        """Tell the peer how it goes with whom it has us call; from 200 on for the last time."""
        with contextlib.suppress(BaresipError):
            await self._stack.calls.notify(self.info.call_id, status, _PHRASES.get(status, "Not Reached"))

    @property
    def _leg(self) -> Self:
        """The call that carries the sound."""
        return self._next._leg if self._moved and self._next else self

    def _take_over(self) -> None:
        self._take_playout()
        self._hold.agreed()  # who puts somebody through may have held them

    def _leave(self) -> None:
        self._start(self._hang_up(EndReason.TRANSFERRED))

    def _on_event(self, event: StackEvent) -> None:
        if event.event is Event.CALL_TRANSFER and (referral := self._dialog.referral):
            self._moving = self._established and self._reason is None
            self._start(self._follow(self, referral) if self._moving else self.stay(603))
        super()._on_event(event)

    async def _on_next_stopped(self, _: CallTransport, reason: EndReason) -> None:
        if self.info.direction == "inbound":
            reason = _OF_A_CALLER.get(reason, reason)
        await self.fire(self.stopped_event, reason)

    async def _on_next_key(self, _: CallTransport, digit: str) -> None:
        await self.fire("on_dtmf_event", digit)

    async def _on_next_moved(self, there: CallTransport, to: str) -> None:
        self.info = dataclasses.replace(self.info, remote=there.info.remote)
        await self.fire("on_moved", to)

    def _start_timer(self) -> None:
        if not self._moved:
            super()._start_timer()

    def _tell_stopped(self, reason: EndReason) -> None:
        if self._moving:
            self.playout.hold("peer")  # until it is known whether the call goes on
        elif self._replaced and self._dialog.handed_over and reason in HANGUPS:
            self._found_out = asyncio.Event()
            self._start(self._find_out(self._replaced, self._found_out, reason))
        elif not self._moved:
            super()._tell_stopped(reason)

    async def _find_out(self, there: SipCall, found_out: asyncio.Event, reason: EndReason) -> None:
        """Whether who has hung up has taken our place: the other end of that call hangs up then, too."""
        over = asyncio.Event()

        async def on_stopped(*_: object) -> None:
            over.set()

        there.add_event_handler(there.stopped_event, on_stopped)
        if not there.over:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), BYE_S)
        if there.left:
            self._stopped = reason = EndReason.TRANSFERRED
        found_out.set()
        super()._tell_stopped(reason)
