"""What several nodes behind Kamailio bear and survive: `make cluster`, from a checkout, as root.

Each node is a whole server with scripted models in a network namespace of its own, behind Debian's Kamailio
as `deploy/kamailio` sets it up, over one PostgreSQL. Callers, nodes and all else share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from bench.load import SETTLE_S, percentile
from tests.crowd import Crowd, Refused, question
from tests.postgres import Postgres, postgres
from tests.process import cpu_s, family
from tests.proxy import configured
from tests.sip_caller import Caller
from tests.transports.netns import inside, star

CALLERS, FRONT = "10.78.0.1", "10.78.0.2"
KEY = "bench-bench-bench-bench"
READY_S = 120.0
AWAY_S = 60.0  # PostgreSQL
TALK_S = 2.0  # of those who call while nodes are updated


@dataclass
class Node:
    """One of the servers, which can be started again."""

    name: str
    namespace: str
    address: str
    environment: dict[str, str]
    folder: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "ip",
                    "netns",
                    "exec",
                    self.namespace,
                    sys.executable,
                    "-m",
                    "tests.scripted_server",
                    "serve",
                ],
                env=os.environ | self.environment,
                stdout=log,
                stderr=log,
            )

    async def get(self, path: str) -> httpx2.Response:
        async with httpx2.AsyncClient(headers={"X-API-Key": KEY}, trust_env=False, timeout=10) as client:
            return await client.get(f"http://{self.address}:8080{path}")

    async def ready(self) -> None:
        async with asyncio.timeout(READY_S):
            while True:
                assert self.process.poll() is None, (self.folder / f"{self.name}.log").read_text()[-3000:]
                with contextlib.suppress(httpx2.TransportError):
                    if (await self.get("/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.2)

    async def gone(self) -> None:
        await asyncio.to_thread(self.process.wait, READY_S)


class Cluster:
    def __init__(self, folder: Path, namespaces: Sequence[str], store: Postgres) -> None:
        self.store = store
        self.nodes = [self._node(folder, nth, name) for nth, name in enumerate(namespaces)]
        self.proxy = FRONT, 5060
        nodes = [(node.address, 5060) for node in self.nodes]
        self._command = configured(folder, self.proxy, nodes, peers=[f"1 {CALLERS}"])
        self._kamailio: subprocess.Popen[bytes] | None = None

    def _node(self, folder: Path, nth: int, namespace: str) -> Node:
        name, address = "abcdefgh"[nth], f"10.78.0.{11 + nth}"
        settings = {
            "SIP__HOST": address,
            "SIP__PROXIES": FRONT,
            "HTTP__HOST": address,
            "HTTP__API_KEY": KEY,
            "CALL__MAX_CALLS": "40",
            "CALL__DRAIN_S": "60",
            "STATE_DIR": str(folder / name),
            "RECORDS__URL": self.store.url,
            "RECORDS__NODE": name,
            "CLUSTER__ENABLED": "true",
            "CLUSTER__URL": f"http://{address}:8080",
            "CLUSTER__KEY": KEY,
        }
        environment = {f"OFFHOOK_{key}": value for key, value in settings.items()}
        return Node(name, namespace, address, environment, folder)

    def start_proxy(self) -> None:
        self._kamailio = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def kill_proxy(self) -> None:
        if self._kamailio:
            os.killpg(self._kamailio.pid, signal.SIGKILL)
            self._kamailio.wait()
        self._kamailio = None

    @property
    def proxy_cpu_s(self) -> float:
        assert self._kamailio
        return sum(map(cpu_s, family(self._kamailio.pid)))

    @property
    def store_cpu_s(self) -> float:
        return sum(map(cpu_s, family(self.store.pid)))

    async def start(self) -> None:
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            await node.ready()
        self.start_proxy()
        await until(lambda: answered(self.proxy))

    def close(self) -> None:
        self.kill_proxy()
        for node in self.nodes:
            node.process.kill()
            node.process.wait()


@contextlib.asynccontextmanager
async def cluster(namespaces: Sequence[str]) -> AsyncIterator[Cluster]:
    """Runs for the length of the block, with a node in each of the namespaces."""
    with tempfile.TemporaryDirectory(prefix="offhook-cluster-") as folder, postgres(CALLERS) as store:
        one = Cluster(Path(folder), namespaces, store)
        try:
            await one.start()
            yield one
        finally:
            one.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Raises TimeoutError."""
    async with asyncio.timeout(READY_S):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.5)


async def answered(proxy: tuple[str, int]) -> bool:
    """Whether who calls now gets an answer; hangs up at once."""
    caller = Caller(proxy, CALLERS)
    try:
        async with asyncio.timeout(10):
            answer = await caller.call()
            if answer.status == 200:
                await caller.bye()
            return answer.status == 200
    except TimeoutError:
        return False
    finally:
        caller.close()


def at(caller: Caller) -> str:
    """The address of the node that has its call."""
    assert caller.rtp_to
    return caller.rtp_to[0]


async def gather(crowd: Crowd, proxy: tuple[str, int], calls: int) -> list[float]:
    """So many callers, two a second. Returns how long each answer took, in milliseconds."""

    async def one(nth: int) -> float:
        await asyncio.sleep(nth / 2)
        return (await crowd.join(proxy))[1] * 1000

    return await asyncio.gather(*(one(nth) for nth in range(calls)))


