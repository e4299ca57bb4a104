"""The databases that records may be in, and a call to be recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from agent.records.recorder import Recorder
from bench import observing
from config.settings import Settings
from models.pool import ComponentHealth
from tests.postgres import Postgres, postgres


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peers)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """With an empty database."""
    if request.param == "sqlite":
        return Settings(state_dir=tmp_path / "state")
    running: Postgres = request.getfixturevalue("server")
    with psycopg.connect(running.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return Settings.model_validate({"state_dir": tmp_path, "records": {"url": running.url}})


@pytest.fixture
async def recorder(settings: Settings) -> AsyncIterator[Recorder]:
    opened = Recorder(settings, lambda: [ComponentHealth("stt", "ready", "cpu", "base", None, 0)])
    await opened.start()
    yield opened
    await opened.close()


@dataclass
class Talk(observing.Talk):
    connected_at: float | None = None
    guesses: tuple[int, int] = (2, 1)

    def recorded_by(self, recorder: Recorder) -> Talk:
        """Has begun; each change is noted."""
        recorder.began(self)
        self.conversation.on_changed = lambda: recorder.changed(self)
        return self
