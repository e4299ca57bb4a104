"""What passes between peers and the stack: who looks at it, on its way in and out, and in which order."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from transports.sip.dialogs import Dialogs
from transports.sip.dispatcher import Dispatcher
from transports.sip.door import Door
from transports.sip.guard import Guard
from transports.sip.hooks import MessageHooks
from transports.sip.legacy import as_sent
from transports.sip.libre import UDP
from transports.sip.limits import source_of
from transports.sip.message import Message, Reply
from transports.sip.nat import with_contact
from transports.sip.native import Stack
from transports.sip.registrar import Peer
from transports.sip.sdp import Ip
from transports.sip.tap import Tap, Traced
from transports.sip.trace import Trace
from transports.sip.worker import Worker

_CALL_ERROR = b"SIP/2.0 500 Call Error\r\n"


class Signalling:
    """Of one SIP stack, which it has only once that runs. Everything here is called on the SIP thread."""

    def __init__(
        self,
        guard: Guard,
        door: Door,
        dialogs: Dialogs,
        trace: Trace,
        dispatcher: Dispatcher | None,
        worker: Worker | None,
        *,
        passes_tcp: Callable[[Ip], bool],
        on_login: Callable[[], None],
        on_abandoned: Callable[[], None],
    ) -> None:
        """`passes_tcp`: whether who sends by TCP is heard at all; by UDP the kernel has seen to that.

        `on_login`: a telephone has logged in, or out. `on_abandoned`: a caller was gone before it rang.
        """
        self._guard = guard
        self._door = door
        self._dialogs = dialogs
        self._trace = trace
        self._dispatcher, self._worker = dispatcher, worker
        self._passes_tcp = passes_tcp
        self._on_login = on_login
        self._on_abandoned = on_abandoned
        self.stack: Stack | None = None
        self.addresses: AbstractSet[str] = set()  # that are listened on
        self._tap = Tap(guard.received, self._traced, self._sending)
        self._hooks: MessageHooks | None = None

    @property
    def begun(self) -> bool:
        return self._hooks is not None

    def begin(self, library: ctypes.CDLL, addresses: AbstractSet[str]) -> None:
        """Before anything is received; again where there are more sockets."""
        assert self.stack is not None
        self.addresses = addresses
        if self._hooks is None:
            srtp = self.stack.rtp.srtp
            srtp.require()
            self._hooks = MessageHooks(
                library,
                hears=lambda peer: peer.protocol == UDP or self._passes_tcp(peer.address),
                on_request=self._received,
                on_answer=self._answered,
                on_send=self._sent,
                on_refused=self._dialogs.forget,
                making_call=lambda call_id: srtp.calls_made_with(self._dialogs.mediaenc(call_id)),
            )
        self._hooks.attach()
        self._tap.attach(library, library.uag_sip())
        if self._dispatcher:
            self._dispatcher.begin(self.stack, self._guard)

    def close(self) -> None:
        if self._hooks:
            self._hooks.close()

    def _received(self, request: Message, peer: Peer) -> Message | Reply | None:
        sender = self._door.origin(request, peer)
        passed_on = sender is not peer
        if passed_on and self._guard.banned(source_of(str(sender.address))):
            return Reply(403, "Forbidden")  # the kernel knows the proxy only
        reply = self._door.received(request, sender, passed_on=passed_on)
        if reply and reply.status == 200:
            self._on_login()
        if request.method in ("INVITE", "UPDATE") and not passed_on:
            request = with_contact(request, peer)
        return reply or self._dialogs.received(request, sender.address)

    def _answered(self, response: Message, peer: Peer) -> Message | None:
        reached = with_contact(response, peer)
        return self._dialogs.answered(reached, peer.address) or (reached if reached != response else None)

    def _sent(self, message: Message, peer: Ip) -> Message | None:
        if self._worker:
            self._worker.sending(message)
        if message.status:
            message = as_sent(message)
        outgoing = self._dialogs.sent(message)
        if outgoing and self._door.accounts:
            self._door.accounts.sent(outgoing, peer)
        return outgoing and self._door.told(outgoing, peer, self.addresses)

    def _sending(self, protocol: int, address: int) -> None:
        if self._hooks:
            self._hooks.sending(protocol, address)

    def _traced(self, message: Traced) -> None:
        self._guard.traced(message)
        if message.sent and message.raw.startswith(_CALL_ERROR):
            self._on_abandoned()
        if not message.sent and message.raw.startswith(b"SIP/2.0 "):
            self._dialogs.responded(message.raw)
        self._trace.add(
            time.time(), message.sent, message.protocol, message.local, message.remote, message.raw
        )
