"""Nodes over one PostgreSQL, without their servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from agent.cluster.cluster import Cluster
from agent.cluster.node import State
from agent.events import Events
from agent.records.recorder import Recorder
from config.answering import load_personas
from config.settings import Settings
from tests.agent.records.conftest import Talk
from tests.postgres import Postgres, postgres
from transports.outbound import OutboundGuard

KEY = "one-key-of-the-cluster"


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture
def database(server: Postgres) -> Postgres:
    """Empty."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return server


@dataclass
class Running:
    """A node with its records."""

    recorder: Recorder
    cluster: Cluster
    events: Events
    guard: OutboundGuard
    state: State = "ready"
    live: dict[str, Talk] = field(default_factory=dict)

    def call(self) -> Talk:
        """One that begins here."""
        talk = Talk().recorded_by(self.recorder)
        self.live[talk.info.id] = talk
        return talk


class Node(Protocol):
    def __call__(self, name: str, **settings: Any) -> Running: ...


def settings_of(
    name: str, url: str, folder: Path, url_of_node: str = "http://127.0.0.1:1", **more: Any
) -> Settings:
    return Settings.model_validate(
        {
            "state_dir": folder,
            "http": {"api_key": "s3cret-s3cret-s3cret"},
            "records": {"url": url, "node": name},
            "cluster": {"enabled": True, "url": url_of_node, "key": KEY},
            **more,
        }
    )


@pytest.fixture
async def node(database: Postgres, tmp_path: Path) -> AsyncIterator[Node]:
    """Makes one by its name, which neither tells nor looks before it is told to."""
    stack = AsyncExitStack()

    def make(name: str, **more: Any) -> Running:
        settings = settings_of(name, database.url, tmp_path, **more)
        recorder, events, guard = Recorder(settings), Events(), OutboundGuard(settings.outbound)
        made = Running(
            recorder,
            Cluster(
                settings,
                recorder.database,
                events,
                lambda: (made.state, len(made.live), 20),
                lambda id: id in made.live,
                guard,
            ),
            events,
            guard,
        )
        made.cluster.apply(settings, load_personas(settings))
        stack.push_async_callback(recorder.close)
        stack.push_async_callback(made.cluster.close)
        return made

    async with stack:
        yield make
