"""How many calls, and how many new ones a second, a server bears: `make load`, from a checkout.

The server is a whole one, over real SIP and with records, in one process or more; its models are scripted and
take their time but no processor (`tests/scripted_server.py`). Its callers share the machine with it: those
who stay ask something every 12 s, and those who come in numbers are sipp's, which costs least.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import sipp
from tests.crowd import Crowd, question
from tests.e2e.served import START_S, Served, until
from tests.process import cpu_s, family, resident_mb

ARRIVE_A_SECOND = 4
SETTLE_S = 3.0
TALK_S = 2.0  # of those who call only to be answered
SPARE = 60  # calls that may be taken beyond those at once
MOST_CALLS = 200  # of a process
# What is wanted of a crowd on the line:
SETUP_P95_MS = 300.0
GAP_P99_MS = 25.0  # of packets of 20 ms
HEARD_S = 8.0  # of speech a minute, of some 12 that are said
GROWTH = 0.03  # of its memory, from the first minute in which all talk to the last
_ANSWERED = "answer ms p50", "p95"
_APART = "gap ms p50", "p99"


@dataclass(frozen=True, slots=True)
class Minute:
    """What the callers of a server got in a minute, or what was left of one, and what it took."""

    gaps_ms: Sequence[float]  # between two packets of one call
    heard_s: float  # of speech, by whoever heard least
    cores: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Held:
    """So many calls at once."""

    calls: int
    dropped: int
    setups_ms: Sequence[float]
    minutes: Sequence[Minute]

    @property
    def gaps_ms(self) -> list[float]:
        return [gap for minute in self.minutes for gap in minute.gaps_ms]

    @property
    def worst_gap_ms(self) -> float:
        """The 99th percentile of the worst minute."""
        return max(percentile(minute.gaps_ms, 99) for minute in self.minutes)

    @property
    def cores(self) -> float:
        return sum(minute.cores for minute in self.minutes) / len(self.minutes)

    @property
    def missed(self) -> list[str]:
        """What is wanted and wasn't so, as sentences. Memory is compared over three minutes and more."""
        least_s, memory_mb = min(one.heard_s for one in self.minutes), [one.memory_mb for one in self.minutes]
        grown = memory_mb[-1] / memory_mb[min(1, len(memory_mb) - 1)] - 1 if len(memory_mb) > 2 else 0.0
        wanted = (
            (self.dropped == 0, f"{self.dropped} calls were dropped"),
            (self.worst_gap_ms <= GAP_P99_MS, f"packets {self.worst_gap_ms:.1f} ms apart (p99)"),
            *_soon(self.setups_ms),
            (least_s >= HEARD_S, f"somebody heard {least_s:.1f} s of speech a minute"),
            (grown <= GROWTH, f"memory grew by {100 * grown:.1f}%"),
        )
        return [sentence for met, sentence in wanted if not met]


@dataclass(frozen=True, slots=True)
class Arrived:
    """So many calls a second."""

    a_second: float
    refused: int
    setups_ms: Sequence[float]
    cpu_ms: float  # of each call, of its talk too
    cores: float
    callers_cpu_ms: float  # of each call, beside that
    more_mb: float

    @property
    def missed(self) -> list[str]:
        """As of those who stay."""
        wanted = ((self.refused == 0, f"{self.refused} calls weren't answered"), *_soon(self.setups_ms))
        return [sentence for met, sentence in wanted if not met]


def _soon(setups_ms: Sequence[float]) -> Sequence[tuple[bool, str]]:
    late_ms = percentile(setups_ms, 95)
    return [(late_ms < SETUP_P95_MS, f"answers within {late_ms:.0f} ms (p95)")]


