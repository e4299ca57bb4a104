"""Who may come in, and as what we appear outside. No I/O; on the SIP thread, but for `reach`."""

from __future__ import annotations

from collections.abc import Collection, Container, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from ipaddress import ip_address, ip_network

from config.section import PRIVATE_NETWORKS
from config.sip import SipSettings
from transports.sip.accounts import Account, Accounts
from transports.sip.logins import OF_OTHERS, Logins
from transports.sip.message import Message, Reply
from transports.sip.proxies import origin
from transports.sip.public_address import PublicAddress
from transports.sip.registrar import Peer, Unreached
from transports.sip.sdp import Ip

_EVERYONE = ("0.0.0.0/0", "::/0")


class Door:
    """Of one SIP stack, which has its accounts only once it runs."""

    def __init__(self, settings: SipSettings) -> None:
        self._realm = settings.auth.realm
        self.apply(settings, ())
        self._logins = Logins(settings.auth, settings.registrar, listed=self._is_listed)
        self.registrar = self._logins.registrar
        address = settings.public_address
        self.public = PublicAddress(address, PRIVATE_NETWORKS) if address else None
        self.accounts: Accounts | None = None

    def apply(self, settings: SipSettings, calling: Collection[str]) -> None:
        """Have these say who needs no account and no password, who is believed, and who may refer us.

        Calls go on with who is `calling`.
        """
        self._settings = settings
        self._listed = [ip_network(one) for one in settings.allow]
        self._trusted = [ip_network(one) for one in settings.trusted_peers]
        self._proxies = [ip_network(one) for one in settings.proxies]
        listed = (one for one in calling if any(ip_address(one) in network for network in self._listed))
        # Not listed any more: heard for the calls that are on.
        self._lingering = frozenset(calling).difference(listed)

    def forget(self, calling: Container[str]) -> bool:
        """Let go of who isn't `calling` any more; whether there was anybody."""
        before = self._lingering
        self._lingering = frozenset(one for one in before if one in calling)
        return before != self._lingering

    def heard(self) -> Sequence[str]:
        """On any thread: the networks that are."""
        if self._settings.auth.users:
            return _EVERYONE
        heard = sorted(self.accounts.heard) if self.accounts else ()
        return (*self._settings.allow, *self._settings.proxies, *heard, *sorted(self._lingering))

    def trusts(self, peer: Ip) -> bool:
        """Whether it is believed about who calls."""
        return any(peer in network for network in self._trusted)

    def refers(self, account: str, source: Ip) -> bool:
        """Whether who sends from there may have us call somebody else."""
        return (
            self._settings.accept_refer == "anyone"
            or self.trusts(source)
            or (self.accounts is not None and self.accounts.sends(account, source))
        )

    def account_of(self, request: Message, source: Ip) -> Account | None:
        return self.accounts.of(request, source) if self.accounts else None

    def origin(self, request: Message, peer: Peer) -> Peer:
        """Who sent what `peer` may only have passed on."""
        address = origin(request, peer.address, self)
        return peer if address == peer.address else replace(peer, address=address)

    def __contains__(self, address: object) -> bool:
        """Whether it is a proxy in front of us."""
        return any(address in network for network in self._proxies)

    def received(self, request: Message, peer: Peer, *, passed_on: bool = False) -> Reply | None:
        """What is said to a request that goes no further; of a `passed_on` one, `peer` is who sent it.

        Raises ValueError.
        """
        reply = self._logins.received(request, peer)
        if reply or self._logins.asks:
            return reply
        departed = self.accounts is not None and self.accounts.departed(peer.address)
        departed |= str(peer.address) in self._lingering
        unheard = passed_on and not self._logins.asks  # whom the kernel would have dropped, but for the proxy
        begins = not request.in_dialog and request.method not in OF_OTHERS
        departed &= request.method == "INVITE"
        if (departed or unheard) and begins and not self._is_listed(request, peer.address):
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
