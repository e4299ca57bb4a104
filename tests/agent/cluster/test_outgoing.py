"""Limits of outgoing calls, over all nodes."""

from __future__ import annotations

import asyncio

import pytest

from agent.cluster.node import SILENT_S
from tests.agent.cluster.conftest import Node, Running
from tests.agent.cluster.test_nodes import run, silence, up
from tests.postgres import Postgres
from transports.outbound import LimitReached, Permit

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def _hears_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.cluster.cluster.SILENT_S", 0.0)


async def begin(one: Running, by: str = "key desk") -> Permit:
    return await one.guard.admit(by, asyncio.get_running_loop().time())


def end(one: Running, permit: Permit, *, after_s: float = 0, talked_s: float | None = None) -> None:
    now = asyncio.get_running_loop().time()
    if talked_s is not None:
        one.guard.answered(permit, now - talked_s)
    one.guard.end(permit, now - after_s)


async def test_calls_at_once_are_counted_over_all_nodes(node: Node) -> None:
    limits = {"max_calls": 3, "key_max_calls": 2}
    nodes = [node(name, outbound=limits) for name in ("one", "other", "third")]
    await up(*nodes)
    tried = await asyncio.gather(*(begin(each) for each in nodes), return_exceptions=True)
    permits = {
        each.recorder: done for each, done in zip(nodes, tried, strict=True) if isinstance(done, Permit)
    }
    [refused] = [done for done in tried if not isinstance(done, Permit)]
    assert "key_max_calls" in str(refused)
    await begin(nodes[0], "agent")
    with pytest.raises(LimitReached, match=r"3 outgoing calls are on \(outbound.max_calls\)"):
        await begin(nodes[2], "agent")
    free = next(each for each in nodes if each.recorder in permits)
    end(free, permits[free.recorder])
    await free.cluster.look()
    await begin(nodes[2], "agent")


async def test_calls_a_minute_and_minutes_a_day_are_counted_over_all_nodes(
    node: Node, database: Postgres
) -> None:
    limits = {"max_calls": 9, "calls_per_minute": 2, "minutes_per_day": 2}
    one, other = node("one", outbound=limits), node("other", outbound=limits)
    await up(one, other)
    end(one, await begin(one), talked_s=61)
    await begin(other)
    with pytest.raises(LimitReached, match="calls_per_minute") as refused:
        await begin(other)
    assert 1 <= refused.value.retry_after_s <= 60
    run(database, "UPDATE outgoing SET begun = begun - interval '1 minute'")
    end(other, await begin(other), talked_s=60)
    await asyncio.gather(one.cluster.look(), other.cluster.look())
    run(database, "UPDATE outgoing SET begun = begun - interval '1 minute'")
    fresh = node("fresh", outbound=limits)
    await up(fresh)
    with pytest.raises(LimitReached, match="minutes_per_day"):
        await begin(fresh)


async def test_a_call_ends_when_other_nodes_have_used_the_minutes_up(node: Node) -> None:
    limits = {"max_calls": 1, "key_max_calls": 1, "calls_per_minute": 9, "minutes_per_day": 1}
    one, other = node("one", outbound=limits), node("other", outbound=limits)
    await up(one, other)
    now = asyncio.get_running_loop().time()
    talked = await begin(one)
    end(one, talked, talked_s=30)
    await one.cluster.look()
    going_on = await begin(other)
    other.guard.answered(going_on, now)
    assert other.guard.left_s(going_on, now) == pytest.approx(30, abs=0.5)


async def test_what_a_dead_node_called_is_over_and_still_counts(node: Node, database: Postgres) -> None:
    limits = {"max_calls": 1, "calls_per_minute": 9}
    dead, one = node("dead", outbound=limits), node("one", outbound=limits)
    await up(dead, one)
    permit = await begin(dead)
    with pytest.raises(LimitReached, match="max_calls"):
        await begin(one)
    silence(database, "dead", SILENT_S + 1)
    await one.cluster.look()
    end(one, await begin(one))
    await one.cluster.look()
    await dead.cluster.look()  # it wasn't dead, and its call goes on
    with pytest.raises(LimitReached, match="max_calls"):
        await begin(one)
    end(dead, permit)
    await dead.cluster.look()
    again = node("dead", outbound=limits)  # in another process, which had died in the middle of a call
    run(database, "UPDATE outgoing SET ended = NULL WHERE node = 'dead'")
    await up(again)
    await begin(again)
    with pytest.raises(LimitReached, match="max_calls"):
        await begin(one)


async def test_without_the_database_each_node_has_its_share(node: Node, database: Postgres) -> None:
    limits = {"max_calls": 3, "calls_per_minute": 9}
    one, other = node("one", outbound=limits), node("other", outbound=limits)
    await up(one, other)
    await one.cluster.look()
    database.stop()
    try:
        permits = [await begin(one), await begin(one)]  # of three, two are its own; and one the other's
        with pytest.raises(LimitReached, match="max_calls"):
            await begin(one)
        await one.cluster.look()
        assert "its share of outbound" in str(one.cluster.health().last_error)
        unheard = node("third", outbound=limits)
        await begin(unheard)
        with pytest.raises(LimitReached, match="max_calls"):
            await begin(unheard)
    finally:
        database.start()
    await one.cluster.look()
    await begin(other)
    with pytest.raises(LimitReached, match="max_calls"):
        await begin(other)
    end(one, permits[0])
    await one.cluster.look()
    await begin(other)
