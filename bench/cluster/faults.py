"""What calls on several nodes notice when something dies, drains or is updated."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.cluster.nodes import CALLERS, Cluster, Node, at, cluster, gather, until
from bench.load import SETTLE_S, percentile
from tests.crowd import Crowd, Refused, question

AWAY_S = 60.0  # PostgreSQL
PROBED_S = 2.0  # by then Kamailio has asked a node again
TALK_S = 2.0  # of those who call while nodes are updated


@dataclass
class Survived:
    """What came of calls, by what was done to the nodes."""

    killed: int = 0  # calls of the node that was
    next_s: tuple[float, ...] = ()  # how long the next calls took to be answered
    closed_s: float = 0.0  # until its calls were closed in the records
    drained: int = 0  # calls of the node that was told to
    drained_cut: int = 0
    sent_to_it: int = 0  # of six new ones
    away: int = 0  # calls while PostgreSQL was, and Kamailio behind that
    away_cut: int = 0
    away_gap_ms: float = 0.0  # between packets, the 99th percentile
    proxy_gap_ms: float = 0.0
    missing: int = 0  # of those, in the records


async def survive(namespaces: Sequence[str], calls: int, away_s: float = AWAY_S) -> Survived:
    """A node with so many calls is killed, one drains, PostgreSQL and Kamailio are killed."""
    crowd, found = Crowd(question(), CALLERS), Survived()
    try:
        async with cluster(namespaces) as here:
            await _kill(here, crowd, calls, found)
            await gather(crowd, here.proxy, max(1, calls // 2))
            await _drain(here, crowd, found)
            await _away(here, crowd, away_s, found)
    finally:
        crowd.close()
    return found


async def _kill(here: Cluster, crowd: Crowd, calls: int, found: Survived) -> None:
    first, *others = here.nodes
    for node in others:  # so that the first one has all calls
        await node.ask("POST", "/api/v1/drain")
    await asyncio.sleep(PROBED_S)
    await gather(crowd, here.proxy, calls)
    for node in others:
        await node.ask("DELETE", "/api/v1/drain")
    await asyncio.sleep(SETTLE_S)  # the last one's record is begun by then, and the others take calls
    theirs = [caller for caller in crowd.callers if at(caller) == first.address]
    first.process.kill()
    killed = time.monotonic()
    found.killed = len(theirs)
    found.next_s = tuple([(await crowd.join(here.proxy))[1] for _ in range(3)])

    async def closed() -> bool:
        return await _ended(others[0], "node_lost") >= len(theirs)

    await until(closed)
    found.closed_s = time.monotonic() - killed
    for caller in theirs:
        crowd.drop(caller)
    first.start()
    await first.ready()
    await asyncio.sleep(PROBED_S)


async def _drain(here: Cluster, crowd: Crowd, found: Survived) -> None:
    node = max(here.nodes, key=lambda one: sum(at(caller) == one.address for caller in crowd.callers))
    theirs = [caller for caller in crowd.callers if at(caller) == node.address]
    node.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.2)
    new = [(await crowd.join(here.proxy))[0] for _ in range(6)]
    await asyncio.sleep(5)
    found.drained = len(theirs)
    found.drained_cut = sum(bool(one.requests) for one in theirs)
    found.sent_to_it = sum(at(one) == node.address for one in new)
    for caller in theirs:
        await crowd.leave(caller)
    await node.gone()
    node.start()
    await node.ready()


async def _away(here: Cluster, crowd: Crowd, away_s: float, found: Survived) -> None:
    node = here.nodes[0]
    found.away, known = len(crowd.callers), await _ended(node)
    here.store.stop()
    crowd.take_gaps_ms()
    await asyncio.sleep(away_s)
    found.away_gap_ms = percentile(crowd.take_gaps_ms(), 99)
    found.away_cut = sum(bool(caller.requests) for caller in crowd.callers)
    here.store.start()

    here.kill_proxy()
    crowd.take_gaps_ms()
    await asyncio.sleep(5)
    found.proxy_gap_ms = percentile(crowd.take_gaps_ms(), 99)
    here.start_proxy()
    await asyncio.sleep(PROBED_S)
    for caller in crowd.callers:
        await crowd.leave(caller)

    async def written() -> bool:
        found.missing = known + found.away - await _ended(node)
        return found.missing <= 0

    await until(written)


async def _ended(node: Node, reason: str = "") -> int:
    """How many calls the records have that are over, for that reason if one is given."""
    answer = await node.ask("GET", "/api/v1/sessions?state=ended&limit=500")
    if not answer.is_success:  # the database is still coming back
        return 0
    found: list[dict[str, Any]] = answer.json()["sessions"]
    return sum(reason in ("", one["cause"]) for one in found)


async def update(namespaces: Sequence[str], a_second: float) -> tuple[list[float], Counter[str]]:
    """Each node in turn is stopped as systemd does it, and started again, while people call.

    Returns how long each answer took, in milliseconds, and how many calls failed, by how.
    """
    crowd, done = Crowd(question(), CALLERS), asyncio.Event()
    failed, setups_ms = Counter[str](), list[float]()

    async def one(proxy: tuple[str, int]) -> None:
        try:
            caller, took_s = await crowd.join(proxy)
        except (Refused, TimeoutError) as error:
            failed[str(error) or "no answer"] += 1
            return
        setups_ms.append(took_s * 1000)
        await asyncio.sleep(TALK_S)
        if caller.requests:
            failed["cut"] += 1
        await crowd.leave(caller)

    async def load(proxy: tuple[str, int]) -> None:
        async with asyncio.TaskGroup() as calls:
            while not done.is_set():
                calls.create_task(one(proxy))
                await asyncio.sleep(1 / a_second)

    try:
        async with cluster(namespaces) as here:
            loading = asyncio.create_task(load(here.proxy))
            await asyncio.sleep(3)
            for node in here.nodes:
                node.process.send_signal(signal.SIGTERM)
                await node.gone()
                node.start()
                await node.ready()
                await asyncio.sleep(2)  # Kamailio has asked it by then
            done.set()
            await loading
    finally:
        crowd.close()
    return setups_ms, failed
