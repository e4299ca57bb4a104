"""Who is alive, who is lost, and what becomes of a lost node's calls."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agent.cluster import cluster as module
from agent.cluster.node import SILENT_S, Heartbeat, answering, configuration, share, strays
from agent.cluster.node import Node as Known
from agent.records.deliveries import Deliveries
from config.answering import load_personas
from config.settings import Settings
from config.webhook import WebhookSettings
from tests.agent.cluster.conftest import KEY, Node, Running, settings_of
from tests.agent.records.conftest import Talk
from tests.postgres import Postgres
from tests.waiting import until
from transports.call import EndReason, MediaStats

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def _hears_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks has heard the others for long enough."""
    monkeypatch.setattr(module, "SILENT_S", 0.0)


def run(database: Postgres, statement: str, *values: Any) -> list[Any]:
    with closing(psycopg.connect(database.url, autocommit=True)) as connection:
        done = connection.execute(statement, values)
        return done.fetchall() if done.description else []


def silence(database: Postgres, name: str, seconds: float = SILENT_S + 1) -> None:
    """As if nothing had been heard of the node for so long."""
    run(database, "UPDATE nodes SET beat = beat - make_interval(secs => %s) WHERE name = %s", seconds, name)


async def up(*nodes: Running) -> None:
    for one in nodes:
        await one.recorder.start()
        await one.cluster.look()


async def written(one: Running) -> None:
    await until(lambda: one.recorder.health().queued == 0)


def states(one: Running) -> dict[str, tuple[str, bool]]:
    return {node.name: (node.state, node.alive) for node in one.cluster.nodes}


def row(database: Postgres, talk: Talk) -> tuple[str | None, bool]:
    """The cause of a call's end, and whether it has ended."""
    [(cause, ended)] = run(database, "SELECT cause, ended FROM calls WHERE id = %s", talk.info.id)
    return cause, ended is not None


async def test_each_sees_how_the_others_are(node: Node, database: Postgres) -> None:
    one, other = node("one"), node("other")
    other.state = "draining"
    await up(other, one)
    assert states(one) == {"one": ("ready", True), "other": ("draining", True)}
    assert [known.name for known in one.cluster.others] == ["other"]
    await other.cluster.close()
    await one.cluster.look()
    assert states(one)["other"] == ("down", False)
    assert one.cluster.health().state == "ready"


async def test_a_silent_nodes_calls_are_closed_once(node: Node, database: Postgres) -> None:
    dead, one, other = node("dead"), node("one"), node("other")
    await up(dead, one, other)
    talks = [dead.call() for _ in range(3)]
    mine = one.call()
    await written(dead)
    await written(one)
    silence(database, "dead", SILENT_S - 2)
    await asyncio.gather(one.cluster.look(), other.cluster.look())
    assert row(database, talks[0]) == (None, False)
    silence(database, "dead")
    readers = [node.events.follow() for node in (one, other)]
    await asyncio.gather(one.cluster.look(), other.cluster.look())
    assert [row(database, talk) for talk in talks] == [("node_lost", True)] * 3
    assert row(database, mine) == (None, False)
    for looking in (one, other):
        await looking.cluster.look()
        assert states(looking)["dead"] == ("lost", False)
    told = [reader._events.qsize() for reader in readers]
    assert sorted(told) == [0, 3]


async def test_who_was_taken_for_dead_goes_on(node: Node, database: Postgres) -> None:
    stalled, other = node("stalled"), node("other")
    await up(stalled, other)
    goes_on, ends, ended = stalled.call(), stalled.call(), stalled.call()
    await written(stalled)
    silence(database, "stalled")
    await other.cluster.look()
    assert row(database, goes_on) == ("node_lost", True)
    del stalled.live[ended.info.id]
    stalled.recorder.ended(ended, EndReason.CALLER_HANGUP, MediaStats())
    await written(stalled)
    await stalled.cluster.look()
    assert row(database, goes_on) == (None, False)
    assert row(database, ended) == ("caller_hangup", True)
    stalled.recorder.ended(ends, EndReason.AGENT_HANGUP, MediaStats())
    await written(stalled)
    assert row(database, ends) == ("agent_hangup", True)
    await other.cluster.look()
    assert states(other)["stalled"] == ("ready", True)


