"""The door: who isn't listed proves who they are, and telephones log in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from config.logins import AuthSettings, RegistrarSettings
from transports.sip.digest import Digest, Verdict
from transports.sip.message import Message, Reply
from transports.sip.registrar import Peer, Registrar
from transports.sip.sdp import Ip

OF_OTHERS = ("ACK", "CANCEL")  # belong to a request that was let in or not


class Logins:
    """All but `registrar` is used on the SIP thread."""

    def __init__(
        self,
        auth: AuthSettings,
        registrar: RegistrarSettings,
        listed: Callable[[Message, Ip], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`listed`: whose request needs no password."""
        self._listed = listed
        self._clock = clock
        telephones = {user: login.secret.get_secret_value() for user, login in registrar.users.items()}
        callers = {user: login.secret.get_secret_value() for user, login in auth.users.items()}
        self._telephones = Digest(auth.realm, telephones, auth.algorithms)
        self._callers = Digest(auth.realm, telephones | callers, auth.algorithms)
        self.asks = bool(auth.users)  # callers who aren't listed for a password
        self.registrar = Registrar(registrar, clock) if registrar.users else None

    def received(self, request: Message, peer: Peer) -> Reply | None:
        """What is said to a request that goes no further; None for one that may. Raises ValueError."""
        if request.in_dialog or request.method in OF_OTHERS:
            return None
        if request.method == "REGISTER" and self.registrar:
            outcome = self._proved(self._telephones, request)
            if isinstance(outcome, Reply):
                return outcome
            return self.registrar.register(outcome, request, peer)
        if self.asks and not self._listed(request, peer.address):
            outcome = self._proved(self._callers, request)
            if isinstance(outcome, Reply):
                return outcome
        return None

    def _proved(self, digest: Digest, request: Message) -> str | Reply:
        """As whom, or what to say to who hasn't."""
        now, given = self._clock(), request.header("Authorization")
        if not given:
            return _challenge(digest.challenges(now))
        verdict, user = digest.check(given, request.method, now)
        match verdict:
            case Verdict.RIGHT:
                return user
            case Verdict.STALE:
                return _challenge(digest.challenges(now, stale=True))
        return Reply(403, "Forbidden")  # which counts towards a ban


def _challenge(values: Iterable[str]) -> Reply:
    return Reply(401, "Unauthorized", tuple(("WWW-Authenticate", value) for value in values))
