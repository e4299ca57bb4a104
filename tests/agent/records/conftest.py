"""The databases that records may be in, and a call to be recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agent.conversation import Action, Conversation, Problem, ToolCall, Turn
from agent.observer import Recorded
from agent.records.recorder import Recorder
from config.persona import Persona, load_persona
from config.settings import Settings
from models.pool import ComponentHealth
from tests.postgres import Postgres, postgres
from transports.call import CallInfo


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
class Talk:
    """A live call without a wire."""

    info: CallInfo = field(default_factory=lambda: CallInfo("sip", "alice", "agent", remote="192.0.2.7"))
    persona: Persona = field(default_factory=lambda: load_persona("en"))
    connected_at: float | None = None
    conversation: Conversation = field(default_factory=Conversation)
    guesses: tuple[int, int] = (2, 1)
    false_starts: int = 0
    flow: Mapping[str, Any] | None = None
    last_voice_to_voice_ms: float | None = None
    recorded: Recorded | None = None

    @property
    def turns(self) -> list[Turn]:
        return list(self.conversation.turns)

    @property
    def tool_calls(self) -> list[ToolCall]:
        return list(self.conversation.tool_calls)

    @property
    def actions(self) -> list[Action]:
        return list(self.conversation.actions)

    @property
    def problems(self) -> list[Problem]:
        return list(self.conversation.problems)

    def recorded_by(self, recorder: Recorder) -> Talk:
        """Has begun; each change is noted."""
        recorder.began(self)
        self.conversation.on_changed = lambda: recorder.changed(self)
        return self
