"""How often API keys ask, counted over all nodes: each takes what the others were asked off its own rates."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from agent.cluster.node import SILENT_S
from agent.records.database import Database, core
from agent.records.tables import Requests as Row

_ROWS = core(Row)
_NOW = func.clock_timestamp()


class Rates(Protocol):
    def counted(self) -> Mapping[str, int]:
        """How often each has asked since this was last asked."""

    def debit(self, whom: str, requests: int, now: float) -> None:
        """So often has one asked elsewhere."""


class Requests:
    """Of this node, and what it knows of the others'."""

    def __init__(self, database: Database, instance: str) -> None:
        self._database = database
        self._instance = instance
        self._rates: Rates | None = None
        self._own = Counter[str]()  # since the start
        self._changed: set[str] = set()
        self._known: dict[tuple[str, str], int] = {}  # others' counts, by key and instance
        self._first = True

    def share(self, rates: Rates) -> None:
        """Have these hold over all nodes."""
        self._rates = rates

    def away(self) -> None:
        """What the others were asked meanwhile isn't held against anybody."""
        self._first = True

    async def write(self) -> None:
        """Tell how often keys have asked here, and see how often elsewhere.

        May raise SQLAlchemyError or OSError.
        """
        if self._rates is None:
            return
        asked = self._rates.counted()
        self._own.update(asked)
        self._changed |= asked.keys()
        told = set(self._changed)
        async with self._database.session() as session:
            if told:
                put = insert(_ROWS).values([self._row(whom) for whom in sorted(told)])
                anew = {name: put.excluded[name] for name in ("requests", "at")}
                await session.execute(
                    put.on_conflict_do_update(index_elements=["whom", "instance"], set_=anew)
                )
            theirs = select(_ROWS).where(_ROWS.c.instance != self._instance)
            if not self._first:
                theirs = theirs.where(_ROWS.c.at > _NOW - timedelta(seconds=SILENT_S))
            rows = (await session.execute(theirs)).all()
        self._changed -= told
        now = time.monotonic()
        for row in rows:
            key = row.whom, row.instance
            if more := row.requests - self._known.get(key, 0):
                self._known[key] = row.requests
                if not self._first:
                    self._rates.debit(row.whom, more, now)
        self._first = False

    def _row(self, whom: str) -> dict[str, object]:
        return {"whom": whom, "instance": self._instance, "requests": self._own[whom], "at": _NOW}
