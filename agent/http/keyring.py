"""Whose a key is."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from agent.http.access import OPERATOR, Holder
from agent.records.keys import MARK, Keys, digest
from agent.records.tables import ApiKey

FRESH_S = 5.0  # what was read of a key is believed; so long a revoked one may still be used
MOST = 1024
LOOK_UP_S = 2.0
NOTE_USE_S = 60.0  # how exact "last used" is

logger = logging.getLogger("offhook.http")


class WrongKey(Exception):
    """Nobody has it."""


class SpentKey(Exception):
    """It was somebody's; the message is a sentence."""


class KeysAway(Exception):
    """Whose it is can't be found out now."""


class Keyring:
    """`http.api_key`, which may do everything and needs no database, and the keys that the database has."""

    def __init__(self, configured: Callable[[], str], keys: Keys | None) -> None:
        """`configured` is asked each time: it may be another one since."""
        self._configured = configured
        self._keys = keys
        self._read: dict[str, tuple[ApiKey, float]] = {}

    async def holder(self, given: str) -> Holder:
        """Raises WrongKey, SpentKey, KeysAway."""
        sought = digest(given)
        if hmac.compare_digest(sought, digest(self._configured())):
            return OPERATOR
        if self._keys is None or not given.startswith(MARK):
            raise WrongKey
        kept = await self._look_up(self._keys, sought)
        now = datetime.now(UTC)
        if kept.revoked:
            raise SpentKey(f"The key {kept.name} was revoked.")
        if kept.expires and kept.expires <= now:
            raise SpentKey(f"The key {kept.name} expired on {kept.expires:%Y-%m-%d}.")
        return Holder.of(kept.name, kept.scopes)  # type: ignore[arg-type]

    async def _look_up(self, keys: Keys, sought: str) -> ApiKey:
        kept, read_at = self._read.get(sought, (None, 0.0))
        if kept and time.monotonic() - read_at < FRESH_S:
            return kept
        self._read.pop(sought, None)
        try:
            async with asyncio.timeout(LOOK_UP_S):
                kept = await keys.find(sought)
        except (SQLAlchemyError, OSError) as error:
            raise KeysAway from error
        if kept is None:
            raise WrongKey
        if len(self._read) >= MOST:
            self._read.clear()
        self._read[sought] = kept, time.monotonic()
        await self._note_use(keys, kept)
        return kept

    @staticmethod
    async def _note_use(keys: Keys, kept: ApiKey) -> None:
        """A database that can be read but not written costs nobody an answer."""
        now = datetime.now(UTC)
        if kept.revoked or (kept.last_used and now - kept.last_used < timedelta(seconds=NOTE_USE_S)):
            return
        with suppress(SQLAlchemyError, OSError):
            async with asyncio.timeout(LOOK_UP_S):
                await keys.note_use(kept.name, now)
