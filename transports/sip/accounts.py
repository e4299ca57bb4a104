"""Keeps accounts registered, and knows which of them a call belongs to."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from baresip.errors import BaresipError

from config.accounts import AccountSettings, split_host_port
from config.destinations import Destination
from transports.sip.libre import UDP, URI_TRANSPORTS
from transports.sip.message import Message
from transports.sip.native import Stack
from transports.sip.native_agents import Agent
from transports.sip.parties import user_of
from transports.sip.public_address import PublicAddress
from transports.sip.registration import Registration, State
from transports.sip.requests import Path, RequestFailed
from transports.sip.sdp import Ip

KEEP_ALIVE = b"\r\n\r\n"  # RFC 5626 3.5.1
KEEP_ALIVE_S = 25.0  # UDP is forgotten by many NATs after 30 s
KEEP_CONNECTED_S = 120.0  # RFC 5626 4.4.1; the stack closes a connection on which nothing has come for 900 s
LEAVE_S = 2.0  # so long, at most, a registrar may take to answer that we are gone
PEERS = 32  # of one account: where its server was found

logger = logging.getLogger("offhook.sip")


@dataclass(frozen=True, slots=True)
class AccountState:
    name: str
    server: str
    state: State
    expires_in_s: float | None
    last_error: str | None  # a sentence that says what to do


class Account:
    """One account while it is there."""

    def __init__(self, name: str, settings: AccountSettings, agent: Agent) -> None:
        self.name, self.settings, self.agent = name, settings, agent
        self.registration = Registration(name, settings)
        self.networks: tuple[IPv4Network | IPv6Network, ...] = tuple(map(ip_network, settings.networks))
        self.peers: set[Ip] = set()  # that its requests went to
        self.path: Path | None = None  # of the last of them
        self.keeping: asyncio.Task[None] | None = None
        self.leaving: asyncio.Task[None] | None = None

    def sends(self, source: Ip) -> bool:
        """Whether what comes from there is this account's."""
        return source in self.peers or any(source in network for network in self.networks)


