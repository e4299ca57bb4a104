"""Listens for SIP calls and hands each to a `CallHandler`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from baresip.errors import BaresipError, CommandQueueFull
from baresip.runtime import Runtime
from baresip.ua import UserAgent

from config.accounts import AccountSettings
from config.destinations import Destination
from config.numbers import plain_number
from config.outbound import OutboundSettings
from config.sip import SipSettings
from transports.call import CallGone, CallHandler, EndReason
from transports.outbound import NotPermitted, OutboundGuard
from transports.sip import process
from transports.sip.accounts import Accounts, AccountState
from transports.sip.answerer import Answerer
from transports.sip.calls import Calls
from transports.sip.dialler import Dialler
from transports.sip.dialogs import RETRY_AFTER_S, Dialogs
from transports.sip.dispatcher import Dispatcher
from transports.sip.door import Door
from transports.sip.errors import SipError
from transports.sip.guard import Guard
from transports.sip.kernel_filter import BannedSource, KernelFilter
from transports.sip.limits import SourceLimits
from transports.sip.listeners import Listeners
from transports.sip.moving import MovingCall
from transports.sip.native import Stack, source_towards
from transports.sip.native_agents import Agent
from transports.sip.outgoing import OutgoingCall, OutgoingHandler
from transports.sip.pump import Pump
from transports.sip.referred import Referrals
from transports.sip.registrar import Registrar, Unreached
from transports.sip.sender import Feeder
from transports.sip.signalling import Signalling
from transports.sip.stack_config import stack_config
from transports.sip.trace import Trace
from transports.sip.worker import Worker

WATCH_INTERVAL_S = 10.0
FILES_INTERVAL_S = 1.0
PING_TIMEOUT_S = 5.0
_ANYONE = ""  # the agent that answers who comes by no account

logger = logging.getLogger("offhook.sip")


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
        dispatcher: Dispatcher | None = None,
        worker: Worker | None = None,
    ) -> None:
        """`headers`, by lower-case name, are those of an INVITE that `CallInfo` is to have.

        `on_dead` is called once if the SIP thread dies: no call can be taken in this process again. Nobody is
        called but whom `outbound` permits. A server of one of several processes has a `dispatcher` where it
        listens for them all, or else is a `worker`.
        """
        self._settings = settings
        self._max_calls = max_calls
        self._handler = handler
        self._on_dead = on_dead
        self._outbound = outbound or OutboundGuard(OutboundSettings())
        self._outbound.use(settings.accounts)
        self._runtime: Runtime | None = None
        self._stack: Stack | None = None
        self._certificate: bytes | None = None
        self._dialler: Dialler | None = None
        self._answerer: Answerer | None = None
        self._pump = Pump()
        self._feeder = Feeder()
        self._sockets: list[socket.socket] = []
        self._dispatcher, self._worker = dispatcher, worker
        live: set[str] = set()  # Call-IDs
        self._guard = (
            worker.guard
            if worker
            else Guard(
                SourceLimits(settings.messages_per_s, settings.ban_s),
                (),
                dispatcher or live,
                lambda source: self._filter.on_ban(source),
            )
        )
        self._door = Door(settings)
        self._filter = KernelFilter(
            self._sockets,
            {settings.port} | ({settings.tls_port} if settings.over_tls else set()),
            settings.ban_s,
            self._guard,
            allowed=self._door.heard,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._referrals = Referrals(self.dial, self._outbound, self._outbound.ring_timeout_s)
        self._dialogs = Dialogs(
            codecs=settings.codecs,
            trusts=self._door.trusts,
            reaches=lambda peer: source_towards(peer) in self._signalling.addresses,
            account_of=self._door.account_of,
            media_encryption=settings.media_encryption,
            permits=self._referrals.permits,
        )
        self.trace = Trace(settings.trace_calls)
        self._signalling = Signalling(
            self._guard,
            self._door,
            self._dialogs,
            self.trace,
            dispatcher,
            worker,
            passes_tcp=self._filter.passes_tcp,
            on_login=self._share,
            on_abandoned=self._sweep_soon,
        )
        self._listeners = Listeners(settings, self._sockets, self._filter, self._signalling.begin)
        self._calls = Calls(live, self._guard, self._dialogs, self.trace, dispatcher, worker)
        self._agents: dict[str, UserAgent] = {}  # by account
        self._accounts: Accounts | None = None
        self._watch: asyncio.Task[None] | None = None
        self._files: asyncio.Task[None] | None = None
        self._looking_up: asyncio.Task[None] | None = None
        self._dead = False
        self.apply(settings, headers)

    def apply(self, settings: SipSettings, headers: Iterable[str]) -> None:
        """Have these say who may call, who is believed and not limited, who is answered, who may refer us.

        No call ends by it, and nothing else of them is looked at. `headers` are as at the beginning.
        """
        self._settings = settings
        self._users = {plain_number(user) for user in settings.users}
        self._door.apply(settings, self._calls.addresses)
        self._dialogs.headers = tuple(headers)
        self._dialogs.refers = None if settings.accept_refer == "never" else self._door.refers
        heard = self._accounts.heard if self._accounts else ()
        self._guard.exempt(heard, (*settings.ban_exempt, *settings.trusted_peers, *settings.proxies))
        self._filter.put()

    @property
    def bans(self) -> list[BannedSource]:
        return self._filter.listed()

    def unban(self, address: str) -> bool:
        """Listen again to an address or network, as `bans` names it; whether it was banned."""
        return self._filter.unban(address)

    @property
    def listening(self) -> bool:
        """Whether who calls now is answered."""
        return self._watch is not None and not self._dead

    @property
    def reached(self) -> bool:
        """Whether any address is listened on that the machine has now."""
        return self._worker is not None or self._listeners.reached

    @property
    def troubles(self) -> Sequence[str]:
        """Sentences: which addresses can't be listened on, and why."""
        return self._listeners.troubles

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
        process.prepare(self._max_calls)
        try:
            runtime = Runtime()
            runtime.on_dead = self._died  # type: ignore[assignment]  # declared by its default, None
            await runtime.start(stack_config(self._settings, self._max_calls))
            self._runtime = runtime
            stack = self._stack = self._signalling.stack = Stack(runtime)
            stack.agents.media_encryption = self._settings.media_encryption
            await stack.rtp.play_nothing()
            of_calls: dict[str, Any] = {
                "pump": self._pump,
                "feeder": self._feeder,
                "rtp_timeout_s": self._settings.rtp_timeout_s,
                "reach": self._door.reach,
                "follow": self._referrals.follow,
            }
            self._dialler = Dialler(runtime, stack, self._dialogs, **of_calls)
            self._answerer = Answerer(
                stack,
                self._dialogs,
                self._guard,
                self._handler,
                self._calls.supervise,
                answers=lambda user: not self._users or user in self._users,
                **of_calls,
            )
            self._took(_ANYONE, await stack.agents.answering_anyone(self._settings.codecs))
            self._accounts = self._door.accounts = Accounts(
                stack,
                self._create_agent,
                self._hear_accounts,
                self._sockets,
                self._door.public,
                registers=self._worker is None,
            )
            if public := self._door.public:
                await public.look_up()
                self._looking_up = asyncio.create_task(
                    public.keep(self._accounts.moved), name="sip-public-address"
                )
            await self._listeners.open(stack, self._certificate, self._worker)
            if self._dispatcher:
                self._dispatcher.listening(self._sockets)
            await self._accounts.apply(self._settings.accounts)
            if self._worker:
                self._worker.on_known = self._learn
                self._learn()
        except SipError:
            await self.close()
            raise
        except (BaresipError, OSError, ValueError) as error:
            await self.close()
            raise SipError(f"the SIP stack did not start: {error}") from error
        self._feeder.start()
        if self._worker:
            self._worker.take_calls(True)
        self._watch = asyncio.create_task(self._watch_stack(), name="sip-watch")
        if not self._worker:
            self._files = asyncio.create_task(self._watch_files(), name="sip-files")

    @property
    def accounts(self) -> list[AccountState]:
        return self._accounts.states() if self._accounts else []

    async def apply_accounts(self, accounts: Mapping[str, AccountSettings]) -> None:
        """Have these accounts from now on, and no others; no call ends by it. Raises BaresipError."""
        if self._accounts:  # or it begins with them
            await self._accounts.apply(accounts)
        self._settings = self._settings.model_copy(update={"accounts": dict(accounts)})
        self._outbound.use(accounts)
        self._agents = {name: one for name, one in self._agents.items() if name in (_ANYONE, *accounts)}

    async def dial(
        self,
        to: str,
        handler: OutgoingHandler,
        *,
        account: str = "",
        ring_timeout_s: float,
        replaces: str = "",
        joins: MovingCall | None = None,
    ) -> OutgoingCall:
        """Call somebody and have `handler` run the call, which is under way when this returns.

        `replaces` and `joins` are as `Dialler.dial` has them. Raises NotPermitted, or CallGone where it can't
        even be tried.
        """
        destination = self._outbound.permits(to, account)
        try:
            destination = Destination.parse(self._door.reach(str(destination)))
        except (Unreached, ValueError) as error:
            raise CallGone(str(error), EndReason.NOT_REACHED) from None
        self._require_private(account, destination)
        agent = self._agents.get(account)
        if self._dialler is None or agent is None or not self.listening:
            raise CallGone("The telephone line is down.", EndReason.NOT_REACHED)
        return await self._dialler.dial(
            agent,
            account,
            destination,
            lambda call: self._calls.supervise(call, handler(call)),
            ring_timeout_s=ring_timeout_s,
            replaces=replaces,
            joins=joins,
        )

    def _require_private(self, name: str, destination: Destination) -> None:
        """An account over TLS sends keys, where they are required, to nobody over anything else."""
        account = self._settings.accounts.get(name)
        if (
            self._settings.media_encryption == "required"
            and account
            and (account.transport, account.proxy) == ("tls", None)
            and destination.at.transport in ("udp", "tcp")
            and not destination.secure
        ):
            raise NotPermitted(
                "That may not be called: its media keys could be read on their way (sip.media_encryption). "
                "Call it with transport=tls."
            )

    def drain(self, deadline_s: float) -> None:
        """Take no new calls, and say so; the server is gone after `deadline_s`."""
        self._dialogs.unavailable_s = max(RETRY_AFTER_S, math.ceil(deadline_s))
        if self._accounts:
            self._accounts.leave()

    def tell_ready(self, ready: bool) -> None:
        """What an OPTIONS is answered: 200 or 503."""
        self._dialogs.ready = ready
        if self._worker:
            self._worker.take_calls(ready)

    async def close(self) -> None:
        """Hang up what is left and stop."""
        if self._stack is not None and self.listening:
            await self._end_abandoned()
        await self._calls.close()
        self._filter.close()
        for task in filter(None, (self._watch, self._sweeping, self._files, self._looking_up)):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._watch = self._sweeping = self._files = self._looking_up = None
        await self._pump.close()
        if self._feeder.started:
            await asyncio.to_thread(self._feeder.close)
        if self._accounts:
            await self._accounts.close()
        runtime, self._runtime = self._runtime, None
        if runtime is not None and not self._dead:
            if self._stack and self._signalling.begun:
                with contextlib.suppress(BaresipError):
                    await self._stack.on_sip_thread(self._signalling.close)
                    await self._stack.on_sip_thread(self._stack.tls.close)
            try:
                await runtime.close()
            except BaresipError as error:
                self._dead = True
                logger.error("the SIP stack did not stop: %s", error)  # noqa: TRY400
        if self._dead:
            self._hung.append((self._signalling, self._stack))
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()

    async def _create_agent(self, name: str, account: AccountSettings) -> Agent:
        assert self._stack is not None
        agent = await self._stack.agents.of_account(name, account, account.codecs or self._settings.codecs)
        self._took(name, agent)
        return agent

    def _took(self, name: str, agent: Agent) -> None:
        self._agents[name] = agent.user_agent
        assert self._answerer is not None
        agent.user_agent.on_incoming(self._answerer.on_incoming)

    def _hear_accounts(self) -> None:
        """On any thread."""
        if self._accounts:
            self._guard.exempt(self._accounts.heard)
            self._filter.put()
            self._share()

    def _share(self) -> None:
        """Tell the other processes what is known here only. On any thread."""
        if self._dispatcher and self._accounts:
            telephones = self.registrar.told() if self.registrar else {}
            self._dispatcher.share(accounts=self._accounts.told(), telephones=telephones)

    def _learn(self) -> None:
        """Take what the process that listens has told. On any thread."""
        if self._worker and self._accounts and self._worker.known:
            self._worker.aliases = self._accounts.learn(self._worker.known["accounts"])
            if self.registrar:
                self.registrar.learn(self._worker.known["telephones"])

    @property
    def registrar(self) -> Registrar | None:
        """Where the telephones are that log in here; None if none may."""
        return self._door.registrar

    def _sweep_soon(self) -> None:
        """On any thread."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._sweep)

    def _sweep(self) -> None:
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._end_abandoned(), name="sip-sweep")

    async def _end_abandoned(self) -> None:
        assert self._stack is not None
        with contextlib.suppress(BaresipError):
            if ended := await self._stack.end_abandoned():
                logger.info("ended %d calls whose peers were gone before they rang", ended)

    async def _watch_files(self) -> None:
        while True:
            await asyncio.sleep(FILES_INTERVAL_S)
            if process.short_of_files(self._max_calls):
                try:
                    await self._filter.make_room()
                except OSError as error:  # none is left to look with
                    logger.warning("strangers' connections can't be closed: %s", error)

    async def _watch_stack(self) -> None:
        """Notice a stack that hangs and addresses that come and go; tell how many packets were dropped."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            if self._stack is not None:
                try:
                    self._filter.tell_dropped()
                    self._filter.apply()  # some may be over
                    await self._filter.judge_connections()
                    await self._stack.ping(PING_TIMEOUT_S)
                    moved = not self._worker and await self._listeners.follow(self._stack)
                    if moved and self._accounts:
                        self._accounts.moved()
                    if self._dispatcher:
                        self._dispatcher.listening(self._sockets)
                    self._calls.report()  # what was told may have been lost
                    await self._end_abandoned()
                    if self._accounts:
                        self._accounts.forget(self._calls.accounts)
                    if self._door.forget(self._calls.addresses):
                        self._filter.put()
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
        self._calls.fail()
        if self._on_dead:
            self._on_dead()
