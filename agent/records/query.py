"""Which calls are asked for."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import or_
from sqlalchemy.sql import Select

from agent.records.tables import Call


@dataclass(frozen=True)
class Query:
    caller: str | None = None
    called: str | None = None
    transport: str | None = None
    cause: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: tuple[datetime, str] | None = None  # the last call of the page before
    limit: int = 100

    def narrow(self, calls: Select[Call]) -> Select[Call]:
        """`calls` that fit, the newest first."""
        for column, wanted in (
            (Call.caller, self.caller),
            (Call.called, self.called),
            (Call.transport, self.transport),
            (Call.cause, self.cause),
        ):
            if wanted is not None:
                calls = calls.where(column == wanted)
        if self.since is not None:
            calls = calls.where(Call.began >= self.since)
        if self.until is not None:
            calls = calls.where(Call.began < self.until)
        if self.after is not None:
            began, id = self.after
            # Without its first half the index isn't entered here, but walked from the newest call on.
            calls = calls.where(Call.began <= began, or_(Call.began < began, Call.id < id))
        return calls.order_by(Call.began.desc(), Call.id.desc()).limit(self.limit)

    def behind(self, call: Call) -> Query:
        """The same, for what comes behind `call`."""
        return replace(self, after=(call.began, call.id))


def cursor(call: Call) -> str:
    """Where a page ended, for whoever asks for the next one."""
    return base64.urlsafe_b64encode(json.dumps([call.began.isoformat(), call.id]).encode()).decode()


def place(cursor: str) -> tuple[datetime, str]:
    """What `cursor` made. Raises ValueError for anything else."""
    try:
        began, id = json.loads(base64.urlsafe_b64decode(cursor))
        return datetime.fromisoformat(began).astimezone(UTC), str(id)
    except (binascii.Error, TypeError, OverflowError) as error:
        raise ValueError("no cursor") from error
