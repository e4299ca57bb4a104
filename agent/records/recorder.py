"""Writes each call down as it goes: what a process that is killed loses is the turn in progress."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from alembic.util import CommandError
from sqlalchemy import delete
from sqlalchemy.exc import (
    DatabaseError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.ext.asyncio import AsyncSession

from agent import conversation
from agent.observer import Observed, Observer
from agent.records import aside
from agent.records.columns import Columns, moment, recording, storable
from agent.records.database import Database, core
from agent.records.tables import Action, Call, Problem, ToolCall, Turn
from config.settings import Settings
from models.pool import ComponentHealth
from transports.call import EndReason, MediaStats

T = TypeVar("T")

WRITE_S = 10.0
RETRY_S = 5.0
SWEEP_EVERY_S = 3600.0
FLUSH_S = 5.0  # at the end, for what isn't written yet
MOST_WAITING = 1000  # calls that can't be written now
_BATCH = 50
_REMEDY = (
    "Make state_dir writable, with room on its disk, or bring the server of records.url back. "
    "A calls.db that is damaged must be moved away, and offhook started again."
)

logger = logging.getLogger("offhook.records")


@dataclass(frozen=True)
class _Said:
    """What grows while a call goes on. Rows that are here once are the same in every later copy."""

    turns: Sequence[conversation.Turn] = ()
    tool_calls: Sequence[conversation.ToolCall] = ()
    actions: Sequence[conversation.Action] = ()
    problems: Sequence[conversation.Problem] = ()


@dataclass(frozen=True)
class _Snapshot:
    """A call at one moment."""

    columns: Mapping[str, Any]
    said: _Said

    @property
    def over(self) -> bool:
        return self.columns["ended"] is not None


class Recorder(Observer):
    """Takes note of calls at once, and writes in the background; a database that is away costs no call."""

    def __init__(
        self,
        settings: Settings,
        models: Callable[[], Iterable[ComponentHealth]] = tuple,
        *,
        alone: bool = True,
    ) -> None:
        """`models` are those that calls use now. Who isn't `alone` leaves what is old to another process.

        Raises ConfigError as `Database` does.
        """
        self._alone = alone
        self._settings = settings.records
        self._models = models
        self.database = Database(settings)
        self._started = datetime.now(UTC)
        self._waiting: dict[str, _Snapshot] = {}
        self._written: dict[str, _Snapshot] = {}  # of calls that aren't over
        self._aside = aside.Aside(settings.state_dir / "records", inherits=alone)
        self._doubtful: set[str] = set()  # calls of which a commit that failed may have come through
        self._orphans: set[str] = set()  # calls whose process died, and that aren't closed yet
        self._wake = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._error = ""
        self._lost = 0
        self._sweeps_at = time.monotonic()
        self._row = Columns(settings.records)

    async def start(self) -> None:
        """Open the database, or say in the health why that can't be, and go on trying."""
        await self._try(self._open())
        self._writing = asyncio.create_task(self._run(), name="records")

    async def close(self) -> None:
        """Write what waits, if that can be done soon."""
        if self._writing:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
            self._writing = None
        if self.database.opened and (self._waiting or self._orphans):
            try:
                async with asyncio.timeout(FLUSH_S):
                    await self._try(self._flush())
            except TimeoutError:
                logger.exception("%d calls' records weren't written in time", len(self._waiting))
        await self._put_aside()
        await self.database.close()

    def health(self) -> ComponentHealth:
        state, error, remedy = ("ready" if self.database.opened else "loading"), None, None
        note = f"{self._lost} calls' records were given up." if self._lost else None
        if self._error:
            state, remedy = "degraded", _REMEDY
            error = f"{self._error} {self._queued} calls wait to be written; calls go on."
            error, note = " ".join(filter(None, (error, note))), None
        model = self.database.name
        return ComponentHealth("records", state, "", model, error, self._queued, note=note, remedy=remedy)

    @property
    def _queued(self) -> int:
        """Calls that aren't written."""
        return len(self._waiting) + len(self._aside)

    def owes(self) -> bool:
        """Whether records of calls that are over aren't in the database yet."""
        return bool(self._aside or self._orphans) or any(snapshot.over for snapshot in self._waiting.values())

    def close_lost(self, ids: Sequence[str]) -> None:
        """Note that another process died that had these calls."""
        self._orphans.update(ids)
        self._wake.set()

    def began(self, call: Observed) -> None:
        used = {
            part.name: {"model": part.model, "device": part.device, "precision": part.precision}
            for part in self._models()
        }
        self._note(call, models=used)

    def changed(self, call: Observed) -> None:
        self._note(call)

    def ended(self, call: Observed, reason: EndReason, stats: MediaStats) -> None:
        self._note(call, ended=datetime.now(UTC), cause=reason.value, **_media(stats))

    def _note(self, call: Observed, **more: Any) -> None:
        """The call as it is now, and what is known besides."""
        id = call.info.id
        before = self._waiting[id].columns if id in self._waiting else {}
        columns = {"ended": None, **before, **self._columns(call), **more}
        said = _Said(list(call.turns), list(call.tool_calls), list(call.actions), list(call.problems))
        self._waiting[id] = _Snapshot(columns, said)
        self._give_up_oldest()
        self._wake.set()

    def _columns(self, call: Observed) -> dict[str, Any]:
        info = call.info
        return {
            "id": info.id,
            "node": self.database.node,
            "transport": info.transport,
            "direction": info.direction,
            "account": info.account,
            "caller": storable(info.caller),
            "caller_name": storable(info.caller_name),
            "called": storable(info.called),
            "diverted_from": [storable(one) for one in info.diverted_from],
            "remote": info.remote,
            "codec": info.codec,
            "encryption": info.encryption,
            "wire_id": storable(info.call_id),
            "persona": call.persona.name,
            "language": call.persona.language,
            "began": moment(info.since),
            "connected": moment(call.connected_at) if call.connected_at else None,
            "guesses": call.guesses[0],
            "guesses_discarded": call.guesses[1],
            "false_starts": call.false_starts,
            "last_voice_to_voice_ms": call.last_voice_to_voice_ms,
            "turn_count": len(call.turns),
            "flow": call.flow and self._row.flow(call.flow),
            **recording(call.recorded),
        }

    def _give_up_oldest(self) -> None:
        over = [id for id, snapshot in self._waiting.items() if snapshot.over]
        for id in over[: max(0, len(over) - MOST_WAITING)]:
            del self._waiting[id]
            self._written.pop(id, None)
            self._doubtful.discard(id)
            self._lost += 1

    # Writing.

    async def _run(self) -> None:
        while True:
            if not self.database.opened:
                await self._try(self._open())
            elif self._alone and time.monotonic() >= self._sweeps_at:
                await self._try(self._sweep())
            if self.database.opened and (self._queued or self._orphans):
                await self._try(self._flush())
            self._wake.clear()
            if self._error:
                await self._put_aside()
                await asyncio.sleep(RETRY_S)
            elif not (self._queued or self._orphans):
                left_s = max(0.0, self._sweeps_at - time.monotonic()) if self._alone else None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        await self._wake.wait()

    async def _try(self, work: Awaitable[None]) -> bool:
        """Whether it could be done; the health says why not."""
        try:
            async with asyncio.timeout(WRITE_S):
                await work
        except (SQLAlchemyError, OSError, CommandError) as error:
            why = f"The database can't be used: {_first_line(error)}"
        else:
            if self._error:
                logger.info("the database can be used again")
            self._error = ""
            return True
        if not self._error:
            logger.error("%s", why)
        self._error = why
        return False

    async def _open(self) -> None:
        left = await self.database.open(self._started if self._alone else None)
        if left:
            logger.warning("%d calls were left open by a process that died: closed now", left)

    async def _sweep(self) -> None:
        kept = self._settings
        gone, more = await self.database.sweep(
            datetime.now(UTC), keep_days=kept.keep_days, keep_words_days=kept.keep_words_days
        )
        if not more:
            self._sweeps_at = time.monotonic() + SWEEP_EVERY_S
        if gone:
            logger.info("deleted the records of %d calls, older than %d days", gone, kept.keep_days)

    async def _flush(self) -> None:
        """Write what waits. Raises if the database is away."""
        if orphans := list(self._orphans):
            await self.database.close_lost(orphans)
            self._orphans.difference_update(orphans)
        while batch := dict(islice(self._waiting.items(), _BATCH)):
            try:
                await self._write(batch)
            except Exception as error:  # a driver may raise anything over what it can't write
                if _is_away(error):
                    raise
                for id, snapshot in batch.items():
                    await self._write_alone(id, snapshot)
        await self._take_back()

    async def _put_aside(self) -> None:
        """Have what is over wait in files, which a process that dies doesn't take along."""
        for id, snapshot in [*self._waiting.items()]:
            if not snapshot.over:
                continue
            try:
                self._lost += await asyncio.to_thread(self._aside.put, id, self._record(id, snapshot))
            except OSError as error:
                logger.warning("records can't wait on the disk: %s", error.strerror)
                return
            if self._waiting.get(id) is snapshot:
                del self._waiting[id]
            self._written.pop(id, None)
            self._doubtful.discard(id)

    async def _take_back(self) -> None:
        """Write some of what waits in files. Raises if the database is away."""
        for id in self._aside.first(_BATCH):
            try:
                record = await asyncio.to_thread(self._aside.get, id)
                async with self.database.session() as session:
                    await aside.write(self.database, session, id, record)
                    await self.database.deliver(session, id)
            except FileNotFoundError:  # somebody has tidied up
                logger.warning("call %s: its record is gone from the disk", id)
            except Exception as error:  # as one that waits in memory
                if _is_away(error):
                    raise
                logger.exception("call %s: its record can't be written and is given up", id)
                self._lost += 1
            await asyncio.to_thread(self._aside.drop, id)

    def _record(self, id: str, snapshot: _Snapshot) -> aside.Record:
        said = snapshot.said
        return {
            Call: [snapshot.columns],
            Turn: _rows(id, said.turns, self._row.turn),
            ToolCall: _rows(id, said.tool_calls, self._row.tool_call),
            Action: _rows(id, said.actions, self._row.action),
            Problem: _rows(id, said.problems, self._row.problem),
        }

    async def _write_alone(self, id: str, snapshot: _Snapshot) -> None:
        try:
            await self._write({id: snapshot})
        except Exception as error:
            if _is_away(error):
                raise
            logger.exception("call %s: its record can't be written and is given up", id)
            self._waiting.pop(id, None)
            self._written.pop(id, None)
            self._doubtful.discard(id)
            self._lost += 1

    async def _write(self, batch: Mapping[str, _Snapshot]) -> None:
        doubtful = self._doubtful & batch.keys()
        self._doubtful |= batch.keys()
        async with self.database.session() as session:
            for id, snapshot in batch.items():
                before = self._written.get(id)
                known = before.columns if before and id not in doubtful else {}
                new = {
                    name: value for name, value in snapshot.columns.items() if known.get(name, ...) != value
                }
                await self.database.put(session, Call, {"id": id, **new})
                said = before.said if before else _Said()
                await self._write_said(session, id, said, snapshot.said, doubtful=id in doubtful)
                if snapshot.over:
                    await self.database.deliver(session, id)
        self._doubtful -= batch.keys()
        for id, snapshot in batch.items():
            self._written[id] = snapshot
            if self._waiting.get(id) is snapshot:
                del self._waiting[id]
                if snapshot.over:
                    del self._written[id]

    async def _write_said(
        self, session: AsyncSession, id: str, before: _Said, now: _Said, *, doubtful: bool
    ) -> None:
        write = partial(_write_rows, session, id, doubtful)
        await write(Turn, before.turns, now.turns, self._row.turn)
        await write(ToolCall, before.tool_calls, now.tool_calls, self._row.tool_call)
        await write(Action, before.actions, now.actions, self._row.action)
        await write(Problem, before.problems, now.problems, self._row.problem)


