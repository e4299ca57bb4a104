"""What several nodes behind Kamailio bear, cost and survive: `make cluster`, from a checkout, as root.

Each node is a whole server with scripted models in a network namespace of its own, behind Debian's Kamailio
as `deploy/kamailio` sets it up, over one PostgreSQL. Callers, nodes and all else share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np

from bench.cluster.costs import BEATS, COUNTED, NODES, OF_SIP, Meter, Spent, beating, extrapolate
from bench.cluster.faults import Survived, survive, update
from bench.cluster.nodes import CALLERS, FRONT, at, cluster, gather, row
from bench.load import SETTLE_S, percentile
from tests.crowd import Crowd, question
from tests.transports.netns import inside, star

IDLE_S = 15.0


async def measure(namespaces: Sequence[str], calls: int, seconds: float) -> tuple[Spent, Spent]:
    """`calls` at once on each node, for so long; prints a row.

    Returns what a call spends, and a probe of a node.
    """
    crowd, nodes = Crowd(question(), CALLERS), len(namespaces)
    number = calls * nodes
    try:
        async with cluster(namespaces) as here:
            meter = Meter(here.store)
            idle, idle_s = meter.read(), here.proxy_cpu_s
            await asyncio.sleep(IDLE_S)
            idle, idle_s = meter.read() - idle, (here.proxy_cpu_s - idle_s) / IDLE_S
            before, began = meter.read(), time.monotonic()
            spent_s, stored_s = here.proxy_cpu_s, here.store_cpu_s
            setups_ms = await gather(crowd, here.proxy, number)
            await asyncio.sleep(seconds)
            spread = Counter(map(at, crowd.callers))
            answers_ms = crowd.answers_ms()
            dropped = sum(bool(caller.requests) for caller in crowd.callers)
            for caller in crowd.callers:
                await crowd.leave(caller)
            await asyncio.sleep(SETTLE_S)  # all is written down by then
            spent, lasted_s = meter.read() - before, time.monotonic() - began
            # Probes come by the second; of the database, nodes without calls only want what heartbeats do.
            beats = spent[BEATS] / idle[BEATS]
            a_call = (spent - idle * np.where(OF_SIP, lasted_s / IDLE_S, beats)) / number
            row(
                *(f"{nodes}", f"{number}", f"{dropped}", "/".join(map(str, spread.values()))),
                *(f"{percentile(setups_ms, 50):.0f}", f"{percentile(setups_ms, 95):.0f}"),
                *(f"{percentile(answers_ms, 50):.0f}", f"{percentile(answers_ms, 95):.0f}"),
                f"{1000 * idle_s / nodes:.2f}",
                f"{1000 * (here.proxy_cpu_s - spent_s) / number:.1f}",
                f"{1000 * (here.store_cpu_s - stored_s) / number:.1f}",
            )
    finally:
        crowd.close()
    return a_call, np.where(OF_SIP, idle / nodes / IDLE_S, 0.0)


async def cost(namespaces: Sequence[str], numbers: Sequence[int], calls: int, seconds: float) -> None:
    """Calls on so many nodes, for each of `numbers`, and what they and 100 nodes cost; prints all."""
    answers = "setup ms p50", "p95", "answer ms p50", "p95"
    row("nodes", "calls", "dropped", "of each", *answers, "ping ms/s", "proxy ms", "store ms")
    spent = [await measure(namespaces[:number], calls, seconds) for number in numbers]
    print("\nWhat a call spent, and a second of asking a node:")
    row("of", *COUNTED)
    for number, (a_call, a_probe) in zip(numbers, spent, strict=True):
        row(f"call, of {number}", *(f"{one:,.1f}" for one in a_call))
        row(f"probe, of {number}", *(f"{one:,.1f}" for one in a_probe))
    print("\nNodes that only tell how they are, all in one process:")
    beats = await beating((1, 10, NODES))
    print()
    extrapolate(*spent[-1], beats)


def tell(found: Survived) -> None:
    after = ", ".join(f"{one:.2f} s" for one in found.next_s)
    print(f"killed a node with {found.killed} calls; the next three were answered after {after}")
    print(f"its calls were closed in the records after {found.closed_s:.0f} s")
    to_it = f"{found.sent_to_it} of 6 new ones sent to it"
    print(f"drained one with {found.drained} calls: {found.drained_cut} cut, {to_it}")
    gap = f"gap p99 {found.away_gap_ms:.0f} ms"
    print(f"PostgreSQL away: {found.away_cut} of {found.away} calls cut, {gap}")
    print(f"Kamailio killed: they went on, gap p99 {found.proxy_gap_ms:.0f} ms; hung up by it later")
    print(f"of these {found.away}, {found.missing} are missing in the records")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make cluster ARGS=…", description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="*", default=[1, 3], help="to measure with")
    parser.add_argument("--calls", type=int, default=8, help="at once on each")
    parser.add_argument("--seconds", type=float, default=40, help="that they last")
    parser.add_argument("--faults", type=int, default=0, help="instead: calls on a node that is killed")
    parser.add_argument(
        "--update", type=float, default=0, help="instead: calls a second while nodes are updated"
    )
    args = parser.parse_args()
    most = 3 if args.faults or args.update else max(args.nodes)
    with star(most, CALLERS, FRONT) as (middle, *nodes), inside(middle):
        if args.faults:
            tell(asyncio.run(survive(nodes, args.faults)))
        if args.update:
            setups_ms, failed = asyncio.run(update(nodes, args.update))
            told = f"{len(setups_ms)} calls, answered within {percentile(setups_ms, 95):.0f} ms (p95)"
            print(f"3 nodes updated: {told}, failed: {dict(failed)}")
        if not (args.faults or args.update):
            asyncio.run(cost(nodes, args.nodes, args.calls, args.seconds))


if __name__ == "__main__":
    main()
