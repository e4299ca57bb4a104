"""How much one source may send, and what gets it banned. A policy: no I/O, no clock.

Over UDP a source can be forged, so whoever has once had a call (its ACK carried the tag that only it
can have been sent) is never banned for what comes in its name: what is too much is dropped, and
messages of live calls pass even then, as long as none has too many.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

MESSAGE_BYTES = 4096  # a longer one counts as several, since it takes as much longer to read
BURST_S = 5.0  # a bucket holds what may come in this time
KNOWN_FACTOR = 10  # a PBX sends more than a telephone
STRANGERS_FACTOR = 20  # what all strangers may send together, in rates of one
STRIKES = 20  # within a minute: the next one bans
STRIKE_S = 60.0 / STRIKES  # after this long, one is forgotten
KNOWN_S = 86400.0
SOURCES = 4096  # remembered; the one that was seen the longest ago goes first
BANS = 512

Source = bytes
"""An IPv4 address, or the first half of an IPv6 address: whoever has one has 2^64 of them."""


def source_of(address: str) -> Source:
    """Raises ValueError if that isn't an IP address."""
    packed = ip_address(address.partition("%")[0]).packed
    return packed if len(packed) == 4 else packed[:8]


def network_of(source: Source) -> IPv4Network | IPv6Network:
    """All addresses that count as this source."""
    return ip_network((source, 32) if len(source) == 4 else (source + bytes(8), 64))


def name_of(source: Source) -> str:
    """For people: 192.0.2.9, or 2001:db8::/64."""
    return str(network_of(source)).removesuffix("/32")


@dataclass(frozen=True, slots=True)
class Ban:
    why: str
    until: float
    proved: bool = False  # that it was earned by who has this address: over TCP it can't be forged


class Bucket:
    """Tokens for what may happen. Holds up to `rate * BURST_S` tokens, and gains `rate` a second."""

    __slots__ = ("_at", "_tokens", "rate")

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._tokens = rate * BURST_S
        self._at = now

    def take(self, now: float, tokens: int) -> bool:
        """Take as many tokens, or all that it can hold; whether it had them."""
        room = self.rate * BURST_S
        self._tokens = min(room, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < min(tokens, room):
            return False
        self._tokens -= min(tokens, room)
        return True

    def debit(self, now: float, tokens: int, most_s: float) -> None:
        """Take as many, whether it has them or not; after `most_s` at the latest it has some again."""
        self.take(now, 0)
        self._tokens = max(self._tokens - tokens, -most_s * self.rate)

    @property
    def wait_s(self) -> float:
        """How long from the last look on until there is a token."""
        return max(0.0, (1 - self._tokens) / self.rate)


class _Sender:
    __slots__ = ("_strikes", "_struck_at", "bucket", "known_until")

    def __init__(self, rate: float, now: float) -> None:
        self.bucket = Bucket(rate, now)
        self.known_until = -float("inf")
        self._strikes = 0.0
        self._struck_at = now

    def strike(self, now: float) -> bool:
        """Whether that was one too many."""
        self._strikes = max(0.0, self._strikes - (now - self._struck_at) / STRIKE_S) + 1
        self._struck_at = now
        return self._strikes > STRIKES


class SourceLimits:
    """Times are seconds of any one clock that doesn't run backwards."""

    def __init__(self, rate: float, ban_s: float) -> None:
        """`rate`: messages a second that a stranger may send. `ban_s`: how long a ban lasts; 0 for none."""
        self._rate = rate
        self._ban_s = ban_s
        self._senders: OrderedDict[Source, _Sender] = OrderedDict()
        self._strangers = Bucket(rate * STRANGERS_FACTOR, 0.0)
        self._calls: OrderedDict[str, Bucket] = OrderedDict()
        self.bans: OrderedDict[Source, Ban] = OrderedDict()  # the oldest first, which is the first to end

    def __len__(self) -> int:
        return len(self._senders)

    def admit(self, source: Source, now: float, size: int = 0) -> bool:
        """Take tokens for a message of `size` bytes; whether there were enough."""
        sender, tokens = self._sender(source, now), 1 + size // MESSAGE_BYTES
        if now < sender.known_until:
            return sender.bucket.take(now, tokens)
        return sender.bucket.take(now, tokens) and self._strangers.take(now, tokens)

    def admit_in_call(self, call_id: str, now: float, size: int = 0) -> bool:
        """The same for a message of a live call's, which may be admitted where its source's aren't."""
        bucket = self._calls.pop(call_id, None) or Bucket(self._rate, now)
        self._calls[call_id] = bucket
        if len(self._calls) > SOURCES:
            self._calls.popitem(last=False)
        return bucket.take(now, 1 + size // MESSAGE_BYTES)

    def known(self, source: Source, now: float) -> bool:
        """Whether this source has had a call within a day."""
        sender = self._senders.get(source)
        return sender is not None and now < sender.known_until

    def had_call(self, source: Source, now: float) -> None:
        """Note that a call with this source was established."""
        sender = self._sender(source, now)
        if now >= sender.known_until:
            sender.bucket = Bucket(self._rate * KNOWN_FACTOR, now)
        sender.known_until = now + KNOWN_S

    def strike(self, source: Source, why: str, now: float, *, proved: bool = False) -> bool:
        """Note something that only who does harm does often; whether the source is banned for it."""
        sender = self._sender(source, now)
        banned = now >= sender.known_until and sender.strike(now)
        return banned and self.ban(source, why, now, proved=proved)

    def ban(self, source: Source, why: str, now: float, *, proved: bool = False) -> bool:
        """Ban at once; whether it is banned now and wasn't before.

        Where there are as many bans as there can be, only one that is `proved` takes the place of the latest
        that isn't: forged addresses push nobody out, and whoever isn't banned is still limited.
        """
        if not self._ban_s or self.known(source, now) or source in self.bans:
            return False
        if len(self.bans) >= BANS:
            self.expire(now)
        if len(self.bans) >= BANS:
            forged = next((one for one in reversed(self.bans) if not self.bans[one].proved), None)
            if forged is None or not proved:
                return False
            self.unban(forged)
        self.bans[source] = Ban(why, now + self._ban_s, proved)
        return True

    def expire(self, now: float) -> list[Source]:
        """Forget the bans that are over. Returns whose they were."""
        over = [source for source, ban in self.bans.items() if ban.until <= now]
        for source in over:
            self.unban(source)
        return over

    def unban(self, source: Source) -> bool:
        """End a ban, and forget what it was for; whether there was one."""
        self._senders.pop(source, None)
        return self.bans.pop(source, None) is not None

    def _sender(self, source: Source, now: float) -> _Sender:
        sender = self._senders.get(source)
        if sender is None:
            sender = self._senders[source] = _Sender(self._rate, now)
            if len(self._senders) > SOURCES:
                self._forget(now)
        else:
            self._senders.move_to_end(source)
        return sender

    def _forget(self, now: float) -> None:
        """Make room; strangers first, so that nobody's forged addresses make us forget who calls."""
        for source, sender in self._senders.items():
            if now >= sender.known_until:
                del self._senders[source]
                return
        self._senders.popitem(last=False)
