"""Keeps accounts registered, and knows which of them a call belongs to."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from baresip.errors import BaresipError

from config.accounts import AccountSettings
from transports.sip.message import Message
from transports.sip.native import Stack
from transports.sip.native_agents import Agent
from transports.sip.parties import user_of
from transports.sip.registration import Registration, State
from transports.sip.requests import Path, RequestFailed
from transports.sip.sdp import Ip

LEAVE_S = 2.0  # so long, at most, a registrar may take to answer that we are gone
PEERS = 32  # of one account: where its server was found
_TRANSPORTS = ("", ";transport=tcp", ";transport=tls")  # enum sip_transp; UDP goes without saying

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
        self.keeping: asyncio.Task[None] | None = None

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
    ) -> None:
        """`create` makes the stack's agent for an account; `on_heard` is called when `heard` has grown.

        On the SIP thread, before anything is sent there.
        """
        self._stack = stack
        self._create = create
        self._on_heard = on_heard
        self._accounts: dict[str, Account] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._applying = asyncio.Lock()

    def states(self) -> list[AccountState]:
        now = asyncio.get_running_loop().time()
        return [self._state(one, now) for one in self._accounts.values()]

    @property
    def heard(self) -> set[str]:
        """Networks whose packets are an account's, whatever `sip.allow` says."""
        accounts = list(self._accounts.values())
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

    async def apply(self, accounts: Mapping[str, AccountSettings]) -> None:
        """Have these accounts and no others. Calls of those that go or change go on. Raises BaresipError."""
        async with self._applying:
            for name, one in list(self._accounts.items()):
                if accounts.get(name) != one.settings:
                    del self._accounts[name]
                    self._leave(one)
            for name, settings in accounts.items():
                if name not in self._accounts:
                    account = Account(name, settings, await self._create(name, settings))
                    self._accounts[name] = account
                    if settings.registers:
                        account.keeping = asyncio.create_task(self._keep(account), name=f"sip-account-{name}")
        self._on_heard()

    async def close(self) -> None:
        """Register nowhere any longer."""
        async with self._applying:
            for one in self._accounts.values():
                self._leave(one)
            self._accounts.clear()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def _state(self, one: Account, now: float) -> AccountState:
        state, registration = State.TRUNK, one.registration
        if one.settings.registers:
            state = registration.state(now)
        expires = registration.expires_in(now)
        return AccountState(one.name, one.settings.server, state, expires, registration.last_error)

    async def _keep(self, account: Account) -> None:
        """Register, and again before that is over."""
        registration, loop = account.registration, asyncio.get_running_loop()
        while True:
            before = registration.last_error
            try:
                answer = await self._ask(account, registration.request(), account.settings.expires_s)
                wait_s = registration.answered(answer, account.agent.user, loop.time())
            except RequestFailed as failed:
                wait_s = registration.unanswered(failed.error)
            except BaresipError:  # the stack is busy, or dead, which others tell
                wait_s = registration.unanswered(errno.EBUSY)
            if registration.last_error and registration.last_error != before:
                logger.warning("account %s: %s", account.name, registration.last_error)
            elif before and not registration.last_error:
                logger.info("account %s is registered again", account.name)
            await asyncio.sleep(wait_s)

    def _leave(self, account: Account) -> None:
        if account.keeping:
            task = asyncio.create_task(self._see_off(account, account.keeping), name="sip-account-leaves")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _see_off(self, account: Account, keeping: asyncio.Task[None]) -> None:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        if account.registration.expires_in(asyncio.get_running_loop().time()) is not None:
            with contextlib.suppress(TimeoutError, RequestFailed, BaresipError):
                async with asyncio.timeout(LEAVE_S):
                    await self._unregister(account)

    async def _unregister(self, account: Account) -> None:
        loop, registration = asyncio.get_running_loop(), account.registration
        for _ in range(2):  # the second answers the challenge
            answer = await self._ask(account, registration.request(register=False), 0)
            if answer.status not in (401, 407) or registration.answered(
                answer, account.agent.user, loop.time()
            ):
                return

    async def _ask(self, account: Account, headers: str, expires_s: int) -> Message:
        settings = account.settings
        route = f"sip:{settings.proxy or settings.server};transport={settings.transport}"

        def contact(path: Path) -> str:
            """On the SIP thread."""
            if path.peer not in account.peers:
                if len(account.peers) >= PEERS:
                    account.peers.clear()
                account.peers.add(path.peer)
                self._on_heard()  # or the answer would be a stranger's
            address, port = path.local
            host = f"[{address}]" if address.version == 6 else str(address)
            uri = f"sip:{account.agent.user}@{host}:{port}{_TRANSPORTS[path.protocol]}"
            return f"Contact: <{uri}>;expires={expires_s}\r\n"

        return await self._stack.requests.ask("REGISTER", account.registration.uri, route, headers, contact)
