"""How many calls, and how many new ones a second, a server bears: `make load`, from a checkout.

The server runs whole sessions over real SIP in one process, with scripted models that take their time but no
processor (`tests/crowd.py`); its callers, who ask something every 12 s, share the machine with it.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.crowd import Crowd, Refused, crowd_server, question
from tests.process import cpu_s, resident_mb

ARRIVE_A_SECOND = 4
SETTLE_S = 3.0
TALK_S = 2.0  # of those who call only to be answered
SPARE = 60  # calls that may be taken beyond those at once
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


@dataclass(frozen=True, slots=True)
class Arrived:
    """So many calls a second."""

    a_second: float
    refused: int
    setups_ms: Sequence[float]
    gaps_ms: Sequence[float]
    cpu_ms: float  # of each call, of its talk too
    cores: float
    more_mb: float


def percentile(values: Sequence[float], percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else float("nan")


async def arrive(crowd: Crowd, server: tuple[str, int], calls: int) -> list[float]:
    """So many callers, one after another. Returns how long each answer took, in milliseconds."""

    async def one(nth: int) -> float:
        await asyncio.sleep(nth / ARRIVE_A_SECOND)
        return (await crowd.join(server))[1] * 1000

    return await asyncio.gather(*(one(nth) for nth in range(calls)))


async def hold(calls: int, seconds: float) -> Held:
    """Have so many people call, and talk with them all. Raises Refused where one isn't answered."""
    crowd = Crowd(question())
    try:
        async with crowd_server(calls + SPARE) as (server, pid):
            setups_ms = await arrive(crowd, server, calls)
            await asyncio.sleep(SETTLE_S)
            crowd.take_gaps_ms()
            minutes: list[Minute] = []
            while seconds > 0:
                length_s, seconds = min(60.0, seconds), seconds - 60
                began, spent_s, heard_s = time.monotonic(), cpu_s(pid), crowd.speech_s()
                await asyncio.sleep(length_s)
                cores = (cpu_s(pid) - spent_s) / (time.monotonic() - began)
                least_s = min(now - then for now, then in zip(crowd.speech_s(), heard_s, strict=True))
                minutes.append(Minute(crowd.take_gaps_ms(), least_s * 60 / length_s, cores, resident_mb(pid)))
            dropped = sum(bool(caller.requests) for caller in crowd.callers)
            for caller in crowd.callers:
                await crowd.leave(caller)
    finally:
        crowd.close()
    return Held(calls, dropped, setups_ms, minutes)


async def set_up(a_second: float, seconds: float) -> Arrived:
    """Have people call, so many a second, and hang up soon."""
    crowd = Crowd(question())

    async def one(nth: int) -> float | None:
        await asyncio.sleep(nth / a_second)
        try:
            caller, took_s = await crowd.join(server)
        except (Refused, TimeoutError):
            return None
        await asyncio.sleep(TALK_S)
        await crowd.leave(caller)
        return took_s * 1000

    try:
        async with crowd_server(round(a_second * TALK_S) + SPARE) as (server, pid):
            before_mb, began, spent_s = resident_mb(pid), time.monotonic(), cpu_s(pid)
            took_ms = await asyncio.gather(*(one(nth) for nth in range(round(a_second * seconds))))
            spent_s = cpu_s(pid) - spent_s
            cores = spent_s / (time.monotonic() - began)
            more_mb, gaps_ms = resident_mb(pid) - before_mb, crowd.take_gaps_ms()
    finally:
        crowd.close()
    setups_ms = [one_ms for one_ms in took_ms if one_ms is not None]
    refused = len(took_ms) - len(setups_ms)
    return Arrived(a_second, refused, setups_ms, gaps_ms, 1000 * spent_s / len(took_ms), cores, more_mb)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make load ARGS=…", description=__doc__)
    parser.add_argument("--calls", type=int, nargs="*", default=[60, 80, 100], help="at once")
    parser.add_argument("--setups", type=float, nargs="*", default=[10, 15, 25], help="a second")
    parser.add_argument("--seconds", type=float, default=60, help="that each of them lasts")
    args = parser.parse_args()
    _row("calls", "dropped", *_ANSWERED, *_APART, "heard s/min", "cores", "ms/s each", "MB", "then")
    for calls in args.calls:
        held = asyncio.run(hold(calls, args.seconds))
        _row(
            *(f"{calls}", f"{held.dropped}", *_answered(held.setups_ms), *_apart(held.gaps_ms)),
            f"{min(minute.heard_s for minute in held.minutes):.1f}",
            *(f"{held.cores:.2f}", f"{1000 * held.cores / calls:.1f}"),
            *(f"{held.minutes[0].memory_mb:.0f}", f"{held.minutes[-1].memory_mb:.0f}"),
        )
    _row("a second", "refused", *_ANSWERED, *_APART, "cores", "ms each", "MB more")
    for a_second in args.setups:
        came = asyncio.run(set_up(a_second, args.seconds))
        _row(
            *(f"{a_second:g}", f"{came.refused}", *_answered(came.setups_ms), *_apart(came.gaps_ms)),
            *(f"{came.cores:.2f}", f"{came.cpu_ms:.0f}", f"{came.more_mb:.0f}"),
        )


def _row(*cells: str) -> None:
    print("".join(f"{cell:>14}" for cell in cells), flush=True)


def _answered(setups_ms: Sequence[float]) -> tuple[str, str]:
    return f"{percentile(setups_ms, 50):.0f}", f"{percentile(setups_ms, 95):.0f}"


def _apart(gaps_ms: Sequence[float]) -> tuple[str, str]:
    return f"{percentile(gaps_ms, 50):.1f}", f"{percentile(gaps_ms, 99):.1f}"


if __name__ == "__main__":
    main()
