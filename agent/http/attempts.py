"""How long whoever sends wrong API keys, or too many requests, has to wait. Policies: no I/O, no clock."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from transports.sip.limits import Bucket

FREE = 5  # a person mistypes
LONGEST_S = 60
FORGOTTEN_S = 900.0
SOURCES = 1024  # remembered; the one that was wrong the longest ago goes first


@dataclass(slots=True)
class _Wrong:
    count: int
    at: float

    @property
    def until(self) -> float:
        return self.at + min(LONGEST_S, 2 ** min(self.count - FREE, 10)) if self.count >= FREE else self.at


class WrongKeys:
    """After five wrong keys, a source waits for 1 s before the next, then for 2, 4, ... and at most 60."""

    def __init__(self) -> None:
        self._by_source: OrderedDict[str, _Wrong] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_source)

    def wait_s(self, source: str, now: float) -> int:
        """How many seconds until a key of this source is looked at; 0 for at once."""
        wrong = self._by_source.get(network(source))
        return max(0, math.ceil(wrong.until - now)) if wrong else 0

    def add(self, source: str, now: float) -> None:
        """Note a wrong key."""
        source = network(source)
        wrong = self._by_source.pop(source, None)
        if wrong is None or now - wrong.at > FORGOTTEN_S:
            wrong = _Wrong(0, now)
        self._by_source[source] = _Wrong(wrong.count + 1, now)
        if len(self._by_source) > SOURCES:
            self._by_source.popitem(last=False)


class Rates:
    """So many requests a minute each; what comes of it in 5 s may come at once."""

    def __init__(self, per_minute: int) -> None:
        self._rate = per_minute / 60
        self._by_whom: OrderedDict[str, Bucket] = OrderedDict()
        self._counted = Counter[str]()

    def __len__(self) -> int:
        return len(self._by_whom)

    def wait_s(self, whom: str, now: float) -> int:
        """Count a request, if it comes at a time when it may; else how many seconds until the next may."""
        bucket = self._bucket(whom, now)
        if not bucket.take(now, 1):
            return math.ceil(bucket.wait_s)
        self._counted[whom] += 1
        return 0

    def counted(self) -> Mapping[str, int]:
        """How often each has asked since this was last asked."""
        counted, self._counted = self._counted, Counter()
        return counted

    def debit(self, whom: str, requests: int, now: float) -> None:
        """So often has one asked elsewhere, where the same rate holds."""
        self._bucket(whom, now).debit(now, requests, LONGEST_S)

    def _bucket(self, whom: str, now: float) -> Bucket:
        bucket = self._by_whom.pop(whom, None) or Bucket(self._rate, now)
        self._by_whom[whom] = bucket
        if len(self._by_whom) > SOURCES:
            self._by_whom.popitem(last=False)
        return bucket


def network(source: str) -> str:
    """Whoever has an IPv6 address has 2^64 of them."""
    try:
        address = ip_address(source.partition("%")[0])
    except ValueError:
        return source
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(ip_network((address, 64), strict=False))
    return str(address)