def percentile(values: Sequence[float], percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else float("nan")


@contextlib.asynccontextmanager
async def served(calls: int, processes: int) -> AsyncIterator[tuple[tuple[str, int], int]]:
    """A server for so many: where it is called, and its process id."""
    settings = {
        "OFFHOOK_CALL__MAX_CALLS": f"{min(calls + SPARE, MOST_CALLS * processes)}",
        "OFFHOOK_SIP__PROCESSES": f"{processes}",
        "OFFHOOK_LOG__LEVEL": "warning",
    }
    with tempfile.TemporaryDirectory(prefix="offhook-load-") as folder:
        server = Served(Path(folder), settings, [sys.executable, "-m", "tests.scripted_server"])
        try:
            if not await asyncio.to_thread(until, server.ready, START_S):
                raise RuntimeError(server.log.read_text()[-3000:])
            yield ("127.0.0.1", server.sip), server.process.pid
            await asyncio.to_thread(server.stop)
        finally:
            server.kill()


def _cpu_s(pid: int) -> float:
    return sum(map(cpu_s, family(pid)))


def _memory_mb(pid: int) -> float:
    return sum(map(resident_mb, family(pid)))


async def arrive(crowd: Crowd, server: tuple[str, int], calls: int) -> list[float]:
    """So many callers, one after another. Returns how long each answer took, in milliseconds."""

    async def one(nth: int) -> float:
        await asyncio.sleep(nth / ARRIVE_A_SECOND)
        return (await crowd.join(server))[1] * 1000

    return await asyncio.gather(*(one(nth) for nth in range(calls)))


async def hold(calls: int, seconds: float, processes: int = 1) -> Held:
    """Have so many people call, and talk with them all. Raises Refused where one isn't answered."""
    crowd = Crowd(question())
    try:
        async with served(calls, processes) as (server, pid):
            setups_ms = await arrive(crowd, server, calls)
            await asyncio.sleep(SETTLE_S)
            crowd.take_gaps_ms()
            minutes: list[Minute] = []
            while seconds > 0:
                length_s, seconds = min(60.0, seconds), seconds - 60
                began, spent_s, heard_s = time.monotonic(), _cpu_s(pid), crowd.speech_s()
                await asyncio.sleep(length_s)
                cores = (_cpu_s(pid) - spent_s) / (time.monotonic() - began)
                least_s = min(now - then for now, then in zip(crowd.speech_s(), heard_s, strict=True))
                minutes.append(Minute(crowd.take_gaps_ms(), least_s * 60 / length_s, cores, _memory_mb(pid)))
            dropped = sum(bool(caller.requests) for caller in crowd.callers)
            for caller in crowd.callers:
                await crowd.leave(caller)
    finally:
        crowd.close()
    return Held(calls, dropped, setups_ms, minutes)


async def set_up(a_second: float, seconds: float, processes: int = 1) -> Arrived:
    """Have people call, so many a second, and hang up soon."""
    calls = round(a_second * seconds)
    async with served(round(a_second * TALK_S), processes) as (server, pid):
        before_mb, began, spent_s = _memory_mb(pid), time.monotonic(), _cpu_s(pid)
        rang = await sipp.ring(server, calls, a_second=a_second, talk_s=TALK_S)
        spent_s = _cpu_s(pid) - spent_s
        cores = spent_s / (time.monotonic() - began)
        more_mb = _memory_mb(pid) - before_mb
    refused = calls - len(rang.setups_ms)
    callers_cpu_ms = 1000 * rang.cpu_s / calls
    return Arrived(a_second, refused, rang.setups_ms, 1000 * spent_s / calls, cores, callers_cpu_ms, more_mb)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make load ARGS=…", description=__doc__)
    parser.add_argument("--calls", type=int, nargs="*", default=[60, 80, 100], help="at once")
    parser.add_argument("--setups", type=float, nargs="*", default=[10, 15, 25], help="a second")
    parser.add_argument("--seconds", type=float, default=60, help="that each of them lasts")
    parser.add_argument("--processes", type=int, default=1, help="of the server: sip.processes")
    args = parser.parse_args()
    met: list[bool] = []
    _row("calls", "dropped", *_ANSWERED, *_APART, "heard s/min", "cores", "ms/s each", "MB", "then")
    for calls in args.calls:
        held = asyncio.run(hold(calls, args.seconds, args.processes))
        _row(
            *(f"{calls}", f"{held.dropped}", *_answered(held.setups_ms), *_apart(held.gaps_ms)),
            f"{min(minute.heard_s for minute in held.minutes):.1f}",
            *(f"{held.cores:.2f}", f"{1000 * held.cores / calls:.1f}"),
            *(f"{held.minutes[0].memory_mb:.0f}", f"{held.minutes[-1].memory_mb:.0f}"),
        )
        met.append(_verdict(held.missed))
    _row("a second", "refused", *_ANSWERED, "cores", "ms each", "callers' ms", "MB more")
    for a_second in args.setups:
        came = asyncio.run(set_up(a_second, args.seconds, args.processes))
        _row(
            *(f"{a_second:g}", f"{came.refused}", *_answered(came.setups_ms), f"{came.cores:.2f}"),
            *(f"{came.cpu_ms:.0f}", f"{came.callers_cpu_ms:.1f}", f"{came.more_mb:.0f}"),
        )
        met.append(_verdict(came.missed))
    sys.exit(0 if all(met) else 1)


def _verdict(missed: Sequence[str]) -> bool:
    """Whether all is as wanted, which is told."""
    print("  as wanted" if not missed else f"  missed: {'; '.join(missed)}", flush=True)
    return not missed


def _row(*cells: str) -> None:
    print("".join(f"{cell:>14}" for cell in cells), flush=True)


def _answered(setups_ms: Sequence[float]) -> tuple[str, str]:
    return f"{percentile(setups_ms, 50):.0f}", f"{percentile(setups_ms, 95):.0f}"


def _apart(gaps_ms: Sequence[float]) -> tuple[str, str]:
    return f"{percentile(gaps_ms, 50):.1f}", f"{percentile(gaps_ms, 99):.1f}"


if __name__ == "__main__":
    main()
