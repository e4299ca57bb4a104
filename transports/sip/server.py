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
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, ClassVar

from baresip.call import Call
from baresip.config import Config
from baresip.errors import BaresipError, CommandQueueFull
from baresip.runtime import Runtime
from baresip.ua import UserAgent

from config.accounts import AccountSettings
from config.numbers import plain_number
from config.outbound import OutboundSettings
from config.settings import SipSettings
from transports.call import CallGone, CallHandler, CallInfo, CallRefused, CallsStopped, EndReason
from transports.outbound import OutboundGuard
from transports.sip import packet_filter
from transports.sip.accounts import Accounts, AccountState
from transports.sip.call import SipCall
from transports.sip.dialler import Dialler
from transports.sip.dialogs import RETRY_AFTER_S, Dialogs, Reply
from transports.sip.errors import NoAddress, SipError
from transports.sip.guard import Guard
from transports.sip.hooks import MessageHooks
from transports.sip.limits import Ban, Source, SourceLimits, name_of, network_of, source_of
from transports.sip.logins import Logins
from transports.sip.message import Message
from transports.sip.native import Stack, cut_connections, source_towards
from transports.sip.native_agents import Agent
from transports.sip.outgoing import OutgoingCall
from transports.sip.pump import Pump
from transports.sip.registrar import Peer, Registrar
from transports.sip.sender import Feeder
from transports.sip.tap import Tap, Traced
from transports.sip.trace import Trace, call_id_of

WATCH_INTERVAL_S = 10.0
PING_TIMEOUT_S = 5.0
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
_ANYONE = ""  # the agent that answers who comes by no account
_EVERYONE = ("0.0.0.0/0", "::/0")
_NO_INTERFACE = "offhook-none"  # matches nothing: the stack starts without a socket
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_URI_USER = re.compile(r"\b(sips?:|tel:)[^@\s<>;]+@?")

