"""Calls of each source that are on, counted in the database: over a server's processes, and all nodes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import delete, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from agent.records.database import Database, core
from agent.records.tables import HeldCall

COUNT_S = 1.0

_ROWS = core(HeldCall)
# PostgreSQL's lock, any number, with one source: its calls are counted one by one.
_COUNTING = 0x0FF400E

logger = logging.getLogger("offhook.calls")


class HeldCalls:
    """This process's, and how many others have."""

    def __init__(self, database: Database, most: int, *, alone: bool) -> None:
        """`most` of one source are taken. Who isn't `alone` leaves what is old to another process."""
        self._database = database
        self._most = most
        self._began = datetime.now(UTC)
        self._former = alone  # rows of a process that died may be there
        self._sources: dict[str, str] = {}  # by call, of those that are on
        self._over: set[str] = set()  # whose rows may be there still
        self._unwritten = False  # calls are on that the others don't know of
        self._writing = asyncio.Lock()  # or what is over would be deleted before it is written

    async def take(self, id: str, source: str) -> bool:
        """Count one more call, unless its source has as many; `leave` follows where it is taken.

        While the database is away all are taken: each process counts its own then.
        """
        if self._former:
            await self.write()
        taken = True
        if not self._unwritten:  # or who waits for a database that is away would let callers wait
            try:
                async with asyncio.timeout(COUNT_S), self._database.session() as session:
                    taken = await self._count(session, id, source)
            except (SQLAlchemyError, OSError):
                self._away()
            except BaseException:  # nobody waits for it any more
                self._over.add(id)
                raise
        if taken:
            self._sources[id] = source
        return taken

    async def _count(self, session: AsyncSession, id: str, source: str) -> bool:
        """Whether there is a place for it, which it has then."""
        if self._database.url.get_backend_name() == "postgresql":
            await session.execute(select(func.pg_advisory_xact_lock(_COUNTING, func.hashtext(source))))
        # Written, then counted: SQLite lets nobody write who has read before another one wrote.
        await session.execute(_ROWS.insert().values(self._row(id, source)))
        of_source = select(func.count()).where(_ROWS.c.source == source)
        if int(await session.scalar(of_source) or 0) <= self._most:
            return True
        await session.execute(delete(_ROWS).where(_ROWS.c.id == id))
        return False

    async def leave(self, id: str) -> None:
        """The call is over."""
        if self._sources.pop(id, None) is not None:
            self._over.add(id)
            await self.write()

    async def gone(self, ids: Iterable[str]) -> None:
        """The calls of another process that died."""
        self._over.update(ids)
        await self.write()

    async def write(self, *, anew: bool = False) -> None:
        """Tell what isn't written yet, where the database can be reached; all, where `anew`."""
        try:
            async with asyncio.timeout(COUNT_S), self._writing, self._database.session() as session:
                over, told = await self._write(session, anew=anew)
        except (SQLAlchemyError, OSError):
            self._away()
        else:
            self._over -= over
            self._former = False
            self._unwritten = self._unwritten and not self._sources.keys() <= told

    async def _write(self, session: AsyncSession, *, anew: bool) -> tuple[set[str], set[str]]:
        """Returns of which calls the rows are gone, and of which they are there."""
        over = set(self._over)
        if over:
            await session.execute(delete(_ROWS).where(_ROWS.c.id.in_(over)))
        if self._former:
            own = _ROWS.c.node == self._database.node
            await session.execute(delete(_ROWS).where(own, _ROWS.c.since < self._began))
        told = dict(self._sources) if anew or self._unwritten else {}  # calls begin and end meanwhile
        for id, source in told.items():
            await self._database.put(session, HeldCall, self._row(id, source))
        return over, set(told)

    def _row(self, id: str, source: str) -> dict[str, object]:
        return {"id": id, "source": source, "node": self._database.node, "since": datetime.now(UTC)}

    def _away(self) -> None:
        if not self._unwritten:
            logger.warning("calls of a source can't be counted over all: each process counts its own")
        self._unwritten = True
