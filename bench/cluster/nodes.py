"""Whole servers with scripted models, each in a network namespace of its own, behind Debian's Kamailio."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from tests.crowd import Crowd
from tests.postgres import Postgres, postgres
from tests.process import cpu_s
from tests.proxy import configured
from tests.sip_caller import Caller

CALLERS, FRONT = "10.78.0.1", "10.78.0.2"
KEY = "bench-bench-bench-bench"
READY_S = 120.0
# Statements are counted. Each node has up to twelve connections.
POSTGRES = ("shared_preload_libraries=pg_stat_statements", "max_connections=600")


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

    async def ask(self, method: str, path: str) -> httpx2.Response:
        async with httpx2.AsyncClient(headers={"X-API-Key": KEY}, trust_env=False, timeout=10) as client:
            return await client.request(method, f"http://{self.address}:8080{path}")

    async def ready(self) -> None:
        async with asyncio.timeout(READY_S):
            while True:
                assert self.process.poll() is None, (self.folder / f"{self.name}.log").read_text()[-3000:]
                with contextlib.suppress(httpx2.TransportError):
                    if (await self.ask("GET", "/readyz")).status_code == 200:
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
        return tree_cpu_s(self._kamailio.pid)

    @property
    def store_cpu_s(self) -> float:
        return tree_cpu_s(self.store.pid)

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


def tree_cpu_s(pid: int) -> float:
    """Processor time so far, of a process and those that it has started, which may end meanwhile."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return cpu_s(pid) + sum(tree_cpu_s(int(child)) for child in children)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


@contextlib.asynccontextmanager
async def cluster(namespaces: Sequence[str]) -> AsyncIterator[Cluster]:
    """Runs for the length of the block, with a node in each of the namespaces."""
    with (
        tempfile.TemporaryDirectory(prefix="offhook-cluster-") as folder,
        postgres(CALLERS, *POSTGRES) as store,
    ):
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


def row(*cells: str) -> None:
    print("".join(f"{cell:>14}" for cell in cells), flush=True)
