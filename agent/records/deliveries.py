"""Posts each call's record when the call is over: at least once, over restarts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from agent.records.database import Database
from agent.records.tables import Call, Delivery
from agent.webhook import ONCE_S, Webhook, WebhookFailed
from config.webhook import WebhookSettings

FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 600.0
GIVEN_UP_S = 3 * 24 * 3600.0
LOOK_EVERY_S = 5.0
SUMMED_UP_S = 600.0  # what waits for longer is posted without a summary: the model doesn't keep up
_BATCH = 20

Summarize = Callable[[Call], Awaitable[str | None]]

logger = logging.getLogger("offhook.webhook")


class Deliveries:
    """Runs beside the recorder, which notes what is to be posted in the transaction that ends a record."""

    def __init__(
        self, settings: WebhookSettings, database: Database, summarize: Summarize | None = None
    ) -> None:
        self._webhook = Webhook(settings)
        self._database = database
        self._summarize = summarize
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="deliveries")

    async def close(self) -> None:
        """What isn't delivered is tried again after the next start."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                while await self._deliver_due():
                    pass
            except (SQLAlchemyError, OSError):  # the recorder tells that the database is away
                logger.debug("no deliveries while the database is away")
            except Exception:  # of one call's record; the others are still to be posted
                logger.exception("a record couldn't be posted")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _deliver_due(self) -> bool:
        """Whether something was due."""
        now = datetime.now(UTC)
        async with self._database.session() as session:
            due = list(
                await session.scalars(
                    select(Delivery)
                    .where(Delivery.node == self._database.node, Delivery.due <= now)
                    .order_by(Delivery.due)
                    .limit(_BATCH)
                )
            )
        for delivery in due:
            await self._deliver(delivery)
        return bool(due)

    async def _deliver(self, delivery: Delivery) -> None:
        why = None
        if call := await self._database.call(delivery.call_id):  # not forgotten meanwhile
            await self._sum_up(call, delivery)
            try:
                await self._webhook.post("call.ended", call.id, document(call), tries_s=ONCE_S)
            except WebhookFailed as failed:
                why = failed
        async with self._database.session() as session:
            row = await session.get_one(Delivery, delivery.call_id)
            waited_s = (datetime.now(UTC) - row.since).total_seconds()
            if why is None or waited_s > GIVEN_UP_S:
                await session.delete(row)
            else:
                row.tries += 1
                wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(row.tries, 16))
                row.due = datetime.now(UTC) + timedelta(seconds=wait_s)
        if why and waited_s > GIVEN_UP_S:
            logger.error("call %s: its record isn't posted: %s It is given up", delivery.call_id, why)
        elif why:
            logger.warning("call %s: its record isn't posted yet: %s", delivery.call_id, why)

    async def _sum_up(self, call: Call, delivery: Delivery) -> None:
        late = (datetime.now(UTC) - delivery.since).total_seconds() > SUMMED_UP_S
        if self._summarize is None or call.summary is not None or late:
            return
        if (summary := await self._summarize(call)) is not None:
            call.summary = summary
            async with self._database.session() as session:
                await session.execute(update(Call).where(Call.id == call.id).values(summary=summary))


def document(call: Call) -> dict[str, Any]:
    """All that is known of a call, with its rows, as JSON's values."""
    return {
        **_columns(call),
        "turns": [_columns(row) for row in call.turns],
        "tool_calls": [_columns(row) for row in call.tool_calls],
        "actions": [_columns(row) for row in call.actions],
        "problems": [_columns(row) for row in call.problems],
    }


def _columns(row: Any) -> dict[str, Any]:
    columns = {column.key: getattr(row, column.key) for column in row.__table__.columns}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in columns.items()
        if name != "call_id"
    }
