"""What one source may have, and one key may ask, over all nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from sqlalchemy import select

from agent.cluster.node import SILENT_S
from agent.http.app import create_app
from agent.http.attempts import Rates
from agent.records.database import Database
from agent.records.held import HeldCalls
from agent.records.tables import HeldCall
from config.settings import Settings
from tests.agent.cluster.conftest import Node, Running, settings_of
from tests.agent.cluster.test_nodes import run, silence, up
from tests.agent.http.fakes import FakeCalls, FakeModels
from tests.postgres import Postgres

pytestmark = pytest.mark.peers
SOURCE, OTHER = "192.0.2.7", "192.0.2.8"


@pytest.fixture(autouse=True)
def _hears_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.cluster.cluster.SILENT_S", 0.0)


def held(one: Running, most: int = 2) -> HeldCalls:
    counts = HeldCalls(one.recorder.database, most, alone=True)
    one.cluster._held = counts
    return counts


async def test_calls_of_a_source_are_counted_over_all_nodes(node: Node) -> None:
    nodes = [node("one"), node("other")]
    await up(*nodes)
    one, other = (held(each) for each in nodes)
    ids = {one: ["a", "b", "c"], other: ["d", "e", "f"]}
    tried = [(each, id) for each, theirs in ids.items() for id in theirs]
    taken = await asyncio.gather(*(each.take(id, SOURCE) for each, id in tried))
    assert sum(taken) == 2
    assert await other.take("g", OTHER)
    has, id = next(which for which, done in zip(tried, taken, strict=True) if done)
    await has.leave(id)
    assert await one.take("h", SOURCE)
    assert not await other.take("i", SOURCE)


async def test_a_lost_nodes_calls_make_room_and_count_again_where_it_wasnt_lost(
    node: Node, database: Postgres
) -> None:
    dead, one = node("dead"), node("one")
    await up(dead, one)
    theirs, ours = held(dead, 1), held(one, 1)
    assert await theirs.take("a", SOURCE)
    assert not await ours.take("b", SOURCE)
    silence(database, "dead", SILENT_S + 1)
    await one.cluster.look()
    assert await ours.take("c", SOURCE)
    await ours.leave("c")
    await dead.cluster.look()
    assert not await ours.take("d", SOURCE)


async def test_what_a_process_that_died_had_is_over_when_it_comes_again(node: Node) -> None:
    one = node("one")
    await up(one)
    assert await held(one, 1).take("a", SOURCE)
    again = held(one, 1)
    assert await again.take("b", SOURCE)


async def test_without_the_database_each_node_counts_its_own(node: Node, database: Postgres) -> None:
    one, other = node("one"), node("other")
    await up(one, other)
    here, there = held(one, 1), held(other, 1)
    assert await here.take("a", SOURCE)
    await one.cluster.look()
    database.stop()
    try:
        assert await there.take("b", SOURCE)
        await here.leave("a")
    finally:
        database.start()
    await one.cluster.look()
    await other.cluster.look()
    assert not await here.take("c", SOURCE)
    assert run(database, "SELECT id FROM held_calls") == [("b",)]
    await there.leave("b")
    assert await here.take("d", SOURCE)


async def test_processes_of_one_server_count_together_in_sqlite(tmp_path: Path) -> None:
    settings = Settings.model_validate({"state_dir": tmp_path})
    async with AsyncExitStack() as stack:
        processes = []
        for alone in (True, False):
            database = Database(settings)
            stack.push_async_callback(database.close)
            await database.connect()
            processes.append(HeldCalls(database, 2, alone=alone))
        first, second = processes
        asked = [(each, f"{nth}{number}") for nth, each in enumerate(processes) for number in range(3)]
        assert sum(await asyncio.gather(*(each.take(id, SOURCE) for each, id in asked))) == 2
        await first.gone(id for _, id in asked)  # those of the second one among them
        assert await second.take("a", SOURCE)


async def test_calls_that_begin_and_end_while_all_are_told_are_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(Settings.model_validate({"state_dir": tmp_path}))
    calls = HeldCalls(database, 2, alone=False)
    leaving: list[asyncio.Task[None]] = []
    put = database.put

    async def meanwhile(*row: Any) -> None:
        if not leaving:
            leaving.append(asyncio.create_task(calls.leave("a")))
            assert await calls.take("c", OTHER)
            await asyncio.sleep(0)
        await put(*row)

    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        assert await calls.take("a", SOURCE)  # without the tables, which aren't made yet
        assert await calls.take("b", SOURCE)
        await database.connect()
        monkeypatch.setattr(database, "put", meanwhile)
        await calls.write()
        await asyncio.gather(*leaving)
        async with database.session() as session:
            assert set(await session.scalars(select(HeldCall.id))) == {"b", "c"}


async def test_a_node_lives_on_where_its_calls_cant_be_counted(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(**_: bool) -> None:
        raise RuntimeError("it was told to")

    one = node("one")
    await up(one)
    monkeypatch.setattr(held(one), "write", fails)
    await one.cluster.look()
    assert one.cluster.health().state == "degraded"


async def test_what_a_key_asks_of_one_node_is_taken_off_its_rate_at_another(
    two: tuple[Asker, Asker],
) -> None:
    one, other = two
    statuses = [await one() for _ in range(7)]
    assert statuses[:5] == [200] * 5  # at one a second, five may come at once
    assert 429 in statuses
    await one.node.cluster.look()
    await other.node.cluster.look()
    assert await other() == 429
    await one.node.cluster.look()


async def test_without_the_database_each_node_has_the_whole_rate(
    two: tuple[Asker, Asker],
    database: Postgres,
) -> None:
    one, other = two
    database.stop()
    try:
        for each in (one, other):
            assert [await each() for _ in range(5)] == [200] * 5
            await each.node.cluster.look()
    finally:
        database.start()
    for each in (one, other):
        await each.node.cluster.look()
    later = Rates(60)  # as after a while
    other.node.cluster.share(later)
    await one.node.cluster.look()
    await other.node.cluster.look()
    assert later.wait_s("http.api_key", 0) == 0  # what was asked meanwhile is nobody's debt


class Asker:
    """Asks one node over HTTP, by its key."""

    def __init__(self, node: Running, client: httpx2.AsyncClient) -> None:
        self.node = node
        self._client = client

    async def __call__(self) -> int:
        return (await self._client.get("/api/v1/sessions")).status_code


@asynccontextmanager
async def asking(node: Running, folder: Path, database: Postgres) -> AsyncIterator[Asker]:
    settings = settings_of(node.cluster.name, database.url, folder)
    http = settings.http.model_copy(update={"requests_per_minute": 60})
    app = create_app(
        settings=settings.model_copy(update={"http": http}),
        calls=FakeCalls(),
        models=FakeModels(),
        nodes=node.cluster,
    )
    await up(node)
    assert settings.http.api_key
    headers = {"X-API-Key": settings.http.api_key.get_secret_value()}
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://node", headers=headers) as client:
        yield Asker(node, client)


@pytest_asyncio.fixture
async def two(node: Node, tmp_path: Path, database: Postgres) -> AsyncIterator[tuple[Asker, Asker]]:
    """Nodes, each to be asked."""
    async with (
        asking(node("one"), tmp_path, database) as one,
        asking(node("other"), tmp_path, database) as other,
    ):
        yield one, other
