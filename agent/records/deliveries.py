"""Posts each call's record when the call is over: at least once, over restarts, signed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from agent.records.database import Database
from agent.records.tables import Call, Delivery
from config.webhook import WebhookSettings

FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 600.0
GIVEN_UP_S = 3 * 24 * 3600.0
LOOK_EVERY_S = 5.0
_BATCH = 20

logger = logging.getLogger("offhook.webhook")


class Deliveries:
    """Runs beside the recorder, which notes what is to be posted in the transaction that ends a record."""

    def __init__(self, settings: WebhookSettings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="deliveries")

    async def close(self) -> None:
        """What isn't delivered is tried again after the next start."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        async with httpx2.AsyncClient(timeout=self._settings.timeout_s) as http:
            while True:
                try:
                    while await self._deliver_due(http):
                        pass
                except (SQLAlchemyError, OSError):  # the recorder tells that the database is away
                    logger.debug("no deliveries while the database is away")
                await asyncio.sleep(LOOK_EVERY_S)

    async def _deliver_due(self, http: httpx2.AsyncClient) -> bool:
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
            await self._deliver(http, delivery)
        return bool(due)

    async def _deliver(self, http: httpx2.AsyncClient, delivery: Delivery) -> None:
        call = await self._database.call(delivery.call_id)
        why = await self._post(http, call) if call else None  # forgotten meanwhile
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

    async def _post(self, http: httpx2.AsyncClient, call: Call) -> str | None:
        """Why it wasn't taken, in a sentence."""
        body = json.dumps({"type": "call.ended", "data": document(call)}, ensure_ascii=False).encode()
        assert self._settings.url is not None
        headers = {"Content-Type": "application/json", **self._signed(call.id, body)}
        if token := self._settings.token:
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        try:
            status = (await http.post(self._settings.url, content=body, headers=headers)).status_code
        except httpx2.HTTPError as error:
            return f"The webhook doesn't answer: {type(error).__name__}."
        return None if status < 300 else f"The webhook answers HTTP {status}."

    def _signed(self, id: str, body: bytes) -> Mapping[str, str]:
        secret = self._settings.secret
        return signature(secret.get_secret_value(), id, int(time.time()), body) if secret else {}


def signature(secret: str, id: str, at: int, body: bytes) -> dict[str, str]:
    """The headers that prove who has sent `body`, and when (standardwebhooks.com); `at` is Unix time."""
    signed = hmac.new(secret.encode(), b"%s.%d." % (id.encode(), at) + body, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


def document(call: Call) -> dict[str, Any]:
    """All that is known of a call, with its rows, as JSON's values."""
    return {
        **_columns(call),
        "turns": [_columns(row) for row in call.turns],
        "tool_calls": [_columns(row) for row in call.tool_calls],
        "problems": [_columns(row) for row in call.problems],
    }


def _columns(row: Any) -> dict[str, Any]:
    columns = {column.key: getattr(row, column.key) for column in row.__table__.columns}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in columns.items()
        if name != "call_id"
    }
