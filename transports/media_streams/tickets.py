"""One-time tokens that tie a media stream to the request that it was promised to. No I/O, no clock."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass

TTL_S = 30.0
LIMIT = 1000


@dataclass(frozen=True)
class Ticket:
    """Whose call the stream will carry, as the carrier's signed request said."""

    carrier: str
    call_id: str
    caller: str
    called: str


class Tickets:
    """Only a hash of each token is kept, so finding one takes the same time however wrong it is."""

    def __init__(self, ttl_s: float = TTL_S, limit: int = LIMIT) -> None:
        self._ttl_s = ttl_s
        self._limit = limit
        self._issued: OrderedDict[bytes, tuple[float, Ticket]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._issued)

    def issue(self, ticket: Ticket, now: float) -> str:
        """A token for the ticket, good once, for `ttl_s`."""
        self._expire(now)
        if len(self._issued) >= self._limit:
            self._issued.popitem(last=False)
        token = secrets.token_urlsafe(24)
        self._issued[_hash(token)] = (now + self._ttl_s, ticket)
        return token

    def redeem(self, token: str, carrier: str, now: float) -> Ticket | None:
        """The token's ticket, if it is this carrier's and wasn't used before."""
        self._expire(now)
        found = self._issued.pop(_hash(token), None)
        if found is None or found[1].carrier != carrier:
            return None
        return found[1]

    def _expire(self, now: float) -> None:
        while self._issued:
            key, (until, _) = next(iter(self._issued.items()))
            if now < until:
                break
            del self._issued[key]


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


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
