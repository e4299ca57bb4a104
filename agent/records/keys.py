"""API keys. Of each only a digest is kept.

A key is 256 random bits, which nobody finds from their SHA-256: slow hashes are for passwords that people
choose. How long the database compares digests tells nothing either, since nobody can choose theirs.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from agent.records.database import Database
from agent.records.tables import ApiKey

Scope = Literal["read", "operate", "listen", "admin"]

MARK = "offhook_"  # by which scanners for secrets, and we, know one
_SHOWN = len(MARK) + 6


class NameTaken(Exception):
    """Another key has this name, or had it."""


class Keys:
    """All may raise SQLAlchemyError or OSError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, name: str, scopes: Sequence[Scope], expires: datetime | None = None
    ) -> tuple[str, ApiKey]:
        """The key itself, which nobody can tell later, and what is kept of it. Raises NameTaken."""
        key = MARK + secrets.token_urlsafe(32)
        kept = ApiKey(
            name=name,
            digest=digest(key),
            prefix=key[:_SHOWN],
            scopes=list(scopes),
            created=datetime.now(UTC),
            expires=expires,
        )
        try:
            async with self._database.session() as session:
                session.add(kept)
        except IntegrityError:
            raise NameTaken(f"there is a key named {name}, or was one: choose another name") from None
        return key, kept

    async def all(self) -> list[ApiKey]:
        """The oldest first, also those that can't be used any more."""
        async with self._database.session() as session:
            return list(await session.scalars(select(ApiKey).order_by(ApiKey.created)))

    async def find(self, digest: str) -> ApiKey | None:
        """Also one that can't be used any more."""
        async with self._database.session() as session:
            return await session.scalar(select(ApiKey).where(ApiKey.digest == digest))

    async def revoke(self, name: str) -> bool:
        """Whether there was such a key to be revoked."""
        now = datetime.now(UTC)
        async with self._database.session() as session:
            done = await session.execute(
                update(ApiKey).where(ApiKey.name == name, ApiKey.revoked.is_(None)).values(revoked=now)
            )
        return bool(done.rowcount)  # type: ignore[attr-defined]

    async def note_use(self, name: str, at: datetime) -> None:
        async with self._database.session() as session:
            await session.execute(update(ApiKey).where(ApiKey.name == name).values(last_used=at))


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