class Accounts:
    """Of one SIP stack. `of` and `heard` may be called on the SIP thread."""

    def __init__(
        self,
        stack: Stack,
        create: Callable[[str, AccountSettings], Awaitable[Agent]],
        on_heard: Callable[[], None],
        sockets: Collection[socket.socket],
        public: PublicAddress | None = None,
        *,
        registers: bool = True,
    ) -> None:
        """`create` makes the stack's agent for an account; `on_heard` is called when `heard` has grown.

        On the SIP thread, before anything is sent there. `sockets` are those that are listened on.
        Where another process `registers`, `learn` is given what that one has `told`.
        """
        self._stack = stack
        self._create = create
        self._on_heard = on_heard
        self._sockets = sockets
        self._public = public
        self._registers = registers
        self._accounts: dict[str, Account] = {}
        self._departed: list[Account] = []
        self._applying = asyncio.Lock()
        self._moved = asyncio.Event()  # another, each time: who waits took it before registering

    def states(self) -> list[AccountState]:
        now = asyncio.get_running_loop().time()
        return [self._state(one, now) for one in self._accounts.values()]

    @property
    def heard(self) -> set[str]:
        """Networks whose packets are an account's, whatever `sip.allow` says."""
        accounts = [*self._accounts.values(), *self._departed]
        return {str(ip) for one in accounts for ip in list(one.peers)} | {
            network for one in accounts for network in one.settings.networks
        }

    def of(self, request: Message, source: Ip) -> Account | None:
        """The account that a new call comes in by: as whose Contact it names, or from whose addresses."""
        called = user_of(request.uri)
        accounts = list(self._accounts.values())
        for one in accounts:
            if one.agent.user == called:
                return one
        senders = [one for one in accounts if one.sends(source)]
        users = {called, user_of(request.header("To"))}
        return next((one for one in senders if one.settings.user in users), senders[0] if senders else None)

    def sends(self, name: str, source: Ip) -> bool:
        account = self._accounts.get(name)
        return account is not None and account.sends(source)

    def told(self) -> dict[str, tuple[str, list[str]]]:
        """What `learn` takes in another process: by account, its user in Contact, and its peers."""
        return {
            name: (one.agent.user, [str(ip) for ip in list(one.peers)])
            for name, one in list(self._accounts.items())
        }

    def learn(self, told: Mapping[str, tuple[str, Iterable[str]]]) -> dict[str, str]:
        """Take what the process that registers tells. Returns by its users in Contact our own."""
        known = [(self._accounts[name], *rest) for name, rest in told.items() if name in self._accounts]
        for account, _, peers in known:
            account.peers = set(map(ip_address, peers))
        return {user: account.agent.user for account, user, _ in known}

    def sent(self, message: Message, peer: Ip) -> None:
        """On the SIP thread: an INVITE may go to another address of the account's server than a REGISTER."""
        if message.status or message.method != "INVITE" or message.in_dialog:
            return
        user = user_of(message.header("Contact"))
        for one in list(self._accounts.values()):
            host, _ = split_host_port(one.settings.server)
            if one.agent.user == user and Destination.parse(message.uri).at.host.strip("[]") == host.lower():
                self._hear(one, peer)

    def departed(self, source: Ip) -> bool:
        """Whether what comes from there is only heard for the calls of an account that is gone."""
        return any(one.sends(source) for one in self._departed)

    def forget(self, live: Collection[str]) -> None:
        """Hear no longer what accounts sent that are gone, but those of the calls that are `live`."""
        kept = [one for one in self._departed if one.name in live or one.leaving]
        if len(kept) < len(self._departed):
            self._departed = kept
            self._on_heard()

    async def apply(self, accounts: Mapping[str, AccountSettings]) -> None:
        """Have these accounts and no others. Calls of those that go or change go on.

        Raises BaresipError, with all accounts as they were.
        """
        async with self._applying:
            now = {name: one for name, one in self._accounts.items() if accounts.get(name) == one.settings}
            new = [
                Account(name, settings, await self._create(name, settings))
                for name, settings in accounts.items()
                if name not in now
            ]
            for name, one in list(self._accounts.items()):
                if name not in now:
                    self._departed.append(self._accounts.pop(name))
                    self._leave(one)
            for account in new:
                now[account.name] = account
                if account.settings.registers and self._registers:
                    keeping = self._keep(account)
                    account.keeping = asyncio.create_task(keeping, name=f"sip-account-{account.name}")
            self._accounts = {name: now[name] for name in accounts}
        self._on_heard()

    def moved(self) -> None:
        """Register anew, each account: we may be reached at another address now."""
        self._moved.set()
        self._moved = asyncio.Event()

    def leave(self) -> None:
        """Register nowhere any longer; calls go on."""
        for one in self._accounts.values():
            self._leave(one)

    async def close(self) -> None:
        """Register nowhere any longer."""
        async with self._applying:
            self.leave()
        every = (*self._accounts.values(), *self._departed)
        await asyncio.gather(*(one.leaving for one in every if one.leaving), return_exceptions=True)

    def _state(self, one: Account, now: float) -> AccountState:
        state, registration = State.TRUNK, one.registration
        if one.settings.registers:
            state = registration.state(now)
        expires = registration.expires_in(now)
        return AccountState(one.name, one.settings.server, state, expires, registration.last_error)

    async def _keep(self, account: Account) -> None:
        """Register, and again before that is over."""
        registration, loop = account.registration, asyncio.get_running_loop()
        former = [one.leaving for one in self._departed if one.leaving and one.name == account.name]
        if former:  # or it would take back what this one registers
            await asyncio.wait(former)
        while True:
            before, moved = registration.last_error, self._moved
            try:
                answer = await self._ask(account, registration.request())
                wait_s = registration.answered(answer, account.agent.user, loop.time())
            except RequestFailed as failed:
                wait_s = registration.unanswered(failed.error, self._certificate_of(account, failed.error))
            except BaresipError:  # the stack is busy, or dead, which others tell
                wait_s = registration.unanswered(errno.EBUSY)
            except Exception:  # an answer that nobody thought of must not be the end of it
                logger.exception("account %s: its registration failed", account.name)
                wait_s = registration.unanswered(errno.EPROTO)
            if registration.last_error and registration.last_error != before:
                logger.warning("account %s: %s", account.name, registration.last_error)
            elif before and not registration.last_error:
                logger.info("account %s is registered again", account.name)
            if account.path and account.path.protocol != UDP and not registration.last_error:
                wait_s = min(wait_s, KEEP_CONNECTED_S)  # Contact names the connection, which may be lost
            await self._wait(account, loop.time() + wait_s, moved)

    async def _wait(self, account: Account, until: float, moved: asyncio.Event) -> None:
        """Meanwhile NATs on the way are to remember where calls go."""
        loop = asyncio.get_running_loop()
        while (left_s := until - loop.time()) > 0 and not moved.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, KEEP_ALIVE_S)):
                    await moved.wait()
            if account.path and account.path.protocol == UDP and account.registration.expires_in(loop.time()):
                self._keep_alive(account.path)

    def _keep_alive(self, path: Path) -> None:
        local, peer = (str(path.local[0]), path.local[1]), (str(path.peer[0]), path.peer[1])
        for sock in self._sockets:
            if sock.type == socket.SOCK_DGRAM and sock.getsockname()[:2] == local:
                with contextlib.suppress(OSError):  # the network is away, as the next REGISTER tells
                    sock.sendto(KEEP_ALIVE, peer)

    def _certificate_of(self, account: Account, error: int) -> str:
        """Why it was refused, if it was."""
        host, _ = split_host_port(account.settings.proxy or account.settings.server)
        return self._stack.tls.refused.get(host, "") if error == errno.EPROTO else ""

    def _leave(self, account: Account) -> None:
        if account.keeping and not account.leaving:
            seen_off = self._see_off(account, account.keeping)
            account.leaving = asyncio.create_task(seen_off, name=f"sip-account-{account.name}-leaves")

    async def _see_off(self, account: Account, keeping: asyncio.Task[None]) -> None:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        if account.registration.state(asyncio.get_running_loop().time()) is not State.FAILED:
            with contextlib.suppress(TimeoutError, RequestFailed, BaresipError):
                async with asyncio.timeout(LEAVE_S):
                    await self._unregister(account)
        account.leaving = None

    async def _unregister(self, account: Account) -> None:
        loop, registration = asyncio.get_running_loop(), account.registration
        for _ in range(2):  # the second answers the challenge
            answer = await self._ask(account, registration.request(register=False))
            if answer.status not in (401, 407) or registration.answered(
                answer, account.agent.user, loop.time()
            ):
                return

    def _hear(self, account: Account, peer: Ip) -> None:
        """On the SIP thread, before it is asked something: or the answer would be a stranger's."""
        if peer not in account.peers:
            if len(account.peers) >= PEERS:
                account.peers.clear()
            account.peers.add(peer)
            self._on_heard()

    async def _ask(self, account: Account, headers: str) -> Message:
        settings = account.settings
        route = f"sip:{settings.proxy or settings.server};transport={settings.transport}"

        def contact(path: Path) -> str:
            """On the SIP thread."""
            account.path = path
            peer, (address, port) = path.peer[0], path.local
            self._hear(account, peer)
            if self._public:
                address = self._public.towards(peer, address)
            host = f"[{address}]" if address.version == 6 else str(address)
            uri = f"sip:{account.agent.user}@{host}:{port}{URI_TRANSPORTS[path.protocol]}"
            return f"Contact: <{uri}>\r\n"

        return await self._stack.requests.ask("REGISTER", account.registration.uri, route, headers, contact)
