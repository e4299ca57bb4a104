"""What nodes and their calls cost those that all share: Kamailio and PostgreSQL.

Messages and bytes are counted by the kernel, statements and rows by PostgreSQL (pg_stat_statements).
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import tempfile
from collections.abc import Sequence

import numpy as np
import psycopg
from numpy.typing import NDArray

from agent.cluster.cluster import Cluster
from agent.events import Events
from agent.http.attempts import Rates
from agent.records.database import Database
from bench.cluster.nodes import CALLERS, FRONT, KEY, POSTGRES, row, tree_cpu_s
from config.answering import load_personas
from config.settings import Settings
from tests.postgres import Postgres, postgres
from transports.outbound import OutboundGuard

# What is extrapolated to: calls at once on each of so many nodes, and how long they last.
NODES, CALLS, CALL_S = 100, 40, 180
COUNTED = (
    *("SIP messages", "SIP bytes", "statements", "rows read", "rows written", "WAL bytes"),
    *("heartbeats", "SQL bytes"),
)
OF_SIP = np.array([name.startswith("SIP") for name in COUNTED])
BEATS = COUNTED.index("heartbeats")
BEAT_S = 20.0  # for which nodes are counted that only tell how they are
SEEN_S = 7.0  # by then each has seen all of them

_RULE = re.compile(r"-p (udp|tcp) .*-c (\d+) (\d+)")
_STATEMENTS = """
SELECT coalesce(sum(calls), 0),
    coalesce(sum(rows) FILTER (WHERE query ~* '^select'), 0),
    coalesce(sum(rows) FILTER (WHERE query ~* '^(insert|update|delete)'), 0),
    coalesce(sum(wal_bytes), 0),
    coalesce(sum(calls) FILTER (WHERE query ~* '^insert into nodes'), 0)
FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'
"""

Spent = NDArray[np.float64]  # as COUNTED


class Meter:
    """Of the network namespace that it is made in."""

    def __init__(self, store: Postgres) -> None:
        self._url = store.url
        self._own = 0.0  # bytes that counting itself took
        _iptables("-F")
        for protocol, address, port in (("udp", FRONT, 5060), ("tcp", store.host, store.port)):
            _iptables("-A", "INPUT", "-d", address, "-p", protocol, "--dport", str(port))
            _iptables("-A", "OUTPUT", "-s", address, "-p", protocol, "--sport", str(port))
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")

    def read(self) -> Spent:
        """What was spent so far."""
        (messages, sip_bytes), (_, sql_bytes) = _sent()
        with psycopg.connect(self._url, autocommit=True) as connection:
            found = connection.execute(_STATEMENTS).fetchone()
        assert found
        spent = np.array([messages, sip_bytes, *map(float, found), sql_bytes - self._own])
        self._own += _sent()[1][1] - sql_bytes
        return spent


def _sent() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Packets and bytes over UDP and TCP, with their headers, in both directions."""
    udp, tcp = np.zeros(2), np.zeros(2)
    for protocol, *counted in _RULE.findall(_iptables("-vS")):
        (udp if protocol == "udp" else tcp)[:] += [float(one) for one in counted]
    return udp, tcp


def _iptables(*words: str) -> str:
    done = subprocess.run(["iptables", "-w", *words], check=True, capture_output=True, text=True, timeout=20)
    return done.stdout


def _cluster(nth: int, store: Postgres) -> tuple[Database, Cluster]:
    """A node that only tells how it is."""
    settings = Settings.model_validate(
        {
            "state_dir": tempfile.gettempdir(),
            "http": {"api_key": KEY},
            "records": {"url": store.url, "node": f"node-{nth}"},
            "cluster": {"enabled": True, "url": f"http://10.79.0.1:{8000 + nth}", "key": KEY},
        }
    )
    database, guard = Database(settings), OutboundGuard(settings.outbound)
    cluster = Cluster(settings, database, Events(), lambda: ("ready", 0, CALLS), lambda id: False, guard)
    cluster.apply(settings, load_personas(settings))
    cluster.share(Rates(settings.http.requests_per_minute))
    return database, cluster


async def beating(numbers: Sequence[int]) -> Spent:
    """So many nodes tell how they are, for each of `numbers`; prints a row for each.

    Returns what the last ones spend in a second.
    """
    shown = ("statements", "rows read", "rows written", "WAL bytes", "SQL bytes")
    row("nodes", "beats a s", *(f"{name}" for name in shown), "(each a beat)", "store ms/s")
    a_second: Spent = np.zeros(len(COUNTED))
    for number in numbers:
        with postgres(CALLERS, *POSTGRES) as store:
            nodes = [_cluster(nth, store) for nth in range(number)]
            try:
                for database, _ in nodes:
                    await database.connect()
                for _, cluster in nodes:
                    cluster.start()
                await asyncio.sleep(SEEN_S)
                meter = Meter(store)
                before, before_s = meter.read(), tree_cpu_s(store.pid)
                await asyncio.sleep(BEAT_S)
                a_second = (meter.read() - before) / BEAT_S
                busy_ms = 1000 * (tree_cpu_s(store.pid) - before_s) / BEAT_S
            finally:
                for database, cluster in nodes:
                    await cluster.close()
                    await database.close()
        beats = a_second[BEATS]
        told = (f"{a_second[COUNTED.index(name)] / beats:.1f}" for name in shown)
        row(f"{number}", f"{beats:.1f}", *told, "", f"{busy_ms:.0f}")
    return a_second


def extrapolate(a_call: Spent, a_probe: Spent, beats_a_second: Spent) -> None:
    """Print what so many nodes and their calls spend in a second."""
    calls = NODES * CALLS / CALL_S
    total = NODES * a_probe + calls * a_call + beats_a_second
    print(f"{NODES} nodes, {calls:.0f} new calls a second, one probe of each node a second:")
    for name, number in zip(COUNTED, total, strict=True):
        print(f"{number:14,.0f} {name} a second")