async def test_who_was_taken_for_dead_goes_on_also_where_the_database_fails_meanwhile(
    node: Node, database: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled, other = node("stalled"), node("other")
    await up(stalled, other)
    talk = stalled.call()
    await written(stalled)
    silence(database, "stalled")
    await other.cluster.look()
    with monkeypatch.context() as failing:

        async def fail() -> list[str]:
            raise OSError

        failing.setattr(stalled.cluster._store, "closed_by_others", fail)
        await stalled.cluster.look()
    assert row(database, talk) == ("node_lost", True)
    await stalled.cluster.look()
    assert row(database, talk) == (None, False)
    assert not stalled.cluster._was_lost


async def test_nobody_is_taken_for_dead_by_who_was_away(
    node: Node, database: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As all nodes are when the database comes back."""
    monkeypatch.setattr(module, "SILENT_S", SILENT_S)
    one, other = node("one"), node("other")
    await up(one, other)
    talk = other.call()
    await written(other)
    silence(database, "other", 60)
    await one.cluster.look()
    assert states(one)["other"] == ("ready", False)
    assert row(database, talk) == (None, False)


async def test_what_is_posted_of_lost_calls_is_posted_by_whoever_closed_them(
    node: Node, database: Postgres
) -> None:
    dead, one = node("dead"), node("one")
    one.cluster._store._posts = True
    await up(dead, one)
    talk = dead.call()
    await written(dead)
    run(database, "INSERT INTO deliveries VALUES ('earlier', 'dead', now(), now(), 3)")
    silence(database, "dead")
    await one.cluster.look()
    due = run(database, "SELECT call_id, node, tries FROM deliveries ORDER BY call_id = 'earlier'")
    assert due == [(talk.info.id, "one", 0), ("earlier", "one", 3)]
    posted: list[str] = []
    deliveries = Deliveries(WebhookSettings(url="http://127.0.0.1:1"), one.recorder.database)

    async def post(kind: str, id: str, data: dict[str, Any], tries_s: object) -> None:
        posted.append(data["cause"])

    deliveries._webhook.post = post  # type: ignore[method-assign, assignment]
    deliveries.start()
    await until(lambda: posted)
    await deliveries.close()
    assert posted == ["node_lost"]


async def test_what_a_node_had_to_post_that_is_down_is_posted_by_another(
    node: Node, database: Postgres
) -> None:
    """It may never be started again, as a pod that isn't needed any more."""
    down, one = node("down"), node("one")
    await up(down, one)
    open_still = down.call()
    await written(down)
    await down.cluster.close()
    run(database, "INSERT INTO deliveries VALUES ('earlier', 'down', now(), now(), 3)")
    await one.cluster.look()
    assert run(database, "SELECT node FROM deliveries") == [("down",)]  # which may be at it yet
    silence(database, "down")
    await one.cluster.look()
    assert run(database, "SELECT node FROM deliveries") == [("one",)]
    assert row(database, open_still) == ("node_lost", True)
    assert states(one)["down"] == ("down", False)


async def test_a_second_process_by_the_same_name_is_told_of(node: Node) -> None:
    one, twin = node("one"), node("one")
    await up(one, twin)
    assert one.cluster.health().state == "ready"
    await one.cluster.look()
    assert one.cluster.health().state == "degraded"
    assert "Another process tells by the name one" in str(one.cluster.health().last_error)


async def test_a_database_that_is_away_is_said_to_be(node: Node, database: Postgres) -> None:
    one, other = node("one"), node("other")
    await up(other, one)
    talk = one.call()
    await written(one)
    database.stop()
    try:
        await one.cluster.look()
        assert one.cluster.away
        assert "database is away" in str(one.cluster.health().last_error)
        assert [known.name for known in one.cluster.others] == ["other"]
        assert await one.cluster.having("nowhere") is None  # the other node doesn't answer
        talk.conversation.caller_said("Meanwhile.")
    finally:
        database.start()
    await one.cluster.look()
    assert not one.cluster.away
    await written(one)
    assert run(database, "SELECT text FROM turns") == [("Meanwhile.",)]


def test_settings_that_each_node_has_of_its_own_make_no_stray(tmp_path: Path) -> None:
    here = settings_of("one", "postgresql://host/db", tmp_path)
    there = settings_of("other", "postgresql://host/db", tmp_path / "elsewhere", "http://10.0.0.2:8080")
    hashes = {configuration(here, KEY), configuration(there, KEY)}
    assert len(hashes) == 1
    for section, changed in (
        ("call", {"max_duration_s": 60}),
        ("llm", {"api_key": "another key"}),
        ("webhook", {"secret": "one"}),
        ("webhook", {"secret": "another"}),
    ):
        other = Settings.model_validate({**here.model_dump(exclude_unset=True), section: changed})
        hashes.add(configuration(other, KEY))
    assert len(hashes) == 4  # of the language models each node has its own
    assert answering(load_personas(here), KEY) == answering(load_personas(there), KEY)
    french = Settings.model_validate({"persona": "fr"})
    assert answering(load_personas(here), KEY) != answering(load_personas(french), KEY)


def test_who_isnt_as_most_others_is_a_stray() -> None:
    def known(name: str, configuration: str, silent_s: float = 1) -> Known:
        told = Heartbeat("http://host", "1", configuration, "p", "ready", 0, 20)
        return Known(**{one: getattr(told, one) for one in told.__slots__}, name=name, silent_s=silent_s)

    nodes = [known("a", "new"), known("b", "old"), known("c", "old"), known("d", "gone", 60)]
    assert strays(nodes) == ["a"]
    assert strays([known("a", "old"), known("b", "old")]) == []
    assert strays([]) == []


@pytest.mark.parametrize("limit", [3, 4, 7, 120])
def test_shares_come_to_the_limit(limit: int) -> None:
    names = ["c", "a", "b"]
    assert sum(share(limit, name, names) for name in names) == limit
    assert share(1, "c", names) == 1


async def test_whoever_follows_a_node_that_was_silent_for_long_is_told_so(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a network that was parted, in which its calls have gone on."""
    monkeypatch.setattr(module, "BEAT_S", 0.02)

    async def tell_of_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        writer.write(b'data: {"type": "started", "session": "9f2c51d07a3e"}\n\n')
        await reader.read()
        writer.close()

    def followed() -> bool:
        return any(task.get_name() == "cluster-events-other" for task in asyncio.all_tasks())

    one, heard = node("one"), asyncio.Queue[str]()
    told = Heartbeat("", "1", "c", "p", "ready", 0, 20)
    async with await asyncio.start_server(tell_of_one, "127.0.0.1", 0) as server:
        url = "http://{}:{}".format(*server.sockets[0].getsockname())
        there = Known(**{**asdict(told), "url": url, "name": "other"})
        down = replace(there, state="down")
        one.cluster.nodes = [there]
        async with one.cluster.following(
            lambda event: heard.put_nowait(event.id), lambda: heard.put_nowait("gap"), {}
        ):
            assert await heard.get() == "9f2c51d07a3e"
            for away, first in ((down, "9f2c51d07a3e"), (replace(there, silent_s=60), "gap")):
                one.cluster.nodes = [away]
                await until(lambda: not followed())
                one.cluster.nodes = [there]
                assert await heard.get() == first


async def test_a_node_whose_events_stopped_coming_is_asked_again(
    node: Node, database: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a network that drops everything, without a word."""
    monkeypatch.setattr(module, "FOLLOWED_S", 0.1)
    monkeypatch.setattr(module, "BEAT_S", 0.05)
    asked = asyncio.Semaphore(0)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.release()
        await reader.read()
        writer.close()

    one = node("one")
    told = Heartbeat("", "1", "c", "p", "ready", 0, 20)
    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        url = "http://{}:{}".format(*server.sockets[0].getsockname())
        silent = Known(**{**asdict(told), "url": url, "name": "silent"})
        one.cluster.nodes = [silent]
        async with one.cluster.following(lambda event: None, lambda: None, {}), asyncio.timeout(10):
            for _ in range(3):
                await asked.acquire()
