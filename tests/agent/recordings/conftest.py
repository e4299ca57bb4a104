from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.recordings.recordings import Recordings
from agent.records.database import Database
from config.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate({"state_dir": tmp_path, "recordings": {"enabled": True}})


@pytest.fixture
async def recordings(settings: Settings) -> AsyncIterator[Recordings]:
    database = Database(settings)
    kept = Recordings(settings, database)
    kept.start()
    yield kept
    await kept.close()
    await database.close()
