"""Who may come in, and as what we appear outside. No I/O; on the SIP thread, but for `reach`."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable
from collections.abc import Set as AbstractSet
from ipaddress import ip_address, ip_network

from config.settings import PRIVATE_NETWORKS, SipSettings
from transports.sip.accounts import Account, Accounts
from transports.sip.dialogs import Reply
from transports.sip.logins import Logins
from transports.sip.message import Message
from transports.sip.public_address import PublicAddress
from transports.sip.registrar import Peer, Unreached
from transports.sip.sdp import Ip


class Door:
    """Of one SIP stack, which has its accounts only once it runs."""

    def __init__(self, settings: SipSettings) -> None:
        self._realm = settings.auth.realm
        self.lingering: frozenset[str] = frozenset()  # not listed any more: heard for the calls that are on
        self.allow(settings.allow, ())
        self._logins = Logins(settings.auth, settings.registrar, listed=self._is_listed)
        self.registrar = self._logins.registrar
        address = settings.public_address
        self.public = PublicAddress(address, PRIVATE_NETWORKS) if address else None
        self.accounts: Accounts | None = None

    def allow(self, networks: Iterable[str], calling: Collection[str]) -> None:
        """Have these, and no others, need no account and no password; calls go on with who is `calling`."""
        self._listed = [ip_network(one) for one in networks]
        listed = (one for one in calling if any(ip_address(one) in network for network in self._listed))
        self.lingering = frozenset(calling).difference(listed)

    def forget(self, calling: Container[str]) -> bool:
        """Let go of who isn't `calling` any more; whether there was anybody."""
        before, self.lingering = self.lingering, frozenset(one for one in self.lingering if one in calling)
        return before != self.lingering

    def is_account(self, name: str, source: Ip) -> bool:
        """Whether what comes from there is this account's."""
        return self.accounts is not None and self.accounts.sends(name, source)

    def account_of(self, request: Message, source: Ip) -> Account | None:
        return self.accounts.of(request, source) if self.accounts else None

    def received(self, request: Message, peer: Peer) -> Reply | None:
        """What is said to a request that goes no further. Raises ValueError."""
        reply = self._logins.received(request, peer)
        if reply or self._logins.asks:
            return reply
        departed = self.accounts is not None and self.accounts.departed(peer.address)
        departed |= str(peer.address) in self.lingering
        begins = request.method == "INVITE" and not request.in_dialog
        if departed and begins and not self._is_listed(request, peer.address):
            return Reply(403, "Forbidden")
        return None

    def told(self, message: Message, peer: Ip, own: AbstractSet[str]) -> Message:
        """What goes out in the place of a message of ours; `own` addresses are listened on."""
        return self.public.told(message, peer, own) if self.public else message

    def reach(self, uri: str) -> str:
        """Where a telephone is that logged in here, for sip:alice@offhook; any other URI is as it is.

        Raises Unreached.
        """
        user, at, host = uri.partition(":")[2].partition("@")
        if self.registrar is None or not at or host.lower() != self._realm.lower():
            return uri
        there = self.registrar.contact(user)
        if there is None:
            raise Unreached("That telephone hasn't logged in.")
        return there

    def _is_listed(self, request: Message, source: Ip) -> bool:
        """Whether who sends this needs no password."""
        if any(source in network for network in self._listed):
            return True
        account = self.account_of(request, source)
        return account is not None and account.sends(source)
