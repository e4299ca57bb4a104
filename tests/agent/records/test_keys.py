"""API keys, in both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.records.keys import Keys, NameTaken, digest
from agent.records.recorder import Recorder


async def test_a_key_is_made_found_used_and_revoked(recorder: Recorder) -> None:
    keys = Keys(recorder.database)
    ends = datetime.now(UTC) + timedelta(days=90)
    key, _ = await keys.create("desk", ["operate", "listen"], ends)
    found = await keys.find(digest(key))
    assert found is not None
    assert (found.name, found.scopes, found.expires) == ("desk", ["operate", "listen"], ends)
    assert await keys.find(digest(key + "x")) is None
    now = datetime.now(UTC)
    await keys.note_use("desk", now)
    assert [each.last_used for each in await keys.all()] == [now]
    assert await keys.revoke("desk")
    assert not await keys.revoke("desk")
    revoked = await keys.find(digest(key))
    assert revoked is not None
    assert revoked.revoked is not None


async def test_a_name_is_given_once(recorder: Recorder) -> None:
    keys = Keys(recorder.database)
    await keys.create("desk", ["read"])
    await keys.revoke("desk")
    with pytest.raises(NameTaken):
        await keys.create("desk", ["read"])
    assert len(await keys.all()) == 1
