"""Which of several processes a SIP message is for, where one of them has the socket. No I/O, no clock."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Iterable

from transports.sip.trace import call_id_of

FIRST = 0  # the process that listens, and has whatever is no call of another's
MOST_CALLS = 200  # of one process
PENDING_S = 2.0  # so long a call counts that was given to a process which hasn't said so yet
LINGER_S = 64.0  # RFC 3261: 64*T1, twice; so long a peer may repeat what belongs to a call that is over
_MOST_PENDING = 10_000
_HEADERS_BYTES = 8192

_LINE = re.IGNORECASE | re.MULTILINE
_TO_TAG = re.compile(rb"^(?:to|t)[ \t]*:[^\r\n]*;[ \t]*tag[ \t]*=", _LINE)
_REPLACES = re.compile(rb"^replaces[ \t]*:[ \t]*([^\s;]+)", _LINE)


class Steering:
    """Keeps each call with the process that it began at; new ones go to who has the fewest."""

    def __init__(self) -> None:
        self._live: dict[int, frozenset[str]] = {FIRST: frozenset()}  # Call-IDs, as the processes say
        self._owners: dict[str, int] = {}
        self._pending: OrderedDict[str, float] = OrderedDict()  # until when, the first first
        self._waiting: Counter[int] = Counter()  # how many of the pending each process has
        self._over: OrderedDict[str, float] = OrderedDict()
        self._refused: set[str] = set()  # of those that are over
        self._closed: set[int] = set()

    def __contains__(self, call_id: object) -> bool:
        """Whether it is a live call's."""
        return any(call_id in live for live in list(self._live.values()))

    def live(self, process: int) -> int:
        """How many calls a process has."""
        return len(self._live.get(process, ()))

    @property
    def pending(self) -> int:
        """Calls that were given to other processes, and that they haven't told of yet."""
        return len(self._pending) - self._waiting[FIRST]

    def takes_calls(self, process: int) -> bool:
        """Whether a process gets new calls."""
        return process in self._live and process not in self._closed

    def join(self, process: int) -> None:
        """A process is there, and takes no calls yet."""
        self._live[process] = frozenset()
        self._closed.add(process)

    def take_calls(self, process: int, takes: bool) -> None:
        (self._closed.discard if takes else self._closed.add)(process)

    def leave(self, process: int) -> None:
        """A process is gone. What still comes for its calls goes to the first, which doesn't know them."""
        self._live.pop(process, None)
        self._closed.discard(process)
        for call_id in [one for one, owner in self._owners.items() if owner == process]:
            self._settle(call_id)
            del self._owners[call_id]

    def began(self, process: int, call_id: str, now: float) -> None:
        """A process begins a call of this Call-ID, and will say that it is live."""
        self._settle(call_id)
        self._owners[call_id] = process
        self._pending[call_id] = now + PENDING_S
        self._waiting[process] += 1

    def refused(self, call_id: str, now: float) -> None:
        """What was to be a call is none: it takes no room any more."""
        if call_id in self._pending:
            self._settle(call_id)
            self._over[call_id] = now + LINGER_S
            self._refused.add(call_id)

    def report(self, process: int, call_ids: Iterable[str], now: float) -> None:
        """What calls a process has now."""
        before, live = self._live.get(process, frozenset()), frozenset(call_ids)
        self._live[process] = live
        for call_id in live - before:
            self._settle(call_id)
            self._owners[call_id] = process
        for call_id in before - live:
            self._over[call_id] = now + LINGER_S

    def steer(self, message: bytes, now: float, *, room: bool = True) -> int:
        """The process that a request or response is for.

        A new call that there is no `room` for is the first's, to be refused.
        """
        self._expire(now)
        call_id = call_id_of(message)
        owner = self._owners.get(call_id)
        begins = message.startswith(b"INVITE ") and not _TO_TAG.search(message, 0, _HEADERS_BYTES)
        if owner is not None and not (begins and call_id in self._refused):  # it was asked for a password
            return owner
        if not begins:
            return FIRST
        process = self._place(message, owner) if room else FIRST
        self.began(process, call_id, now)
        return process

    def _place(self, invite: bytes, owner: int | None) -> int:
        if owner is not None:
            return owner
        if replaced := _REPLACES.search(invite, 0, _HEADERS_BYTES):
            return self._owners.get(replaced[1].decode(errors="replace"), FIRST)
        loads = {
            process: len(live) + self._waiting[process]
            for process, live in self._live.items()
            if process not in self._closed
        }
        # The first has more to do besides.
        process = min(loads, key=lambda one: (loads[one], one == FIRST), default=FIRST)
        return process if loads.get(process, MOST_CALLS) < MOST_CALLS else FIRST

    def _settle(self, call_id: str) -> None:
        """It is neither pending nor over."""
        self._over.pop(call_id, None)
        self._refused.discard(call_id)
        if self._pending.pop(call_id, None) is not None:
            self._waiting[self._owners[call_id]] -= 1

    def _expire(self, now: float) -> None:
        while self._pending and (
            len(self._pending) > _MOST_PENDING or next(iter(self._pending.values())) <= now
        ):
            call_id = next(iter(self._pending))
            self._settle(call_id)
            self._over[call_id] = now + LINGER_S
        while self._over and (len(self._over) > _MOST_PENDING or next(iter(self._over.values())) <= now):
            call_id, _ = self._over.popitem(last=False)
            self._refused.discard(call_id)
            del self._owners[call_id]
