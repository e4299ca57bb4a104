"""The scenario of calls in which nobody speaks."""

from __future__ import annotations

import asyncio
import contextlib

import httpx2

from bench import metrics
from bench.caller.script import Hangup, Step, Wait
from bench.callers import Call, CallFailed, together
from bench.results import Metric, ScenarioResult
from bench.subjects import Running
from bench.workbench import Bench

SILENT_CALLS = 10
SILENT_S = 14.0
SETTLED_S = 9.0  # every caller's process has started, every greeting is over
LOOKED_AT_S = 6.0  # and nobody is asked yet whether they are still there


async def pacing(bench: Bench) -> ScenarioResult:
    """Ten calls in which nobody speaks: their packets, and what they cost the server."""
    steps = (Wait(timeout_s=SILENT_S), Hangup())
    server = bench.running if await _vitals(bench.running) else None
    if server:
        await _at_once(bench, steps)  # what the first calls allocate for good isn't a call's share
    before = await _vitals(server)
    calling = asyncio.create_task(_at_once(bench, steps))
    await asyncio.sleep(SETTLED_S)
    early = await _vitals(server)
    await asyncio.sleep(LOOKED_AT_S)
    late = await _vitals(server)
    calls = await calling
    paces = [pace for call in calls if (pace := metrics.pacing(call.log)) is not None]
    if len(paces) < len(calls):
        raise CallFailed(f"{len(calls) - len(paces)} of {len(calls)} calls heard nothing")
    worst = max(pace.p99_ms for pace in paces)
    lost = sum(pace.lost for pace in paces)
    found = [
        Metric("p99", "packet gap in ten silent calls, p99", worst, "ms", len(paces), 25),
        Metric("lost", "packets missing in them", lost, "count", sum(pace.packets for pace in paces), 0),
    ]
    if before and early and late:
        memory_mb = (late["memory_mb"] - before["memory_mb"]) / SILENT_CALLS
        spent_s, passed_s = late["cpu_s"] - early["cpu_s"], late["uptime_s"] - early["uptime_s"]
        core = 100 * spent_s / passed_s / SILENT_CALLS
        lag = late["loop_lag_p99_ms"]
        found += [
            Metric("loop_lag", "event loop's lag meanwhile, p99", lag, "ms", SILENT_CALLS, 20),
            Metric("memory", "memory of the server for each", memory_mb, "MB", SILENT_CALLS, 8),
            Metric("cpu", "share of a core for each", core, "%", SILENT_CALLS, 2.5),
        ]
    return ScenarioResult("pacing", "Ten silent calls", found)


async def _at_once(bench: Bench, steps: tuple[Step, ...]) -> list[Call]:
    return await together(bench.caller.call(steps) for _ in range(SILENT_CALLS))


async def _vitals(server: Running | None) -> dict[str, float] | None:
    """The server's process as its /health tells it, if it has one."""
    if server is None or server.api is None:
        return None
    async with httpx2.AsyncClient(
        base_url=server.api, headers=server.headers, trust_env=False, timeout=5.0
    ) as client:
        with contextlib.suppress(httpx2.HTTPError, ValueError, KeyError):  # as of a proxy's page
            told = await client.get("/health")
            return dict(told.json()["process"]) if told.status_code == 200 else None
    return None
