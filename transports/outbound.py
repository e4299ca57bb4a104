"""Who may be called, how often and for how long: the guard against toll fraud. No I/O, no clock."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from config.accounts import AccountSettings
from config.destinations import Destination, Gateway, Pattern, international
from config.outbound import OutboundSettings

_MINUTE_S = 60.0
_DAY_S = 24 * 3600.0
_SHORTEST_S = 0.05  # for which nobody need be asked again


class NotPermitted(Exception):
    """The call isn't made; the message is a sentence that says why."""


class LimitReached(NotPermitted):
    """It may be made `retry_after_s` later, if nothing else is called until then."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(slots=True, eq=False)
class Permit:
    """One call's. It counts from the moment it is given until it is given back."""

    by: str
    begun_at: float
    answered_at: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What one asker's calls come to on other nodes."""

    live: int
    begun: Sequence[float]  # when, within the last minute
    talked_s: float  # within the last day


class Ledger(Protocol):
    """Of the calls of all nodes."""

    async def begin(self, by: str, now: float) -> Permit:
        """As `OutboundGuard.begin`, over all of them."""


@dataclass(frozen=True, slots=True)
class _Limits:
    max_calls: int
    calls_per_minute: int
    minutes_per_day: int


class OutboundGuard:
    """Knows each call that was begun. `by` names who asks for it: an API key, or the agent itself."""

    def __init__(self, settings: OutboundSettings) -> None:
        self.ring_timeout_s = settings.ring_timeout_s
        self.ledger: Ledger | None = None
        self.elsewhere: Mapping[str, Elsewhere] = {}  # by who asks; as the ledger last had it
        self._accounts: Mapping[str, Gateway] = {}
        self._live: list[Permit] = []
        self._begun: deque[tuple[str, float]] = deque()  # within the last minute
        # Until when somebody talked within the last day, and how long.
        self._talked: deque[tuple[str, float, float]] = deque()
        self.apply(settings)

    def apply(self, settings: OutboundSettings) -> None:
        """Go by these from now on, with the calls that there were; those that are on go on."""
        self._prefixes = prefixes = settings.international_prefixes
        self._allow = [Pattern.parse(international(text, prefixes)) for text in settings.allow]
        # Those mean a number as it is dialled, too: what seems to begin with a prefix may be no such number.
        denied = dict.fromkeys(one for text in settings.deny for one in (text, international(text, prefixes)))
        self._deny = [Pattern.parse(text) for text in denied]
        self._gateway = Gateway.parse(settings.gateway) if settings.gateway else None
        overall = _Limits(settings.max_calls, settings.calls_per_minute, settings.minutes_per_day)
        self._overall = overall
        self._each = _Limits(
            settings.key_max_calls or overall.max_calls,
            settings.key_calls_per_minute or overall.calls_per_minute,
            settings.key_minutes_per_day or overall.minutes_per_day,
        )

    def use(self, accounts: Mapping[str, AccountSettings]) -> None:
        """Have numbers that are called by one of these accounts, and no others, go to its server."""
        self._accounts = {name: Gateway.of(one.server, one.transport) for name, one in accounts.items()}

    def permits(self, to: str, account: str = "") -> Destination:
        """What is dialled for `to`, whoever asks. Raises NotPermitted."""
        if not self._allow:
            raise NotPermitted("Nothing may be called: outbound.allow lists no patterns.")
        if account and account not in self._accounts:
            raise NotPermitted(f"There is no account {account[:40]!r} in sip.accounts to call by.")
        gateway = self._accounts[account] if account else self._gateway
        try:
            destination = Destination.parse(to, gateway)
        except ValueError as error:
            raise NotPermitted(f"That can't be called. {error}") from None
        meant = replace(destination, user=international(destination.user, self._prefixes))
        if not _listed(self._allow, meant, gateway):
            raise NotPermitted("That may not be called: no pattern of outbound.allow matches it.")
        if any(_listed(self._deny, one, gateway) for one in (destination, meant)):
            raise NotPermitted("That may not be called: a pattern of outbound.deny matches it.")
        return destination

    async def admit(self, by: str, now: float) -> Permit:
        """As `begin`, but over all nodes where there are several."""
        return await self.ledger.begin(by, now) if self.ledger else self.begin(by, now)

    def begin(self, by: str, now: float) -> Permit:
        """Count a call that is about to be dialled. Raises LimitReached."""
        self._expire(now)
        for key, limits, which in ((None, self._overall, ""), (by, self._each, "key_")):
            others = self._others(key)
            live = sum(key in (None, permit.by) for permit in self._live) + sum(one.live for one in others)
            if live >= limits.max_calls:
                raise LimitReached(f"{live} outgoing calls are on (outbound.{which}max_calls).", 10)
            begun = [at for who, at in self._begun if key in (None, who)]
            begun = sorted(begun + [at for one in others for at in one.begun if now - at < _MINUTE_S])
            if len(begun) >= limits.calls_per_minute:
                wait_s = begun[-limits.calls_per_minute] + _MINUTE_S - now
                raise LimitReached(
                    f"{len(begun)} calls were begun within a minute (outbound.{which}calls_per_minute).",
                    max(1, math.ceil(wait_s)),
                )
            if self._talked_s(key, now) >= limits.minutes_per_day * 60:
                oldest = next((at for who, at, _ in self._talked if key in (None, who)), now)
                raise LimitReached(
                    f"{limits.minutes_per_day} minutes of calls are over within a day "
                    f"(outbound.{which}minutes_per_day).",
                    max(1, math.ceil(oldest + _DAY_S - now)),
                )
        permit = Permit(by, now)
        self._live.append(permit)
        self._begun.append((by, now))
        return permit

    def answered(self, permit: Permit, now: float) -> None:
        """From now on the call costs minutes."""
        permit.answered_at = now

    def left_s(self, permit: Permit, now: float) -> float:
        """How long the call may go on, whoever else calls meanwhile; ask again then. 0: end it."""
        self._expire(now)
        left_s = min(
            (limits.minutes_per_day * 60 - self._talked_s(key, now)) / limits.max_calls
            for key, limits in ((None, self._overall), (permit.by, self._each))
        )
        return left_s if left_s >= _SHORTEST_S else 0.0

    def end(self, permit: Permit, now: float) -> None:
        """The call is over, or was never made. Safe to call twice."""
        if permit not in self._live:
            return
        self._live.remove(permit)
        permit.ended_at = now
        if permit.answered_at is not None:
            self._talked.append((permit.by, now, now - permit.answered_at))

    def _others(self, key: str | None) -> list[Elsewhere]:
        return [one for who, one in self.elsewhere.items() if key in (None, who)]

    def _talked_s(self, key: str | None, now: float) -> float:
        over = sum(seconds for who, _, seconds in self._talked if key in (None, who))
        live = [one for one in self._live if key in (None, one.by) and one.answered_at is not None]
        over += sum(one.talked_s for one in self._others(key))
        return over + sum(now - one.answered_at for one in live if one.answered_at is not None)

    def _expire(self, now: float) -> None:
        while self._begun and now - self._begun[0][1] >= _MINUTE_S:
            self._begun.popleft()
        while self._talked and now - self._talked[0][1] >= _DAY_S:
            self._talked.popleft()


def _listed(patterns: Iterable[Pattern], destination: Destination, gateway: Gateway | None) -> bool:
    return any(pattern.matches(destination, gateway) for pattern in patterns)