async def measure(namespaces: Sequence[str], calls: int, seconds: float) -> None:
    """`calls` at once on each node, for so long; prints a row."""
    crowd = Crowd(question(), CALLERS)
    try:
        async with cluster(namespaces) as here:
            idle_s = here.proxy_cpu_s
            await asyncio.sleep(10)
            idle_ms = (here.proxy_cpu_s - idle_s) * 100  # a second
            spent_s, stored_s = here.proxy_cpu_s, here.store_cpu_s
            setups_ms = await gather(crowd, here.proxy, calls * len(namespaces))
            await asyncio.sleep(seconds)
            spread = Counter(map(at, crowd.callers))
            answers_ms = crowd.answers_ms()
            dropped = sum(bool(caller.requests) for caller in crowd.callers)
            for caller in crowd.callers:
                await crowd.leave(caller)
            number = calls * len(namespaces)
            _row(
                *(f"{len(namespaces)}", f"{number}", f"{dropped}", "/".join(map(str, spread.values()))),
                *(f"{percentile(setups_ms, 50):.0f}", f"{percentile(setups_ms, 95):.0f}"),
                *(f"{percentile(answers_ms, 50):.0f}", f"{percentile(answers_ms, 95):.0f}"),
                f"{idle_ms / len(namespaces):.2f}",
                f"{1000 * (here.proxy_cpu_s - spent_s) / number:.1f}",
                f"{1000 * (here.store_cpu_s - stored_s) / number:.1f}",
            )
    finally:
        crowd.close()


async def survive(namespaces: Sequence[str], calls: int) -> None:
    """A node is killed, one drains, PostgreSQL and Kamailio are killed; prints what came of it."""
    crowd = Crowd(question(), CALLERS)
    try:
        async with cluster(namespaces) as here:
            await gather(crowd, here.proxy, calls)
            await asyncio.sleep(SETTLE_S)  # the last one's record is begun by then
            first, second, *_ = here.nodes
            theirs = [caller for caller in crowd.callers if at(caller) == first.address]
            first.process.kill()
            killed = time.monotonic()
            took_s = [(await crowd.join(here.proxy))[1] for _ in range(3)]
            print(f"killed a node with {len(theirs)} calls; the next three were answered after", end=" ")
            print(", ".join(f"{one:.2f} s" for one in took_s), flush=True)

            async def closed() -> bool:
                return await _ended(second, "node_lost") >= len(theirs)

            await until(closed)
            print(f"its calls were closed in the store after {time.monotonic() - killed:.0f} s", flush=True)
            for caller in theirs:
                crowd.drop(caller)
            first.start()
            await first.ready()

            theirs = [caller for caller in crowd.callers if at(caller) == second.address]
            second.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
            new = [(await crowd.join(here.proxy))[0] for _ in range(6)]
            await asyncio.sleep(5)
            cut, sent = (
                sum(bool(one.requests) for one in theirs),
                sum(at(one) == second.address for one in new),
            )
            print(
                f"drained one with {len(theirs)} calls: {cut} cut, {sent} of 6 new ones sent to it",
                flush=True,
            )
            for caller in theirs:
                await crowd.leave(caller)
            await second.gone()
            second.start()
            await second.ready()

            before, known = len(crowd.callers), await _ended(second)
            here.store.stop()
            crowd.take_gaps_ms()
            await asyncio.sleep(AWAY_S)
            gap_ms = percentile(crowd.take_gaps_ms(), 99)
            cut = sum(bool(caller.requests) for caller in crowd.callers)
            here.store.start()
            print(
                f"PostgreSQL away for {AWAY_S:.0f} s: {cut} of {before} calls cut, gap p99 {gap_ms:.0f} ms",
                flush=True,
            )

            here.kill_proxy()
            crowd.take_gaps_ms()
            await asyncio.sleep(5)
            heard = percentile(crowd.take_gaps_ms(), 99)
            here.start_proxy()
            await asyncio.sleep(2)
            for caller in crowd.callers:
                await crowd.leave(caller)
            print(
                f"Kamailio killed: {before} calls went on, gap p99 {heard:.0f} ms; hung up by it later",
                flush=True,
            )

            async def written() -> bool:
                return await _ended(second) >= known + before

            await until(written)
            print(f"all {before} are in the records", flush=True)
    finally:
        crowd.close()


async def _ended(node: Node, reason: str = "") -> int:
    """How many calls the records have that are over, for that reason if one is given."""
    answer = await node.get("/api/v1/sessions?state=ended&limit=500")
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


def main() -> None:
    parser = argparse.ArgumentParser(prog="make cluster ARGS=…", description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="*", default=[1, 3], help="to measure with")
    parser.add_argument("--calls", type=int, default=8, help="at once on each")
    parser.add_argument("--seconds", type=float, default=40, help="that they last")
    parser.add_argument("--faults", type=int, default=0, help="instead: calls on three nodes that are killed")
    parser.add_argument(
        "--update", type=float, default=0, help="instead: calls a second while nodes are updated"
    )
    args = parser.parse_args()
    most = 3 if args.faults or args.update else max(args.nodes)
    with star(most, CALLERS, FRONT) as (middle, *nodes), inside(middle):
        if args.faults:
            asyncio.run(survive(nodes, args.faults))
        if args.update:
            setups_ms, failed = asyncio.run(update(nodes, args.update))
            told = f"{len(setups_ms)} calls, answered within {percentile(setups_ms, 95):.0f} ms (p95)"
            print(f"3 nodes updated: {told}, failed: {dict(failed)}")
        if args.faults or args.update:
            return
        answers = "setup ms p50", "p95", "answer ms p50", "p95"
        _row("nodes", "calls", "dropped", "of each", *answers, "ping ms/s", "proxy ms", "store ms")
        for number in args.nodes:
            asyncio.run(measure(nodes[:number], args.calls, args.seconds))


def _row(*cells: str) -> None:
    print("".join(f"{cell:>14}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
