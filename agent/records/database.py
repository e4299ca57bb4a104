"""Where records are kept: SQLite in the state directory, or PostgreSQL."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    Update,
    bindparam,
    delete,
    event,
    exists,
    func,
    make_url,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import selectinload
from sqlalchemy.sql import Select

from agent.records.query import Query
from agent.records.tables import Action, Base, Call, Delivery, Problem, ToolCall, Turn
from config.errors import ConfigError
from config.settings import Settings

PROCESS_DIED = "process_died"
NODE_LOST = "node_lost"  # nobody heard of the machine any more
_CONNECT_S = 5
_BUSY_MS = 3000
SWEPT_AT_ONCE = 200  # calls; what writes meanwhile waits for them
_KEY = "of_"  # before the names of a row's key, which are its columns' otherwise
_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATING = 0x0FF400C  # PostgreSQL's lock for it, any number: nodes may start at the same time


class Database:
    """All may raise SQLAlchemyError or OSError; what is asked of it before it could be opened does."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigError where PostgreSQL's driver isn't installed."""
        given = settings.records.url
        self.url = make_url(
            given.get_secret_value() if given else f"sqlite:///{settings.state_dir / 'calls.db'}"
        )
        if self.url.get_backend_name() == "postgresql" and find_spec("psycopg") is None:
            raise ConfigError(
                "records.url names PostgreSQL: install its driver with pip install '.[postgres]'."
            )
        # A file is one node's, whatever its host is called: a container's name changes.
        shared = self.url.get_backend_name() != "sqlite"
        self.node = settings.records.node or (socket.gethostname() if shared else "local")
        self._delivers = settings.webhook.calls
        self._engine: AsyncEngine | None = None
        self.opened = False

    @property
    def name(self) -> str:
        """For people: without a password."""
        return self.url.render_as_string(hide_password=True)

    async def connect(self) -> None:
        """Bring the tables up to date. Raises CommandError where a later offhook did that already."""
        if self._engine is None:
            self._engine = self._connect()
        async with self._engine.begin() as connection:
            await connection.run_sync(_migrate)

    async def open(self, started: datetime | None) -> int:
        """As `connect`, and close what this node left open before it `started`, if it did.

        Returns how many calls that were.
        """
        await self.connect()
        left = await self._close_open(Call.began < started) if started else 0
        self.opened = True
        return left

    async def close_lost(self, ids: Sequence[str]) -> None:
        """Close these calls, if they are open: the process that had them died."""
        await self._close_open(Call.id.in_(ids))

    async def _close_open(self, which: ColumnElement[bool]) -> int:
        """Of this node's calls; returns how many that were."""
        last = select(func.max(Turn.at)).where(Turn.call_id == Call.id).scalar_subquery()
        async with self.session() as session:
            closed = await session.scalars(
                update(core(Call))
                .where(Call.node == self.node, Call.ended.is_(None), which)
                .values(ended=func.coalesce(last, Call.began), cause=PROCESS_DIED)
                .returning(core(Call).c.id)
            )
            ids = list(closed)
            for id in ids:
                await self.deliver(session, id)
        return len(ids)

    async def try_out(self) -> None:
        """Connect and ask something, changing nothing."""
        engine = self._connect()
        try:
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        finally:
            await engine.dispose()

    async def close(self) -> None:
        if self._engine:
            await self._engine.dispose()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A transaction, committed at its end."""
        if self._engine is None:
            raise OSError("The database isn't open.")
        async with AsyncSession(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    async def put(self, session: AsyncSession, table: type[Base], columns: Mapping[str, Any]) -> None:
        """Write these columns of a row, which is made where it isn't there.

        Without the ORM, which takes several times as long, on the event loop.
        """
        rows = core(table)
        key = {f"{_KEY}{one.name}": columns[one.name] for one in rows.primary_key}
        there = await session.execute(_row_changed(rows), {**columns, **key})
        if not there.rowcount:  # type: ignore[attr-defined]
            await session.execute(rows.insert(), columns)

    async def deliver(self, session: AsyncSession, id: str) -> None:
        """Have the record of a call that is over posted, where records are."""
        if self._delivers:
            now = datetime.now(UTC)
            due = {"call_id": id, "node": self.node, "since": now, "due": now, "tries": 0}
            await self.put(session, Delivery, due)

    async def call(self, id: str) -> Call | None:
        """One that is over, with all that is known of it."""
        async with self.session() as session:
            return await session.scalar(_whole(select(Call).where(Call.id == id, Call.ended.is_not(None))))

    async def page(self, query: Query, *, whole: bool = False) -> list[Call]:
        """The latest calls that are over and fit, the newest first; `whole` brings their words along."""
        found = query.narrow(select(Call).where(Call.ended.is_not(None)))
        async with self.session() as session:
            return list(await session.scalars(_whole(found) if whole else found))

    async def live(self, nodes: Sequence[str], query: Query) -> list[Call]:
        """The latest calls of these nodes that aren't over and fit, as they last were written."""
        theirs = select(Call).where(Call.ended.is_(None), Call.node.in_(nodes))
        async with self.session() as session:
            return list(await session.scalars(query.narrow(theirs)))

    async def ids_with(self, caller: str) -> list[str]:
        """All calls with a caller that are over, those that we made too."""
        async with self.session() as session:
            return list(await session.scalars(select(Call.id).where(_with(caller))))

    async def forget(self, caller: str) -> int:
        """Delete them; returns how many."""
        async with self.session() as session:
            gone = await session.execute(delete(Call).where(_with(caller)))
        return int(gone.rowcount)  # type: ignore[attr-defined]

    async def note_recordings(self, recordings: Mapping[str, tuple[int, float] | None]) -> None:
        """How many bytes and seconds those of calls have; None for what is gone."""
        if not recordings:
            return
        gone = dict.fromkeys(("recording_path", "recording_began", "recording_bytes", "recording_s"))
        async with self.session() as session:
            for id, known in recordings.items():
                values = {"recording_bytes": known[0], "recording_s": known[1]} if known else gone
                await session.execute(update(Call).where(Call.id == id).values(**values))

    async def sweep(self, now: datetime, *, keep_days: int, keep_words_days: int) -> tuple[int, bool]:
        """Delete some of what is older than it may be.

        Returns how many calls' records, and whether there may be more to delete.
        """
        old, older = (_over_by(now - timedelta(days=days)) for days in (keep_words_days, keep_days))
        said = (Turn, ToolCall, Action, Problem)
        rows = (exists().where(table.call_id == Call.id) for table in said)
        words = or_(Call.summary.is_not(None), Call.flow.is_not(None), *rows)
        async with self.session() as session:
            some = select(Call.id).where(older).limit(SWEPT_AT_ONCE)
            deleted = await session.execute(delete(core(Call)).where(Call.id.in_(some)))
            gone = int(deleted.rowcount)  # type: ignore[attr-defined]
            if gone == SWEPT_AT_ONCE:
                return gone, True
            some = select(Call.id).where(old, words).limit(SWEPT_AT_ONCE)
            emptied = update(core(Call)).where(Call.id.in_(some)).values(summary=None, flow=None)
            ids = list(await session.scalars(emptied.returning(core(Call).c.id)))
            for table in said:
                await session.execute(delete(core(table)).where(table.call_id.in_(ids)))
        return gone, len(ids) == SWEPT_AT_ONCE

    def _connect(self) -> AsyncEngine:
        """What fails is told without its parameters: they are callers' words."""
        if self.url.get_backend_name() == "sqlite":
            path = Path(self.url.database or "")
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            # One transaction at a time: who reads first and writes then isn't let wait there, but refused.
            engine = create_async_engine(
                self.url.set(drivername="sqlite+aiosqlite"),
                hide_parameters=True,
                pool_size=1,
                max_overflow=0,
            )
            event.listen(engine.sync_engine, "connect", _set_up_sqlite)
            return engine
        return create_async_engine(
            self.url.set(drivername="postgresql+psycopg"),
            hide_parameters=True,
            pool_pre_ping=True,
            pool_size=2,
            connect_args={"connect_timeout": _CONNECT_S},
        )


def core(table: type[Base]) -> Table:
    found = table.__table__
    assert isinstance(found, Table)
    return found


@cache
def _row_changed(rows: Table) -> Update:
    """To whatever columns it is given: to build it anew takes longer than to run it."""
    return update(rows).where(*(one == bindparam(f"{_KEY}{one.name}") for one in rows.primary_key))


def _set_up_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", f"busy_timeout={_BUSY_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATING})
    else:  # sqlite3 itself begins no transaction for what makes or changes a table
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _with(caller: str) -> ColumnElement[bool]:
    theirs = or_(Call.caller == caller, (Call.direction == "outbound") & (Call.called == caller))
    return theirs & Call.ended.is_not(None)


def _over_by(then: datetime) -> ColumnElement[bool]:
    """Also what nobody closed, a day after it began: no call is longer."""
    return or_(Call.ended < then, Call.ended.is_(None) & (Call.began < then - timedelta(days=1)))


def _whole(calls: Select[Call]) -> Select[Call]:
    said = (Call.turns, Call.tool_calls, Call.actions, Call.problems)
    return calls.options(*(selectinload(rows) for rows in said))
