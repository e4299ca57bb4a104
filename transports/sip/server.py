"""Listens for SIP calls and hands each to a `CallHandler`."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import math
import re
import resource
import socket
import sys
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from ipaddress import ip_network
from typing import ClassVar

from baresip.call import Call
from baresip.config import Config
from baresip.errors import BaresipError, CommandQueueFull
from baresip.runtime import Runtime
from baresip.ua import UserAgent

from config.answering import plain_number
from config.settings import SipSettings
from transports.call import CallHandler, CallInfo, CallRefused, CallsStopped
from transports.sip import packet_filter
from transports.sip.call import SipCall
from transports.sip.dialogs import Dialogs
from transports.sip.errors import NoAddress, SipError
from transports.sip.guard import Guard
from transports.sip.hooks import MessageHooks
from transports.sip.limits import Ban, Source, SourceLimits, name_of, network_of, source_of
from transports.sip.native import Stack, cut_connections, source_towards
from transports.sip.pump import Pump
from transports.sip.sender import Feeder
from transports.sip.tap import Tap, Traced
from transports.sip.trace import Trace

CODECS = {"opus": "opus/16000/1", "g722": "g722/16000/1", "pcmu": "pcmu", "pcma": "pcma"}
WATCH_INTERVAL_S = 10.0
PING_TIMEOUT_S = 5.0
RETRY_AFTER_S = 10
STRANGERS_LOG_INTERVAL_S = 60.0
# To tell the kernel takes milliseconds, and forged addresses earn hundreds of bans a second.
BANS_INTERVAL_S = 0.1
_BANS_TOLD = 10  # each in a line of the log, of those that are new at once
# With the default of 5 ms, the feeder misses its moment when the event loop computes for 40 ms.
GIL_SWITCH_INTERVAL_S = 0.001
# A call holds RTP, RTCP and timers; the models, HTTP and carriers need some as well.
_FILES_PER_CALL = 16
_FILES_ELSE = 1024
_CALL_ERROR = b"SIP/2.0 500 Call Error\r\n"
_NO_INTERFACE = "offhook-none"  # matches nothing: the stack starts without a socket
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_URI_USER = re.compile(r"\b(sips?:|tel:)[^@\s<>;]+@?")

logger = logging.getLogger("offhook.sip")


@dataclass(frozen=True, slots=True)
class BannedSource:
    address: str  # or an IPv6 network
    why: str
    seconds_left: float


class SipServer:
    """One SIP stack, on its own native thread. Only one can run in a process at a time."""

    _hung: ClassVar[list[object]] = []  # what a stack that didn't stop may still call

    def __init__(
        self,
        settings: SipSettings,
        max_calls: int,
        handler: CallHandler,
        on_dead: Callable[[], None] | None = None,
    ) -> None:
        """`on_dead` is called once if the SIP thread dies: no call can be taken in this process again."""
        self._settings = settings
        self._max_calls = max_calls
        self._handler = handler
        self._on_dead = on_dead
        self._runtime: Runtime | None = None
        self._stack: Stack | None = None
        self._pump = Pump()
        self._feeder = Feeder()
        self._sockets: list[socket.socket] = []
        self._live: set[str] = set()  # Call-IDs
        self._guard = Guard(
            SourceLimits(settings.messages_per_s, settings.ban_s),
            (*settings.ban_exempt, *settings.trusted_peers),
            self._live,
            self._on_ban,
        )
        self.trace = Trace(settings.trace_calls)
        self._tap = Tap(self._guard.received, self._traced)
        self._bans: dict[Source, Ban] = {}  # that the kernel knows
        self._told: set[str] = set()  # why addresses can't be listened on
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._banning: asyncio.TimerHandle | None = None
        self._calls: dict[SipCall, asyncio.Task[None]] = {}
        self._trusted = [ip_network(one) for one in settings.trusted_peers]
        self._addresses: AbstractSet[str] = set()  # that are listened on
        self._dialogs = Dialogs(
            codecs=settings.codecs,
            trusts=lambda peer: any(peer in network for network in self._trusted),
            reaches=lambda peer: source_towards(peer) in self._addresses,
        )
        self._hooks: MessageHooks | None = None
        self._watch: asyncio.Task[None] | None = None
        self._dead = False
        self._users = {plain_number(user) for user in settings.users}

    @property
    def bans(self) -> list[BannedSource]:
        now = time.monotonic()
        return [
            BannedSource(name_of(source), ban.why, ban.until - now)
            for source, ban in self._guard.bans().items()
        ]

    def unban(self, address: str) -> bool:
        """Listen again to an address or network, as `bans` names it; whether it was banned."""
        try:
            known = self._guard.unban(source_of(address.partition("/")[0]))
        except ValueError:
            return False
        self._apply_bans()
        return known

    @property
    def listening(self) -> bool:
        """Whether who calls now is answered."""
        return self._watch is not None and not self._dead

    async def start(self) -> None:
        """Listen. Raises SipError (PortInUse, NoAddress) with nothing left open."""
        self._loop = asyncio.get_running_loop()
        _redact(logging.getLogger("baresip.native"))
        _redact(logging.getLogger("baresip.native.sip"))
        _raise_file_limit(self._max_calls * _FILES_PER_CALL + _FILES_ELSE)
        sys.setswitchinterval(min(sys.getswitchinterval(), GIL_SWITCH_INTERVAL_S))
        try:
            runtime = Runtime()
            runtime.on_dead = self._died  # type: ignore[assignment]  # declared by its default, None
            await runtime.start(self._config())
            self._runtime = runtime
            self._stack = Stack(runtime)
            self._stack.rtp.preferred = self._settings.codecs
            await self._stack.rtp.play_nothing()
            agent = await UserAgent.create(runtime, self._account())
            agent.on_incoming(self._on_incoming)
            await self._listen()
        except SipError:
            await self.close()
            raise
        except (BaresipError, OSError, ValueError) as error:
            await self.close()
            raise SipError(f"the SIP stack did not start: {error}") from error
        self._feeder.start()
        self._watch = asyncio.create_task(self._watch_stack(), name="sip-watch")

    def drain(self, deadline_s: float) -> None:
        """Take no new calls, and say so; the server is gone after `deadline_s`."""
        self._dialogs.unavailable_s = max(RETRY_AFTER_S, math.ceil(deadline_s))

    async def close(self) -> None:
        """Hang up what is left and stop."""
        if self._stack is not None and self.listening:
            await self._end_abandoned()
        await asyncio.gather(*(call.hangup() for call in list(self._calls)))
        tasks = list(self._calls.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._banning:
            self._banning.cancel()
        for task in filter(None, (self._watch, self._sweeping)):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._watch = self._sweeping = None
        await self._pump.close()
        if self._feeder.started:
            await asyncio.to_thread(self._feeder.close)
        runtime, self._runtime = self._runtime, None
        if runtime is not None and not self._dead:
            if self._stack and (hooks := self._hooks):
                with contextlib.suppress(BaresipError):
                    await self._stack.on_sip_thread(hooks.close)
            try:
                await runtime.close()
            except BaresipError as error:
                self._dead = True
                logger.error("the SIP stack did not stop: %s", error)  # noqa: TRY400
        if self._dead:
            self._hung.append((self._hooks, self._tap))
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()

    def _config(self) -> Config:
        first, last = self._settings.rtp_ports
        return Config(
            net_interface=_NO_INTERFACE,
            # The handler says how many are taken; half-open ones don't count there, and do here.
            max_concurrent_calls=2 * self._max_calls + 2,
            extra_config_text=(
                f"rtp_ports {first}-{last}\n"
                # Who listens is a machine, which doesn't mind when a packet comes. The stack's buffer costs
                # 15 to 50 ms, and loses 2 to 16% of speech at 40 to 80 ms of jitter, measured.
                "audio_jitter_buffer_type off\n"
                # Otherwise every answered call puts the others on hold.
                "call_hold_other_calls no\n"
                # Speech, at the pipeline's rate: mono at 20 kbit/s instead of stereo at 80 to 100.
                "opus_samplerate 16000\nopus_stereo no\nopus_sprop_stereo no\nopus_bitrate 32000\n"
                "opus_inbandfec yes\nopus_application voip\nopus_complexity 5\n"
            ),
        )

    def _account(self) -> str:
        codecs = ",".join(CODECS[name] for name in self._settings.codecs)
        return (
            # No transport parameter and no address: with one, calls over the others get 404.
            "<sip:offhook@offhook>;regint=0;answermode=manual;catchall=yes;dtmfmode=rtpevent"
            f";audio_codecs={codecs}"
            # A REFER gets 501. Otherwise the stack accepts it with 202, and nobody here carries it out.
            ";call_transfer=no"
            # For those that demand it; `Dialogs` takes it away from those that only could.
            ";100rel=yes"
            # Without a value: no video at all. Otherwise the stack sends a re-INVITE after each ACK to
            # settle it, since VP8 is compiled in.
            ";video_codecs"
        )

    async def _listen(self) -> None:
        assert self._stack is not None
        self._sockets = await self._stack.listen(
            self._settings.host, self._settings.port, self._filter(), self._begin
        )

    def _begin(self, library: ctypes.CDLL, addresses: AbstractSet[str]) -> None:
        """On the SIP thread, before anything is received there."""
        self._addresses = addresses
        if self._hooks is None:
            self._hooks = MessageHooks(
                library,
                on_request=self._dialogs.received,
                on_send=self._dialogs.sent,
                on_refused=self._dialogs.forget,
            )
        self._hooks.attach()
        self._tap.attach(library, library.uag_sip())

    async def _follow_addresses(self) -> None:
        assert self._stack is not None
        new, gone, errors = await self._stack.follow_addresses(
            self._settings.host, self._settings.port, self._filter(), self._begin
        )
        for sock in [sock for sock in self._sockets if sock.getsockname()[0] in gone]:
            self._sockets.remove(sock)
            sock.close()
        self._sockets += new
        put_on = self._filter()  # somebody may have been banned meanwhile
        for sock in new:
            put_on(sock)
        if new or gone:
            added = {sock.getsockname()[0] for sock in new}
            logger.info("addresses: listening on %s, no longer on %s", _listed(added), _listed(gone))
        for error in errors:
            if not isinstance(error, NoAddress) and str(error) not in self._told:  # it isn't ready yet
                logger.warning("%s", error)
        self._told = {str(error) for error in errors}

    def _filter(self) -> Callable[[socket.socket], None]:
        """What makes a socket deaf to strangers and to whoever is banned."""
        denied = [network_of(source) for source in self._bans]
        programs = {
            family: packet_filter.compile_filter(self._settings.allow, family, denied)
            for family in (socket.AF_INET, socket.AF_INET6)
        }
        return lambda sock: packet_filter.attach(sock, programs[socket.AddressFamily(sock.family)])

    def _traced(self, message: Traced) -> None:
        """On the SIP thread."""
        self._guard.traced(message)
        if message.sent and message.raw.startswith(_CALL_ERROR) and self._loop:
            self._loop.call_soon_threadsafe(self._sweep)
        if not self._settings.trace_calls:
            return
        protocol = "UDP" if message.over_udp else "TCP"
        self.trace.add(time.time(), message.sent, protocol, message.local, message.remote, message.raw)

    def _sweep(self) -> None:
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._end_abandoned(), name="sip-sweep")

    def _on_ban(self, _: Source) -> None:
        """On any thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._apply_bans_soon)

    def _apply_bans_soon(self) -> None:
        if self._banning is None and self._loop:
            self._banning = self._loop.call_later(BANS_INTERVAL_S, self._apply_bans)

    def _apply_bans(self) -> None:
        if self._banning:
            self._banning.cancel()
            self._banning = None
        bans = self._guard.bans()
        if bans.keys() == self._bans.keys():
            return
        new, over = list(bans.keys() - self._bans.keys()), list(self._bans.keys() - bans.keys())
        for source in new[:_BANS_TOLD]:
            logger.warning("banned %s for %d s: %s", name_of(source), self._settings.ban_s, bans[source].why)
        for source in over[:_BANS_TOLD]:
            logger.info("%s is no longer banned", name_of(source))
        if max(len(new), len(over)) > _BANS_TOLD:
            logger.warning("banned %d sources in all, and %d no longer", len(new), len(over))
        self._bans = bans
        put_on = self._filter()
        for sock in self._sockets:
            put_on(sock)
        cut_connections(self._settings.port, lambda address: source_of(address) in bans)

    async def _end_abandoned(self) -> None:
        assert self._stack is not None
        with contextlib.suppress(BaresipError):
            if ended := await self._stack.end_abandoned():
                logger.info("ended %d calls whose peers were gone before they rang", ended)

    def _on_incoming(self, call: Call) -> None:
        assert self._stack is not None
        call_id = call.call_id or ""
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
        )
        sip_call = SipCall(
            call,
            info,
            dialog,
            pump=self._pump,
            feeder=self._feeder,
            rtp_timeout_s=self._settings.rtp_timeout_s,
            stack=self._stack,
        )
        task = asyncio.create_task(self._serve(call, sip_call), name=f"sip-{info.id}")
        self._calls[sip_call] = task
        self._live.add(info.call_id)
        self.trace.name(info.call_id, info.id)
        task.add_done_callback(lambda _: self._forget(sip_call))
        sip_call.add_event_handler("on_dialin_connected", self._note_source)

    async def _note_source(self, call: SipCall) -> None:
        if call.info.remote:
            self._guard.had_call(source_of(call.info.remote))

    def _forget(self, call: SipCall) -> None:
        self._calls.pop(call, None)
        self._live.discard(call.info.call_id)

    async def _serve(self, native_call: Call, call: SipCall) -> None:
        stack = self._stack
        assert stack is not None
        try:
            if self._users and plain_number(call.info.called) not in self._users:
                await stack.reject(call.info.call_id, 404, "Not Found")
                return
            call.located(await stack.remote_address(call.info.call_id))
            if not call.over:  # cancelled at once: nobody has to know
                await self._handler(call)
            if call.info.remote:
                self._guard.call_over(source_of(call.info.remote))
        except CallRefused as refused:
            try:
                if isinstance(refused, CallsStopped):
                    again = f"Retry-After: {RETRY_AFTER_S}\r\n"
                    await stack.reject(call.info.call_id, 503, "Service Unavailable", again)
                else:
                    await native_call.reject()
            except BaresipError as error:
                logger.debug("call %s: refusing failed: %s", call.info.id, error)
        except Exception:
            logger.exception("call %s failed", call.info.id)
        finally:
            await call.hangup()
            await call.settle()
            self._dialogs.forget(call.info.call_id)

    async def _watch_stack(self) -> None:
        """Notice a stack that hangs and addresses that come and go; tell how many packets were dropped."""
        told = dropped = sum(map(packet_filter.dropped, self._sockets))
        quiet_until = 0.0
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            dropped = sum(map(packet_filter.dropped, self._sockets))
            told = min(told, dropped)  # a socket may have gone
            if dropped > told and loop.time() >= quiet_until:
                logger.warning(
                    "dropped %d packets from addresses that sip.allow doesn't list, or that are banned",
                    dropped - told,
                )
                told, quiet_until = dropped, loop.time() + STRANGERS_LOG_INTERVAL_S
            self._apply_bans()  # some may be over
            if self._stack is not None:
                try:
                    await self._stack.ping(PING_TIMEOUT_S)
                    await self._follow_addresses()
                    await self._end_abandoned()
                except (CommandQueueFull, OSError) as error:  # it has much to do, or we have no file left
                    logger.warning("the SIP stack is not looked after now: %s", error)
                except BaresipError:
                    self._died()
                    return

    def _died(self) -> None:
        if self._dead:
            return
        self._dead = True
        logger.critical("the SIP stack has stopped working; this process can take no more SIP calls")
        for call in list(self._calls):
            call.fail()
        if self._on_dead:
            self._on_dead()


def _listed(addresses: set[str]) -> str:
    return ", ".join(sorted(addresses)) or "none"


def _raise_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _redact(native: logging.Logger) -> None:
    """Keep the numbers of callers and called, and control characters, out of the native stack's log lines."""
    if not native.filters:
        native.addFilter(_without_users)


def _without_users(record: logging.LogRecord) -> bool:
    record.msg, record.args = _CONTROL.sub("", _URI_USER.sub(r"\1…@", record.getMessage())), None
    return True
