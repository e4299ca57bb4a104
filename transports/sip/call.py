"""A call over SIP."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Coroutine
from typing import Any

from baresip.call import Call, CallState
from baresip.errors import BaresipError, StaleHandleError
from baresip.events import Event, StackEvent
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import InputDTMFFrame
from pipecat.processors.frame_processor import FrameProcessor

from transports.call import CallGone, CallInfo, CallTransport, EndReason, MediaStats
from transports.pipecat_io import CallInput, CallOutput
from transports.playout import Playout
from transports.sip.native import Stack
from transports.sip.pump import Pump
from transports.sip.receiver import Receiver
from transports.sip.sender import Feeder, Sender

# What the stack says when the peer ends a call by BYE or CANCEL.
_ENDED_BY_PEER = "Connection reset by peer"

# From `pull` to the packet, measured: the feeder's wait and the stack's clock.
SEND_DELAY_S = 0.025

logger = logging.getLogger("offhook.sip")


class SipCall(CallTransport):
    """Driven by the stack's events; its audio is moved by the pump and the feeder."""

    def __init__(
        self,
        call: Call,
        info: CallInfo,
        *,
        pump: Pump,
        feeder: Feeder,
        rtp_timeout_s: float,
        stack: Stack,
    ) -> None:
        super().__init__(info, Playout(records=False))
        self._call = call
        self._pump = pump
        self._feeder = feeder
        self._rtp_timeout_s = rtp_timeout_s
        self._stack = stack
        self._input = CallInput()
        self._output = CallOutput(self.playout)
        self._sender = Sender(call.audio, self.playout, feeder.wake)
        self._receiver: Receiver | None = None
        self._reason: EndReason | None = None  # why we end it, if we do
        self._stopped: EndReason | None = None
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self.send_delay_s = SEND_DELAY_S
        self.playout.on_cut = self._cut
        self.playout.unsent = self._sender.unsent
        call.on(self._on_event)

    def input(self) -> FrameProcessor:
        return self._input

    def output(self) -> FrameProcessor:
        return self._output

    @property
    def over(self) -> bool:
        return self._stopped is not None

    @property
    def on_hold(self) -> bool:
        return self._call.remote_on_hold

    async def media_stats(self) -> MediaStats:
        try:
            return await self._stack.media_stats(self.info.call_id)
        except BaresipError:
            return MediaStats()

    def located(self, remote: str) -> None:
        """Note where the INVITE came from."""
        self.info = dataclasses.replace(self.info, remote=remote)

    async def answer(self) -> None:
        if self._stopped:
            raise CallGone("The call ended before it was answered.", self._stopped)
        try:
            await self._call.answer()
        except StaleHandleError as error:
            raise CallGone("The caller hung up before the call was answered.") from error
        except BaresipError as error:
            self._reason = self._reason or EndReason.TRANSPORT_FAILURE
            with contextlib.suppress(BaresipError):
                await self._stack.reject(self.info.call_id, 500, "Server Internal Error")
            await self._hang_up(self._reason)  # nothing is left to hang up, unless that failed
            raise CallGone(f"The call could not be answered: {error}.", self._reason) from error

    async def hangup(self) -> None:
        await self._hang_up(EndReason.AGENT_HANGUP)

    async def tick(self, now: float) -> None:
        """Move audio both ways. Called by the pump every 10 ms."""
        if self._receiver is None or self._stopped:
            return
        pcm = self._receiver.read(now)
        if pcm:
            await self._input.feed(pcm)
        self._sender.top_up()
        self.playout.settle()
        if now - self._receiver.heard_at > self._rtp_timeout_s and self._reason is None:
            if self.on_hold:
                self._receiver.heard_at = now
            else:
                self._start(self._hang_up(EndReason.CALLER_GONE))

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
            self._start(self._key_pressed(event.text))

    def _connect(self) -> None:
        if self._receiver is None and not self._stopped:
            self._receiver = Receiver(self._call.audio, self._loop.time())
            self._feeder.add(self._sender, self._feeding_failed)
            self._pump.add(self)
            self._start(self._connected())

    async def _connected(self) -> None:
        with contextlib.suppress(BaresipError):
            self.info = dataclasses.replace(self.info, codec=await self._stack.codec(self.info.call_id))
        await self.fire("on_dialin_connected")

    def _reason_of(self, text: str) -> EndReason:
        if self._receiver is None:
            return EndReason.CALLER_CANCELLED
        if text.startswith(_ENDED_BY_PEER):
            return EndReason.CALLER_HANGUP
        logger.info("call %s closed by the stack: %s", self.info.id, text)
        return EndReason.CALLER_GONE

    def _stop(self, reason: EndReason) -> None:
        if self._stopped:
            return
        self._stopped = reason
        self._mute()
        self._call.off(self._on_event)
        self.playout.on_cut = None
        self._start(self.fire("on_dialin_stopped", reason))

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

    async def _key_pressed(self, digit: str) -> None:
        try:
            key = KeypadEntry(digit)
        except ValueError:  # A to D have no place on a keypad
            return
        await self._input.feed_dtmf(InputDTMFFrame(button=key))
        await self.fire("on_dtmf_event", digit)

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


def user_of(uri: str) -> str:
    """The user part of a SIP or tel URI, with or without a display name and angle brackets."""
    uri = uri.rpartition("<")[2].partition(">")[0]
    return uri.partition(":")[2].partition("@")[0].partition(";")[0] if ":" in uri else ""