def _media(stats: MediaStats) -> dict[str, Any]:
    return {
        "packets_received": stats.packets_received,
        "packets_lost": stats.packets_lost,
        "jitter_ms": stats.jitter_ms,
        "round_trip_ms": stats.round_trip_ms,
    }


async def _write_rows(
    session: AsyncSession,
    call_id: str,
    doubtful: bool,
    table: type[Turn] | type[ToolCall] | type[Action] | type[Problem],
    before: Sequence[T],
    now: Sequence[T],
    columns: Callable[[T], dict[str, Any]],
) -> None:
    """Only what is new; a turn that was taken back goes."""
    pairs = enumerate(zip(before, now, strict=False))
    kept = next((n for n, (one, other) in pairs if one is not other), min(len(before), len(now)))
    if kept == len(before) == len(now) and not doubtful:
        return
    rows = core(table)
    if doubtful or kept < len(before):
        await session.execute(delete(rows).where(rows.c.call_id == call_id, rows.c.number >= kept))
    new = _rows(call_id, now, columns, kept)
    if new:
        await session.execute(rows.insert(), new)


def _rows(
    call_id: str, said: Sequence[T], columns: Callable[[T], dict[str, Any]], first: int = 0
) -> list[dict[str, Any]]:
    """From the `first` on."""
    return [
        {"call_id": call_id, "number": number, **columns(one)}
        for number, one in enumerate(islice(said, first, None), first)
    ]


def _is_away(error: Exception) -> bool:
    """Whether it is the database that fails; otherwise what is to be written is wrong."""
    if isinstance(error, ProgrammingError):  # of the server: a table or a right is missing
        return getattr(error.orig, "sqlstate", None) is not None
    # sqlite3 has no class of its own for a damaged file. A PostgreSQL that is read-only is an InternalError.
    away = (OperationalError, InterfaceError, InternalError, OSError)
    return type(error) is DatabaseError or isinstance(error, away)


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]
