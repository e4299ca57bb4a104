"""Records of calls that are over and can't be written now, in files that outlive the process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from agent.records.database import Database, core
from agent.records.tables import Action, Base, Call, Moment, Problem, ToolCall, Turn

MOST = 20_000  # calls, of some kilobytes each

Rows = Sequence[Mapping[str, Any]]
Record = Mapping[type[Base], Rows]
"""A call's rows, by table."""

_TABLES: Mapping[str, type[Base]] = {
    table.__tablename__: table for table in (Call, Turn, ToolCall, Action, Problem)
}


class Aside:
    """One file a call, in `folder`. All but `len` do I/O and may raise OSError."""

    def __init__(self, folder: Path, *, inherits: bool) -> None:
        """Whoever `inherits` has what a process before left there."""
        self._folder = folder
        self._ids: dict[str, None] = {}  # the oldest first
        if inherits and folder.exists():
            files = sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime)
            self._ids = dict.fromkeys(file.stem for file in files)

    def __len__(self) -> int:
        return len(self._ids)

    def put(self, id: str, record: Record) -> int:
        """Returns how many others had to go for it, the oldest."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = json.dumps({table.__tablename__: rows for table, rows in record.items()}, default=_written)
        new = self._path(id).with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(text)
        new.replace(self._path(id))
        self._ids[id] = None
        gone = list(self._ids)[: max(0, len(self._ids) - MOST)]
        for one in gone:
            self.drop(one)
        return len(gone)

    def first(self, most: int) -> list[str]:
        return list(self._ids)[:most]

    def get(self, id: str) -> Record:
        """Raises ValueError as well, where that isn't what was written."""
        try:
            kept = json.loads(self._path(id).read_text())
            return {_TABLES[name]: [_read(_TABLES[name], row) for row in rows] for name, rows in kept.items()}
        except (KeyError, AttributeError, TypeError) as error:
            raise ValueError(f"no record of a call: {error}") from error

    def drop(self, id: str) -> None:
        self._ids.pop(id, None)
        self._path(id).unlink(missing_ok=True)

    def _path(self, id: str) -> Path:
        return self._folder / f"{id}.json"


async def write(database: Database, session: AsyncSession, id: str, record: Record) -> None:
    """In the place of what is known of the call."""
    for table, rows in record.items():
        if table is Call:
            await database.put(session, Call, rows[0])
            continue
        await session.execute(delete(core(table)).where(core(table).c.call_id == id))
        if rows:
            await session.execute(core(table).insert(), list(rows))


def _written(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} can't be written down")


def _read(table: type[Base], row: Mapping[str, Any]) -> dict[str, Any]:
    moments = {column.name for column in core(table).columns if isinstance(column.type, Moment)}
    return {
        name: datetime.fromisoformat(value) if value and name in moments else value
        for name, value in row.items()
    }