OutgoingHandler = Callable[[OutgoingCall], Coroutine[Any, Any, None]]

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
        headers: Iterable[str] = (),
        outbound: OutboundGuard | None = None,
    ) -> None:
        """`headers`, by lower-case name, are those of an INVITE that `CallInfo` is to have.

        `on_dead` is called once if the SIP thread dies: no call can be taken in this process again. Nobody is
        called but whom `outbound` permits.
        """
        self._settings = settings
        self._max_calls = max_calls
        self._handler = handler
        self._on_dead = on_dead
        self._outbound = outbound or OutboundGuard(OutboundSettings())
        self._runtime: Runtime | None = None
        self._stack: Stack | None = None
        self._certificate: bytes | None = None
        self._dialler: Dialler | None = None
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
        self._listed = [ip_network(one) for one in settings.allow]
        self._logins = Logins(
            settings.auth,
            settings.registrar,
            listed=lambda peer: any(peer in network for network in self._listed),
        )
        self._dialogs = Dialogs(
            codecs=settings.codecs,
            trusts=lambda peer: any(peer in network for network in self._trusted),
            reaches=lambda peer: source_towards(peer) in self._addresses,
            headers=headers,
            account_of=lambda request, source: self._accounts.of(request, source) if self._accounts else None,
            media_encryption=settings.media_encryption,
        )
        self._agents: dict[str, UserAgent] = {}  # by account
        self._accounts: Accounts | None = None
        self._filtering = threading.Lock()
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

    async def certify(self, chain: bytes) -> None:
        """Show this certificate over TLS: PEM, with what it is signed by and its key.

        Before `start`, or later in the place of another; calls go on. Raises SipError.
        """
        self._certificate = chain
        if (stack := self._stack) and self.listening:
            try:
                await stack.on_sip_thread(lambda: stack.tls.certify(chain))
            except BaresipError as error:
                raise SipError(f"the SIP stack can't be told of the certificate: {error}") from error

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
            await self._stack.rtp.play_nothing()
            self._took(_ANYONE, await self._stack.agents.answering_anyone(self._settings.codecs))
            self._accounts = Accounts(self._stack, self._create_agent, self._hear_accounts)
            self._dialler = Dialler(
                runtime,
                self._stack,
                self._dialogs,
                pump=self._pump,
                feeder=self._feeder,
                rtp_timeout_s=self._settings.rtp_timeout_s,
            )
            await self._listen()
            await self._accounts.apply(self._settings.accounts)
        except SipError:
            await self.close()
            raise
        except (BaresipError, OSError, ValueError) as error:
            await self.close()
            raise SipError(f"the SIP stack did not start: {error}") from error
        self._feeder.start()
        self._watch = asyncio.create_task(self._watch_stack(), name="sip-watch")

    @property
    def accounts(self) -> list[AccountState]:
        return self._accounts.states() if self._accounts else []

    async def apply_accounts(self, accounts: Mapping[str, AccountSettings]) -> None:
        """Have these accounts from now on, and no others; no call ends by it. Raises BaresipError."""
        assert self._accounts is not None
        await self._accounts.apply(accounts)
        self._agents = {name: one for name, one in self._agents.items() if name in (_ANYONE, *accounts)}

    async def dial(
        self,
        to: str,
        handler: Callable[[OutgoingCall], Coroutine[Any, Any, None]],
        *,
        account: str = "",
        ring_timeout_s: float,
    ) -> OutgoingCall:
        """Call somebody and have `handler` run the call, which is under way when this returns.

        Raises NotPermitted, or CallGone where it can't even be tried.
        """
        destination = self._outbound.permits(to)
        agent = self._agents.get(account)
        if self._dialler is None or agent is None or not self.listening:
            raise CallGone("The telephone line is down, or has no such account.", EndReason.NOT_REACHED)
        return await self._dialler.dial(
            agent,
            account,
            destination,
            lambda call: self._supervise(call, handler(call)),
            ring_timeout_s=ring_timeout_s,
        )

    def drain(self, deadline_s: float) -> None:
        """Take no new calls, and say so; the server is gone after `deadline_s`."""
        self._dialogs.unavailable_s = max(RETRY_AFTER_S, math.ceil(deadline_s))

    def tell_ready(self, ready: bool) -> None:
        """What an OPTIONS is answered: 200 or 503."""
        self._dialogs.ready = ready

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
        if self._accounts:
            await self._accounts.close()
        runtime, self._runtime = self._runtime, None
        if runtime is not None and not self._dead:
            if self._stack and (hooks := self._hooks):
                with contextlib.suppress(BaresipError):
                    await self._stack.on_sip_thread(hooks.close)
                    await self._stack.on_sip_thread(self._stack.tls.close)
            try:
                await runtime.close()
            except BaresipError as error:
                self._dead = True
                logger.error("the SIP stack did not stop: %s", error)  # noqa: TRY400
        if self._dead:
            self._hung.append((self._hooks, self._tap, self._stack))
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
                # Accounts may have the same user.
                "sip_cuser_random yes\n"
                # Otherwise every answered call puts the others on hold.
                "call_hold_other_calls no\n"
                # Speech, at the pipeline's rate: mono at 20 kbit/s instead of stereo at 80 to 100.
                "opus_samplerate 16000\nopus_stereo no\nopus_sprop_stereo no\nopus_bitrate 32000\n"
                "opus_inbandfec yes\nopus_application voip\nopus_complexity 5\n"
            ),
        )

    async def _create_agent(self, name: str, account: AccountSettings) -> Agent:
        assert self._stack is not None
        agent = await self._stack.agents.of_account(name, account, account.codecs or self._settings.codecs)
        self._took(name, agent)
        return agent

    def _took(self, name: str, agent: Agent) -> None:
        self._agents[name] = agent.user_agent
        agent.user_agent.on_incoming(self._on_incoming)

    def _hear_accounts(self) -> None:
        """On any thread."""
        if self._accounts:
            self._guard.exempt(self._accounts.heard)
            self._put_filter()

    async def _listen(self) -> None:
        stack, settings = self._stack, self._settings
        assert stack is not None

        def start_tls() -> None:
            stack.tls.start(settings.tls_ca, settings.tls_client_ca)
            if self._certificate:
                stack.tls.certify(self._certificate)

        await stack.on_sip_thread(start_tls)
        stack.tls_port = settings.tls_port if settings.over_tls else None
        self._sockets = await stack.listen(
            self._settings.host, self._settings.port, self._filter(), self._begin
        )

    def _begin(self, library: ctypes.CDLL, addresses: AbstractSet[str]) -> None:
        """On the SIP thread, before anything is received there."""
        self._addresses = addresses
        if self._hooks is None:
            assert self._stack is not None
            srtp = self._stack.rtp.srtp
            srtp.require()
            self._hooks = MessageHooks(
                library,
                on_request=self._received,
                on_send=self._dialogs.sent,
                on_refused=self._dialogs.forget,
                making_call=lambda call_id: srtp.calls_made_with(self._dialogs.mediaenc(call_id)),
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

    def _put_filter(self) -> None:
        """On any thread."""
        with self._filtering:
            put_on = self._filter()
            for sock in self._sockets:
                put_on(sock)

    def _filter(self) -> Callable[[socket.socket], None]:
        """What makes a socket deaf to strangers and to whoever is banned."""
        denied = [network_of(source) for source in list(self._bans)]
        heard = sorted(self._accounts.heard) if self._accounts else ()
        allowed = _EVERYONE if self._settings.auth.users else (*self._settings.allow, *heard)
        programs = {
            family: packet_filter.compile_filter(allowed, family, denied)
            for family in (socket.AF_INET, socket.AF_INET6)
        }
        return lambda sock: packet_filter.attach(sock, programs[socket.AddressFamily(sock.family)])

    def _received(self, request: Message, peer: Peer) -> Message | Reply | None:
        """On the SIP thread."""
        of_account = self._accounts is not None and self._accounts.of(request, peer.address) is not None
        refusal = self._logins.received(request, peer, of_account=of_account)
        return refusal or self._dialogs.received(request, peer.address)

    @property
    def registrar(self) -> Registrar | None:
        """Where the telephones are that log in here; None if none may."""
        return self._logins.registrar

    def _traced(self, message: Traced) -> None:
        """On the SIP thread."""
        self._guard.traced(message)
        if message.sent and message.raw.startswith(_CALL_ERROR) and self._loop:
            self._loop.call_soon_threadsafe(self._sweep)
        if not message.sent and message.raw.startswith(b"SIP/2.0 "):
            self._dialogs.responded(call_id_of(message.raw))
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
        self._put_filter()
        ports = {self._settings.port, self._settings.tls_port}
        cut_connections(ports, lambda address: source_of(address) in bans)

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
            account=dialog.account,
            headers=who.headers,
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
        self._supervise(sip_call, self._serve(call, sip_call))

    def _supervise(self, call: SipCall, serving: Coroutine[Any, Any, None]) -> None:
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

        task = self._calls[call] = asyncio.create_task(run(), name=f"sip-{call.info.id}")
        self._live.add(call.info.call_id)
        self.trace.name(call.info.call_id, call.info.id)
        task.add_done_callback(lambda _: self._forget(call))
        call.add_event_handler(call.connected_event, self._note_source)

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
