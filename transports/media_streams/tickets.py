"""One-time tokens that tie a media stream to the request that it was promised to. No I/O, no clock."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections import OrderedDict
from dataclasses import astuple, dataclass

from cryptography.fernet import Fernet, InvalidToken

TTL_S = 30
_CLOCKS_APART_S = 60  # that Fernet takes


@dataclass(frozen=True)
class Ticket:
    """Whose call the stream will carry, as the carrier's signed request said."""

    carrier: str
    call_id: str
    caller: str
    called: str


class Tickets:
    """A token has its ticket in it, encrypted: who has the same key can redeem it. Times are Unix time."""

    def __init__(self, key: str = "", ttl_s: int = TTL_S) -> None:
        """Without a `key`, nobody else has it."""
        derived = hmac.digest((key or secrets.token_hex()).encode(), b"tickets of media streams", "sha256")
        self._fernet = Fernet(base64.urlsafe_b64encode(derived))
        self._ttl_s = ttl_s
        self._used = Nonces(ttl_s + _CLOCKS_APART_S)

    def issue(self, ticket: Ticket, now: float) -> str:
        """A token for the ticket, good once for whoever redeems it, for `ttl_s`."""
        said = json.dumps([secrets.token_hex(8), *astuple(ticket)])
        return self._fernet.encrypt_at_time(said.encode(), int(now)).decode()

    def redeem(self, token: str, carrier: str, now: float) -> Ticket | None:
        """The token's ticket, if it is this carrier's and wasn't used here before."""
        try:
            said = self._fernet.decrypt_at_time(token.encode(), self._ttl_s, int(now))
        except InvalidToken:
            return None
        nonce, *fields = json.loads(said)
        ticket = Ticket(*fields)
        return ticket if ticket.carrier == carrier and self._used.take(nonce, now) else None


class Nonces:
    """Nonces already seen, each for as long as its signature may live."""

    def __init__(self, ttl_s: float = 3600.0, limit: int = 10_000) -> None:
        self._ttl_s = ttl_s
        self._limit = limit
        self._seen: OrderedDict[str, float] = OrderedDict()

    def take(self, nonce: str, now: float) -> bool:
        """Whether the nonce is new."""
        while self._seen and next(iter(self._seen.values())) <= now:
            self._seen.popitem(last=False)
        if nonce in self._seen or len(self._seen) >= self._limit:
            return False
        self._seen[nonce] = now + self._ttl_s
        return True
