"""The calls that all nodes make, counted in their database: what limits over all of them go by."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, extract, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from agent.cluster.node import share
from agent.records.database import Database, core
from agent.records.tables import Outgoing as Row
from config.outbound import OutboundSettings
from transports.outbound import Elsewhere, OutboundGuard, Permit

COUNT_S = 1.0
SHARED = (
    *("max_calls", "calls_per_minute", "minutes_per_day"),
    *("key_max_calls", "key_calls_per_minute", "key_minutes_per_day"),
)

_CALLS = core(Row)
_NOW = func.clock_timestamp()
_COUNTING = 0x0FF400D  # PostgreSQL's lock for it, any number: one node at a time

_Known = tuple[float | None, float | None]  # when it was answered, and ended

logger = logging.getLogger("offhook.cluster")


class Outgoing:
    """This node's ledger."""

    def __init__(
        self, database: Database, instance: str, guard: OutboundGuard, nodes: Callable[[], Sequence[str]]
    ) -> None:
        """`nodes` are the names of those that are alive, this one's among them."""
        self._database = database
        self._instance = instance
        self._guard = guard
        self._nodes = nodes
        self._limits = OutboundSettings()
        self._away = False
        self._first = True
        self._ids: dict[Permit, str] = {}  # of those that are on, or whose end isn't written
        self._written: dict[Permit, _Known] = {}
        self._lock = asyncio.Lock()
        guard.ledger = self

    def apply(self, limits: OutboundSettings) -> None:
        """Go by these: over all nodes, or by this one's share of them while the database is away."""
        self._limits = limits
        self._guard.apply(self._shared() if self._away else limits)

    def away(self) -> None:
        """The database is. What other nodes call isn't known, and this one has its share until `write`."""
        if not self._away:
            logger.warning("outgoing calls can't be counted over all nodes: each has its share")
        self._away, self._guard.elsewhere = True, {}
        self._guard.apply(self._shared())

    async def begin(self, by: str, now: float) -> Permit:
        permit = None
        if not self._away:
            try:
                async with asyncio.timeout(COUNT_S), self._lock, self._database.session() as session:
                    await session.execute(select(func.pg_advisory_xact_lock(_COUNTING)))
                    self._guard.elsewhere = await self._elsewhere(session)
                    permit = self._begun(by, now)
                    put = await self._put(session)
                self._wrote(put)
            except (SQLAlchemyError, OSError):
                self.away()
            except BaseException:  # nobody waits for it any more
                if permit:
                    self._guard.end(permit, now)
                raise
        return permit or self._begun(by, now)

    async def write(self, *, anew: bool = False) -> None:
        """Tell what has become of this node's calls, all of them where `anew`, and see the others'.

        May raise SQLAlchemyError or OSError.
        """
        async with self._lock:
            if anew:
                self._written.clear()
            if self._first or self._ids:
                async with self._database.session() as session:
                    if self._first:
                        former = (_CALLS.c.node == self._database.node) & (
                            _CALLS.c.instance != self._instance
                        )
                        over = update(_CALLS).where(former, _CALLS.c.ended.is_(None)).values(ended=_NOW)
                        await session.execute(over)
                    put = await self._put(session)
                    self._guard.elsewhere = await self._elsewhere(session)
                self._wrote(put)
            self._first = False
        if self._away:
            self._away = False
            self._guard.apply(self._limits)

    def _shared(self) -> OutboundSettings:
        name, names = self._database.node, self._nodes()
        own = {
            one: 1 if self._first else share(limit, name, names)
            for one in SHARED
            if (limit := getattr(self._limits, one)) is not None
        }
        return self._limits.model_copy(update=own)

    def _begun(self, by: str, now: float) -> Permit:
        permit = self._guard.begin(by, now)
        self._ids[permit] = uuid.uuid4().hex
        return permit

    async def _elsewhere(self, session: AsyncSession) -> Mapping[str, Elsewhere]:
        """What others call, and what this node did before it was started again."""
        lately = _CALLS.c.begun > _NOW - timedelta(minutes=1)
        of_day = _CALLS.c.ended.is_(None) | (_CALLS.c.ended > _NOW - timedelta(days=1))
        talked = func.coalesce(_CALLS.c.ended, _NOW) - _CALLS.c.answered
        rows = await session.execute(
            select(
                _CALLS.c.by,
                func.count().filter(_CALLS.c.ended.is_(None)).label("live"),
                func.array_agg(_age(_CALLS.c.begun)).filter(lately).label("ages"),
                func.coalesce(func.sum(extract("epoch", talked)), 0).label("talked"),
            )
            .where(_CALLS.c.instance != self._instance, of_day)
            .group_by(_CALLS.c.by)
        )
        now = _now()
        return {
            row.by: Elsewhere(row.live, [now - float(age) for age in row.ages or ()], float(row.talked))
            for row in rows
        }

    async def _put(self, session: AsyncSession) -> Mapping[Permit, _Known]:
        """What has changed since it was written."""
        changed = {
            permit: known
            for permit in self._ids
            if self._written.get(permit) != (known := (permit.answered_at, permit.ended_at))
        }
        if changed:
            put = insert(_CALLS).values([self._row(permit) for permit in changed])
            told = {name: put.excluded[name] for name in ("answered", "ended")}
            await session.execute(put.on_conflict_do_update(index_elements=["id"], set_=told))
        return changed

    def _wrote(self, changed: Mapping[Permit, _Known]) -> None:
        for permit, known in changed.items():
            self._written[permit] = known
            if known[1] is not None:
                del self._ids[permit], self._written[permit]

    def _row(self, permit: Permit) -> dict[str, Any]:
        now = _now()

        def at(then: float | None) -> ColumnElement[Any] | None:
            return None if then is None else _NOW - timedelta(seconds=now - then)

        return {
            "id": self._ids[permit],
            "node": self._database.node,
            "instance": self._instance,
            "by": permit.by,
            "begun": at(permit.begun_at),
            "answered": at(permit.answered_at),
            "ended": at(permit.ended_at),
        }


def _age(at: ColumnElement[Any]) -> ColumnElement[Any]:
    return extract("epoch", _NOW - at)


def _now() -> float:
    return asyncio.get_running_loop().time()
