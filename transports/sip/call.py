"""A call over SIP."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from baresip.call import Call, CallState
from baresip.errors import BaresipError, StaleHandleError
from baresip.events import Event, StackEvent
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import InputDTMFFrame
from pipecat.processors.frame_processor import FrameProcessor

from transports.call import CallGone, CallInfo, CallTransport, EndReason, MediaStats, TransferFailed
from transports.pipecat_io import CallInput, CallOutput
from transports.playout import Playout
from transports.sip.dialog import Dialog, DialogEvent
from transports.sip.encryption import Secured
from transports.sip.hold import Hold
from transports.sip.native import Stack
from transports.sip.native_rtp import Negotiated
from transports.sip.pump import Pump
from transports.sip.receiver import Receiver
from transports.sip.registrar import Unreached
from transports.sip.sender import Feeder, Sender
from transports.sip.source import Address
from transports.sip.transfer import TRANSFERRED, refer

# What the stack says when the peer ends a call by BYE or CANCEL.
_ENDED_BY_PEER = "Connection reset by peer"
_REPLACED = " replaced"  # by another call, whose Replaces named this one

# From `pull` to the packet, measured: the feeder's wait and the stack's clock.
SEND_DELAY_S = 0.025
SENT_DELAY_S = 0.042  # and from where the feeder has written it, 7 ms more or less: the ring and its packet

SILENCES_A_CHECK = 3  # of rtp_timeout_s each, of a caller who holds or only listens
SAME_KEY_S = 0.5
KEY_GAP_MS = 120  # Q.24 says 40 at least; some gateways want more
TRANSACTION_S = 32.0  # RFC 3261 17.1.1.2: then an INVITE that nothing answered is given up
PRACK_TIMEOUT_S = 32.0  # RFC 3262 3: then the stack gives up
HANGUPS = (EndReason.CALLER_HANGUP, EndReason.CALLED_HANGUP)
# What the stack says when the peer or we have made another offer, or answered one.
_RENEGOTIATING = (
    *(Event.CALL_LOCAL_SDP, Event.CALL_REMOTE_SDP, Event.CALL_HOLD, Event.CALL_RESUME),
    Event.CALL_MENC,  # keys were agreed on
)

logger = logging.getLogger("offhook.sip")


class SipCall(CallTransport):
    """Driven by the stack's events; its audio is moved by the pump and the feeder."""

    def __init__(
        self,
        call: Call,
        info: CallInfo,
        dialog: Dialog,
        *,
        pump: Pump,
        feeder: Feeder,
        rtp_timeout_s: float,
        stack: Stack,
        reach: Callable[[str], str],
        joins: SipCall | None = None,
    ) -> None:
        """`reach` gives the address at which a URI is reached, or raises Unreached.

        A call that `joins` another one shares its ends of the pipeline.
        """
        super().__init__(info, joins.playout if joins else Playout(records=False))
        self._call = call
        self._dialog = dialog
        self._pump = pump
        self._feeder = feeder
        self._rtp_timeout_s = rtp_timeout_s
        self._stack = stack
        self._reach = reach
        self._hold = Hold(info.call_id, dialog, stack, self.playout)
        self._input = joins.input() if joins else CallInput()
        self._output = CallOutput(self.playout)
        self._sender = Sender(call.audio, self.playout, feeder.wake)
        self._sockets: tuple[socket.socket, socket.socket] | None = None  # the call's RTP and RTCP
        self._receiver: Receiver | None = None
        self._unanswered = True  # by us
        self._established = False
        self._sends_to: Address | None = None
        self._reason: EndReason | None = None  # why we end it, if we do
        self._stopped: EndReason | None = None
        self._loop = asyncio.get_running_loop()
        self._acknowledged = asyncio.Event()  # the provisional response, where that has to be
        self._timer: asyncio.TimerHandle | None = None
        self._silences = 0
        self._asked_at: float | None = None  # whether the peer is there, which hasn't said anything since
        self._outdated = self._catching_up = False  # with what was agreed
        self._replaced: SipCall | None = None  # the call in which the peer is asked to take our place
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_key: tuple[tuple[str, bool], float] = ("", False), 0.0
        self.send_delay_s = SEND_DELAY_S
        self.sent_delay_s = SENT_DELAY_S
        if joins is None:
            self._take_playout()
        call.on(self._on_event)
        dialog.on_event = lambda event: self._loop.call_soon_threadsafe(self._on_dialog_event, event)

    def input(self) -> CallInput:
        return self._input

    def output(self) -> FrameProcessor:
        return self._output

    @property
    def over(self) -> bool:
        return self._stopped is not None

    @property
    def left(self) -> bool:
        """Whether the peer has hung up."""
        return self._stopped in HANGUPS

    @property
    def on_hold(self) -> bool:
        return self._hold.silent

    async def media_stats(self) -> MediaStats:
        if self._receiver is None:
            return MediaStats()
        stats, ssrc = self._receiver.stats, self._receiver.ssrc
        if ssrc is None:
            return stats
        try:
            round_trip_ms = await self._stack.rtp.round_trip_ms(self.info.call_id, ssrc)
        except BaresipError:
            return stats
        return dataclasses.replace(stats, round_trip_ms=round_trip_ms)

    def located(self, remote: str) -> None:
        """Note where the INVITE came from."""
        self.info = dataclasses.replace(self.info, remote=remote)

    async def answer(self) -> None:
        if self._stopped:
            raise CallGone("The call ended before it was answered.", self._stopped)
        if self._dialog.awaits_prack:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._acknowledged.wait(), PRACK_TIMEOUT_S)
            if self._stopped:
                raise CallGone("The caller hung up before the call was answered.")
        try:
            self._sockets = await self._stack.rtp.take_over(self.info.call_id, self._dialog.codecs)
            if self._stopped:
                self._close_sockets()
                raise CallGone("The call ended before it was answered.", self._stopped)
            await self._call.answer()
            self._unanswered = False
        except StaleHandleError as error:
            raise CallGone("The caller hung up before the call was answered.") from error
        except BaresipError as error:
            self._reason = self._reason or EndReason.TRANSPORT_FAILURE
            await self._decline(500, "Server Internal Error")
            await self._hang_up(self._reason)  # nothing is left to hang up, unless that failed
            raise CallGone(f"The call could not be answered: {error}.", self._reason) from error

    async def hangup(self) -> None:
        if self._unanswered and not self._established and not self._stopped:
            await self._decline(480, "Temporarily Unavailable")  # the stack would say that the line is busy
        await self._hang_up(EndReason.AGENT_HANGUP)

    async def _decline(self, status: int, reason: str) -> None:
        with contextlib.suppress(BaresipError):
            await self._stack.reject(self.info.call_id, status, reason)

    async def hold(self) -> None:
        await self._hold.hold(True)

    async def resume(self) -> None:
        await self._hold.hold(False)

    async def send_keys(self, keys: str) -> None:
        try:
            await self._call.send_dtmf(keys, KEY_GAP_MS)
        except BaresipError as error:
            raise CallGone("The call is over.", EndReason.CALLER_HANGUP) from error

    async def transfer(self, to: str | CallTransport, *, timeout_s: float) -> None:
        try:
            there = self._reach(to) if isinstance(to, str) else to
        except Unreached as error:
            raise TransferFailed(str(error)) from None
        await refer(self._stack, self._call, there, timeout_s)

    def fileno(self) -> int:
        assert self._sockets
        return self._sockets[0].fileno()

    async def tick(self, now: float, *, readable: bool) -> None:
        """Move audio both ways. Called by the pump every 10 ms; `readable` if packets have come."""
        if self._receiver is None or self._stopped:
            return
        if readable or self._receiver.due(now):
            await self._hear(self._receiver, now)
        self._sender.top_up()
        self.playout.settle()
        if now - self._receiver.heard_at > self._rtp_timeout_s and self._reason is None:
            self._miss(self._receiver, now)

    async def _hear(self, receiver: Receiver, now: float) -> None:
        pcm, keys = receiver.read(now)
        if pcm:
            await self._input.feed(bytes(len(pcm)) if self._hold.by_peer else pcm)
        for key in keys:
            await self._key_pressed(key, by_media=True)
        if receiver.destination != self._sends_to:
            self._sends_to = receiver.destination
            self._tell(self._stack.rtp.send_to(self.info.call_id, self._sends_to))

    def _miss(self, receiver: Receiver, now: float) -> None:
        """Nothing of the caller's was heard for long."""
        receiver.note_reports(now)
        if now - receiver.heard_at <= self._rtp_timeout_s:
            return
        if not self.on_hold:
            self._start(self._hang_up(EndReason.CALLER_GONE))
            return
        receiver.heard_at = now  # silent by agreement, or gone: ask now and then
        self._silences += 1
        if self._silences % SILENCES_A_CHECK == 0 and not self._dialog.agreed.muted:
            self._refresh()

    def fail(self) -> None:
        """The stack is dead, and the call with it."""
        self._stop(EndReason.TRANSPORT_FAILURE)

    def break_off(self, error: Exception) -> None:
        """The call's audio can't go on: tell why, and hang up."""
        self._mute()
        if self._reason is None and not self._stopped:
            logger.error("call %s: its audio failed", self.info.id, exc_info=error)
            self._reason = EndReason.TRANSPORT_FAILURE
            self._start(self._hang_up(self._reason))

    async def settle(self) -> None:
        """Wait until the call's own tasks are done."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_event(self, event: StackEvent) -> None:
        if event.event is Event.CALL_ESTABLISHED:
            self._connect()
        elif event.event is Event.CALL_CLOSED:
            self._stop(self._reason or self._reason_of(event.text or ""))
        elif event.event is Event.CALL_DTMF_START and event.text:
            self._start(self._key_pressed(event.text, by_media=False))
        elif event.event in _RENEGOTIATING:
            self._renegotiated()

    def _on_dialog_event(self, event: DialogEvent) -> None:
        if self._stopped:
            return
        if event is DialogEvent.RESPONDED:
            self._asked_at = None
        elif event is DialogEvent.PRACKED:
            self._acknowledged.set()
        elif event is DialogEvent.AGREED:
            self._start_timer()
            self._hold.agreed()
            self._renegotiated()
        elif event is DialogEvent.REFRESHED and self._established:
            self._start_timer()
        elif event is DialogEvent.UNANSWERED:
            self._start(self._hang_up(EndReason.TRANSPORT_FAILURE))

    def _start_timer(self) -> None:
        """Once the call is answered, or the session refreshed."""
        if self._timer:
            self._timer.cancel()
        timer = self._dialog.agreed.timer
        self._timer = self._loop.call_later(timer.due_s, self._expire) if timer else None

    def _expire(self) -> None:
        timer = self._dialog.agreed.timer
        if timer and timer.ours:
            self._refresh()
            self._start_timer()
        elif timer:
            self._start(self._hang_up(EndReason.CALLER_GONE))

    def _refresh(self) -> None:
        """Ask by a re-INVITE whether the caller is still there.

        The stack ends the call of who isn't, but where it can't even send, as on a connection that is lost.
        """
        now = self._loop.time()
        if self._asked_at is None:
            self._asked_at = now
        elif now - self._asked_at > TRANSACTION_S:
            self._start(self._hang_up(EndReason.CALLER_GONE))
            return
        self._start(self._ask())

    async def _ask(self) -> None:
        try:
            await self._stack.refresh(self.info.call_id)
        except BaresipError:  # nothing was asked
            self._asked_at = None

    def _connect(self) -> None:
        if not self._established and self._reason is None and not self._stopped:
            self._established = True
            self._start(self._take_up())

    async def _take_up(self) -> None:
        try:
            await self._connected()
        except BaresipError as error:  # the stack has too much to do, and nobody would be heard
            logger.warning("call %s could not be taken up: %s", self.info.id, error)
            await self._hang_up(EndReason.TRANSPORT_FAILURE)

    async def _connected(self) -> None:
        negotiated = await self._stack.rtp.negotiated(self.info.call_id)
        if negotiated is None or self._sockets is None or self._stopped:
            return
        if self._dialog.must_encrypt and not negotiated.encryption:  # the stack takes an answer without
            await self._hang_up(EndReason.TRANSPORT_FAILURE)
            return
        self._dialog.secured = self._dialog.secured or Secured(negotiated.encryption)
        self._receiver = Receiver(
            self._sockets, negotiated, self.info.remote, self._loop.time(), self._hand_back
        )
        self._sends_to = negotiated.remote
        self._feeder.add(self._sender, self._feeding_failed)
        self._pump.add(self)
        self._note(negotiated)
        await self.fire(self.connected_event)

    def _note(self, negotiated: Negotiated) -> None:
        self.info = dataclasses.replace(
            self.info, codec=negotiated.codec, encryption=negotiated.encryption.value
        )

    def _hand_back(self, packet: bytes, source: Address) -> None:
        """What came to the RTP socket for the stack."""
        self._tell(self._stack.rtp.hand_back(self.info.call_id, packet, source))

    def _renegotiated(self) -> None:
        """One offer makes several events, and a peer may make many offers: one look at a time."""
        self._outdated = True
        if not self._catching_up:
            self._catching_up = True
            self._start(self._catch_up())

    async def _catch_up(self) -> None:
        """Go on as was agreed last."""
        try:
            while self._outdated:
                self._outdated = False
                negotiated = await self._negotiated()
                if self._receiver and negotiated and not self._stopped:
                    self._receiver.renegotiated(negotiated)
                    self._sends_to = negotiated.remote
                    self._note(negotiated)
        finally:
            self._catching_up = False

    def _tell(self, command: Coroutine[Any, Any, None]) -> None:
        """Have the stack do something, with nobody to wait for it."""

        async def tell() -> None:
            with contextlib.suppress(BaresipError):  # the stack is dead, and says so elsewhere
                await command

        self._start(tell())

    async def _negotiated(self) -> Negotiated | None:
        try:
            return await self._stack.rtp.negotiated(self.info.call_id)
        except BaresipError:
            return None

    def _reason_of(self, text: str) -> EndReason:
        if not self._established:
            return EndReason.CALLER_CANCELLED
        if text == TRANSFERRED or text.endswith(_REPLACED):
            return EndReason.TRANSFERRED
        if text.startswith(_ENDED_BY_PEER):
            # Many PBXs hang up once they have taken the transfer on, and tell nothing of how it went.
            gone = self._dialog.transferring and self._dialog.handed_over and not self._replaced
            return EndReason.TRANSFERRED if gone else EndReason.CALLER_HANGUP
        logger.info("call %s closed by the stack: %s", self.info.id, text)
        return EndReason.CALLER_GONE

    def _stop(self, reason: EndReason) -> None:
        if self._stopped:
            return
        self._stopped = reason
        self._acknowledged.set()  # nobody will
        if self._timer:
            self._timer.cancel()
        self._mute()
        self._close_sockets()
        self._call.off(self._on_event)
        self._tell_stopped(reason)

    def _tell_stopped(self, reason: EndReason) -> None:
        self.playout.on_cut = None
        self._start(self.fire(self.stopped_event, reason))

    async def _hang_up(self, reason: EndReason) -> None:
        if self._stopped:
            return
        self._reason = self._reason or reason
        try:
            await self._call.hangup()
        except StaleHandleError:
            pass
        except BaresipError as error:
            logger.warning("call %s: hanging up failed: %s", self.info.id, error)
        if self._call.state is not CallState.CLOSED:
            self._stop(self._reason)

    async def _key_pressed(self, digit: str, *, by_media: bool) -> None:
        """Some phones tell of each key twice: in the media, and by an INFO."""
        now, (before, at) = self._loop.time(), self._last_key
        if before == (digit, not by_media) and now - at < SAME_KEY_S:
            return
        self._last_key = (digit, by_media), now
        with contextlib.suppress(ValueError):  # Pipecat's keypad lacks A to D, which are an event only
            await self._input.feed_dtmf(InputDTMFFrame(button=KeypadEntry(digit)))
        await self.fire("on_dtmf_event", digit)

    def _take_playout(self) -> None:
        self.playout.on_cut = self._cut
        self.playout.unsent = self._sender.unsent

    def _close_sockets(self) -> None:
        for sock in self._sockets or ():
            sock.close()

    def _mute(self) -> None:
        """Move no more audio."""
        self._pump.remove(self)
        self._feeder.remove(self._sender)

    def _feeding_failed(self, error: Exception) -> None:
        """On the feeder's thread."""
        self._loop.call_soon_threadsafe(self.break_off, error)

    def _cut(self) -> None:
        self._sender.cut()
        self._loop.call_soon(self._sender.top_up)  # pulls the fade, once the playout has made it

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
