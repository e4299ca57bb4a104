"""A call that we make over SIP."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from baresip.errors import BaresipError
from baresip.events import Event, StackEvent

from transports.call import CallGone, EndReason
from transports.sip.call import TRANSACTION_S
from transports.sip.dialog import DialogEvent
from transports.sip.moving import MovingCall
from transports.sip.referral import USER_PARAMETER

_STATUS = re.compile(r"([3-6]\d\d) ?(.*)", re.DOTALL)
_LONGEST_PHRASE = 60

_BY_STATUS = {
    401: EndReason.UNAUTHORIZED,
    403: EndReason.UNAUTHORIZED,
    407: EndReason.UNAUTHORIZED,
    408: EndReason.NO_ANSWER,
    486: EndReason.BUSY,
    487: EndReason.NO_ANSWER,
    600: EndReason.BUSY,
    603: EndReason.DECLINED,
}
_SENTENCES = {
    401: "It wants a password: give the account that calls there its own.",
    403: "It isn't allowed to us there.",
    404: "Nobody has that number or name there.",
    407: "It wants a password: give the account that calls there its own.",
    408: "Nobody answered there in time.",
    410: "Nobody has that number or name there any more.",
    480: "Nobody can be reached there now.",
    484: "The number isn't complete.",
    486: "It is busy.",
    488: "It takes none of the codecs that are offered (sip.codecs).",
    503: "The service there is unavailable.",
    600: "It is busy everywhere.",
    603: "The call was declined.",
    604: "Nobody has that number or name anywhere.",
}
_UNUSABLE = "It answered with nothing that we offered (sip.codecs, sip.media_encryption)."
_REFUSED = "Protocol error"  # by us, in the handshake of TLS
_ERRORS = {
    "Destination address required": "No address is known for its host.",
    "Cannot assign requested address": "No address is known for its host.",  # the system knows none
    "Connection refused": "Its host takes no SIP on that port.",
    "Connection timed out": "Its host doesn't answer.",
    _REFUSED: "Its host's address can't be reached.",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call wasn't answered."""

    reason: EndReason
    status: int  # SIP's; 0 where none came
    sentence: str
    moved_to: str = ""  # where a 3xx says to call instead; from the network

    @classmethod
    def of(cls, text: str, moved_to: str = "") -> Failure:
        """Of what the stack says when a call closes before it was answered: a status, or an error."""
        if found := _STATUS.match(text):
            status = int(found[1])
            phrase = "".join(c for c in found[2] if c.isprintable()).strip()[:_LONGEST_PHRASE]
            if status < 400:
                sentence = "It has moved elsewhere, where it may not be called (outbound.allow)."
            else:
                sentence = _SENTENCES.get(status, "It failed there.")
            reason = _BY_STATUS.get(status, EndReason.NOT_REACHED)
            return cls(reason, status, f"{sentence} ({status} {phrase})".replace(" )", ")"), moved_to)
        for error, sentence in _ERRORS.items():
            if text.startswith(error):
                return cls(EndReason.NOT_REACHED, 0, sentence)
        return cls(EndReason.NOT_REACHED, 0, "It can't be reached.")


