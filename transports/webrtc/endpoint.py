"""Where browsers call: offers become calls, and later offers find them again."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass
from typing import Any

from config.settings import WebRtcSettings
from transports.call import CallGone, CallHandler, CallInfo, CallRefused
from transports.webrtc.call import WebRtcCall
from transports.webrtc.ice import IceServer, ice_servers, own_ice_servers
from transports.webrtc.peer import OfferError, check_offer

logger = logging.getLogger("offhook.webrtc")


class UnknownCall(LookupError):
    """No such call, or it is over."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`token` names the call in everything the browser asks later; who knows it can take the call over."""

    sdp: str
    token: str


class WebRtcEndpoint:
    """Takes browsers' offers and runs `handler` for each new call."""

    def __init__(self, handler: CallHandler, settings: WebRtcSettings) -> None:
        self._handler = handler
        self._settings = settings
        self._calls: dict[str, WebRtcCall] = {}
        self._runs: set[asyncio.Task[None]] = set()

    def ice_servers(self) -> list[IceServer]:
        """What a browser is told to use, with credentials of its own."""
        return ice_servers(self._settings, now=time.time(), user=secrets.token_hex(4))

    async def call(self, offer: str, *, remote: str = "", called: str = "") -> Answer:
        """Start a call to `called`, if the browser dials anyone.

        Raises OfferError, CallRefused (no place for it) or CallGone.
        """
        check_offer(offer)
        token = secrets.token_urlsafe(24)
        call = WebRtcCall(
            CallInfo(
                transport="webrtc",
                caller="browser",
                called=called,
                remote=remote,
                codec="opus",
                encryption="dtls-srtp",
            ),
            offer,
            lambda: own_ice_servers(self.ice_servers()),
            self._settings.gone_s,
        )
        run = asyncio.create_task(self._run(token, call))
        self._runs.add(run)
        run.add_done_callback(self._forget)
        self._calls[token] = call
        try:
            outcomes: set[asyncio.Future[Any]] = {run, call.answered}
            await asyncio.wait(outcomes, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            call.answered.cancel()
            raise
        if call.answered.done() and not call.answered.cancelled():
            return Answer(call.answered.result(), token)
        await run  # raises CallRefused
        raise CallGone("The call ended before it was answered.")

    async def reconnect(self, token: str, offer: str, *, restart: bool = False) -> Answer:
        """Go on with a call whose connection was lost. Raises UnknownCall or OfferError."""
        call = self._find(token)
        check_offer(offer)
        try:
            return Answer(await call.reconnect(offer, restart=restart), token)
        except CallGone as exc:
            raise UnknownCall(str(exc)) from exc

    async def add_candidate(self, token: str, candidate: str, sdp_mid: str, sdp_mline_index: int) -> None:
        """Raises UnknownCall or OfferError."""
        await self._find(token).add_candidate(candidate, sdp_mid, sdp_mline_index)

    async def hang_up(self, token: str) -> None:
        """Raises UnknownCall."""
        await self._find(token).hung_up()

    async def close(self) -> None:
        """End all calls; returns when their handlers have."""
        await asyncio.gather(*(call.hangup() for call in self._calls.values()))
        await asyncio.gather(*self._runs, return_exceptions=True)

    def _find(self, token: str) -> WebRtcCall:
        call = self._calls.get(token)
        if call is None or call.over:
            raise UnknownCall("There is no such call, or it is over.")
        return call

    def _forget(self, run: asyncio.Task[None]) -> None:
        self._runs.discard(run)
        if not run.cancelled():
            run.exception()  # a refusal that nobody waits for any more isn't news

    async def _run(self, token: str, call: WebRtcCall) -> None:
        try:
            await self._handler(call)
        except CallRefused:
            raise
        except CallGone:
            pass
        except Exception:
            logger.exception("call %s failed", call.info.id)
        finally:
            self._calls.pop(token, None)
            await call.hangup()


__all__ = ["Answer", "OfferError", "UnknownCall", "WebRtcEndpoint"]
