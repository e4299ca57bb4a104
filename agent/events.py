"""What happens in calls, as it happens, for whoever follows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Literal

from agent.conversation import Action, LatencyTrace, Problem, ToolCall, Turn
from agent.observer import Observed, Observer
from transports.call import EndReason, MediaStats

MOST_READERS = 32
ALIVE_EVERY_S = 15.0  # that whoever reads hears something
MOST_WAITING = 256  # events that a reader may be behind

Kind = Literal[
    "started",
    "turn",
    "answered",
    "false_start",
    "tool_call",
    "tool_done",
    "action",
    "problem",
    "ended",
]


@dataclass(frozen=True)
class Event:
    kind: Kind
    call: Observed  # as it is when the event is looked at
    turn: Turn | None = None  # of `turn`
    trace: LatencyTrace | None = None  # of `answered`
    tool_call: ToolCall | None = None
    action: Action | None = None
    problem: Problem | None = None
    cause: EndReason | None = None  # of `ended`
    at: float = field(default_factory=time.time)

    @property
    def id(self) -> str:
        """The call's."""
        return self.call.info.id


@dataclass(frozen=True)
class Relayed:
    """An event of a call that another process of this server has, as a JSON document."""

    kind: Kind
    id: str
    text: str


@dataclass
class _Known:
    """What has been told of a call."""

    turns: Sequence[Turn] = ()
    tool_calls: Sequence[ToolCall] = ()
    actions: int = 0
    problems: int = 0
    false_starts: int = 0


class TooManyReaders(Exception):
    """MOST_READERS follow already."""


class Lagged(Exception):
    """The reader, or who tells it, didn't keep up: events are lost to it."""


class Events(Observer):
    def __init__(self) -> None:
        self._readers: set[Reader] = set()
        self._known: dict[str, _Known] = {}
        self._elsewhere: set[str] = set()  # calls that other processes have
        self._closed = False

    def began(self, call: Observed) -> None:
        self._known[call.info.id] = _Known()
        self._tell(Event("started", call))

    def changed(self, call: Observed) -> None:
        known, turns = self._known[call.info.id], call.turns
        if call.false_starts > known.false_starts:
            self._tell(Event("false_start", call))
        told = {id(turn) for turn in known.turns}
        for turn in turns:
            if id(turn) not in told:
                self._tell(Event("turn", call, turn=turn))
        for before, tool_call in zip_longest(known.tool_calls, call.tool_calls):
            if before is None:
                self._tell(Event("tool_call", call, tool_call=tool_call))
            elif before is not tool_call:
                self._tell(Event("tool_done", call, tool_call=tool_call))
        for action in call.actions[known.actions :]:
            self._tell(Event("action", call, action=action))
        for problem in call.problems[known.problems :]:
            self._tell(Event("problem", call, problem=problem))
        self._known[call.info.id] = _Known(
            turns, call.tool_calls, len(call.actions), len(call.problems), call.false_starts
        )

    def answered(self, call: Observed, trace: LatencyTrace) -> None:
        self._tell(Event("answered", call, trace=trace))

    def ended(self, call: Observed, reason: EndReason, stats: MediaStats) -> None:
        del self._known[call.info.id]
        self._tell(Event("ended", call, cause=reason))

    def relay(self, event: Relayed) -> None:
        """Tell what another process has told."""
        if event.kind == "started":
            self._elsewhere.add(event.id)
        elif event.kind == "ended":
            self._elsewhere.discard(event.id)
        self._tell(event)

    def missed(self, is_on: Callable[[str], bool]) -> None:
        """Some of what another process told is lost, which all are told who follow.

        `is_on`: whether another process has the live call of this id. One that ended meanwhile is forgotten.
        """
        self._elsewhere = set(filter(is_on, self._elsewhere))
        for reader in list(self._readers):
            reader.end(Lagged())

    def close(self) -> None:
        """Whoever follows comes to the end."""
        self._closed = True
        for reader in list(self._readers):
            reader.end(None)

    def follow(self, id: str | None = None, *, elsewhere: bool = False, bounded: bool = True) -> Reader:
        """All calls' events from now on, or those of one call, until it has ended; none of one that has.

        `elsewhere`: the reader is told by others, too, which may have the call. Who isn't `bounded` takes no
        place of MOST_READERS. Raises TooManyReaders.
        """
        if bounded and sum(reader.bounded for reader in self._readers) >= MOST_READERS:
            raise TooManyReaders
        reader = Reader(id, self._readers.discard, bounded=bounded)
        self._readers.add(reader)
        unknown = id is not None and id not in self._known.keys() | self._elsewhere
        if self._closed or (unknown and not elsewhere):
            reader.end(None)
        return reader

    def _tell(self, event: Event | Relayed) -> None:
        for reader in list(self._readers):
            reader.add(event)


class Reader:
    """One that follows. Close it when nobody reads any more; who reads too slowly is given up by itself."""

    def __init__(self, id: str | None, on_close: Callable[[Reader], None], *, bounded: bool = True) -> None:
        self.bounded = bounded
        self._id = id
        self._on_close = on_close
        self._events: asyncio.Queue[Event | Relayed | Lagged | None] = asyncio.Queue()

    def add(self, event: Event | Relayed) -> None:
        if self._id not in (None, event.id):
            return
        if self._events.qsize() >= MOST_WAITING:
            self.end(Lagged())
            return
        self._events.put_nowait(event)
        if self._id is not None and event.kind == "ended":
            self._events.put_nowait(None)
            self.close()

    def end(self, why: Lagged | None) -> None:
        """What waits is dropped: the reader is told so at once."""
        self.close()
        while not self._events.empty():
            self._events.get_nowait()
        self._events.put_nowait(why)

    async def next(self) -> Event | Relayed | None:
        """None at the end. Raises Lagged."""
        event = await self._events.get()
        if isinstance(event, Lagged):
            raise event
        return event

    def close(self) -> None:
        self._on_close(self)