class OutgoingCall(MovingCall):
    """Has been dialled; `answer` waits for the called party's.

    What sounds before the answer (early media) is left to the stack, which nobody listens to: it is ringing
    and announcements, and no conversation.
    """

    connected_event = "on_dialout_answered"
    stopped_event = "on_dialout_stopped"

    def __init__(self, *args: Any, ring_timeout_s: float, host: str, **named: Any) -> None:
        super().__init__(*args, **named)
        self._host = host
        self._unanswered = False
        self._ring_timeout_s = ring_timeout_s
        self._settled = asyncio.Event()  # answered, or not any more
        self._responded = asyncio.Event()
        if self._dialog.responded:
            self._responded.set()
        self._rings = False
        self._moved_to = ""
        self.failure: Failure | None = None  # once it has ended without an answer
        if self._dialog.unusable:
            self._on_dialog_event(DialogEvent.UNANSWERED)

    async def answer(self) -> None:
        try:
            async with asyncio.timeout(self._ring_timeout_s):
                await self._settled.wait()
        except TimeoutError:
            await self._hang_up(EndReason.NO_ANSWER if self._rings else EndReason.NOT_REACHED)
        if self._stopped and not self._established:
            raise CallGone(self.failure.sentence if self.failure else "We gave it up.", self._stopped)

    async def _hang_up(self, reason: EndReason) -> None:
        if self._responded.is_set() or self._stopped:
            await super()._hang_up(reason)
        else:
            self._stop(reason)
            self._start(self._cancel())

    async def _cancel(self) -> None:
        """RFC 3261 9.1: not before a response. The stack would forget the INVITE and leave it ringing."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TRANSACTION_S):
                await self._responded.wait()
        with contextlib.suppress(BaresipError):
            await self._call.hangup()

    def _on_dialog_event(self, event: DialogEvent) -> None:
        if event is DialogEvent.RESPONDED:
            self._responded.set()
        elif event is DialogEvent.UNANSWERED and not (self._stopped or self._established):
            self._reason = EndReason.NOT_REACHED
            self.failure = Failure(self._reason, 0, _UNUSABLE)
        super()._on_dialog_event(event)

    def _on_event(self, event: StackEvent) -> None:
        if event.event in (Event.CALL_RINGING, Event.CALL_PROGRESS) and not self._stopped:
            self._rings = True
            self._start(self.fire("on_dialout_ringing", event.event is Event.CALL_PROGRESS))
        elif event.event is Event.CALL_REDIRECT:
            self._moved_to = USER_PARAMETER.sub("", (event.text or "").partition(",")[2])
        super()._on_event(event)

    async def _connected(self) -> None:
        # Not before: the stack may not have had its sockets until it knew where the host is.
        self._sockets = await self._stack.rtp.take_over(self.info.call_id, None)
        self._settled.set()
        if self._stopped:
            self._close_sockets()
            return
        self.located(await self._stack.remote_address(self.info.call_id))
        await super()._connected()

    def _reason_of(self, text: str) -> EndReason:
        if not self._established and self.failure:
            return self.failure.reason
        if not self._established:
            self.failure = Failure.of(text, self._moved_to)
            certificate = self._stack.tls.refused.get(self._host)
            if certificate and text.startswith(_REFUSED):
                self.failure = dataclasses.replace(
                    self.failure, sentence=certificate[0].upper() + certificate[1:]
                )
            return self.failure.reason
        reason = super()._reason_of(text)
        return {
            EndReason.CALLER_HANGUP: EndReason.CALLED_HANGUP,
            EndReason.CALLER_GONE: EndReason.CALLED_GONE,
        }.get(reason, reason)

    def _stop(self, reason: EndReason) -> None:
        if reason is EndReason.CALLER_GONE:
            reason = EndReason.CALLED_GONE
        if not self._established and self.failure is None and not self._stopped:
            self.failure = self._given_up(reason)
        super()._stop(reason)
        self._settled.set()

    def _given_up(self, reason: EndReason) -> Failure:
        within = f"within {self._ring_timeout_s:g} s"
        silent = f"It didn't even ring {within}."
        if not self._responded.is_set():
            silent = f"Nothing came back {within}. Does sip.allow list its address?"
        sentence = {
            EndReason.NO_ANSWER: f"Nobody answered {within}.",
            EndReason.NOT_REACHED: silent,
            EndReason.TRANSPORT_FAILURE: "The SIP stack failed.",
        }.get(reason, "It was hung up before it was answered.")
        return Failure(reason, 0, sentence)


OutgoingHandler = Callable[[OutgoingCall], Coroutine[Any, Any, None]]
"""Runs a call that was made, to its end."""
