"""Times each model alone: cold, which is loading and the first run, and warm."""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.results import Machine
from bench.stages import Figures, Stage
from bench.usage import Sampler, Usage
from models.bearing import RULE, Limit, Work, limits
from models.devices import Devices
from models.errors import WeightsError

_TITLES = {
    "chunk_ms": "a chunk of 32 ms",
    "look_ms": "a look at 8 s",
    "encode_ms": "encode",
    "transcribe_ms": "transcribe",
    "first_chunk_ms": "to the first chunk",
    "realtime_factor": "real-time factor",
    "read_tokens_s": "tokens read a second",
    "written_tokens_s": "tokens written a second",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """`cold` is the first run's. 19 of 20 runs were no slower than `p95`."""

    key: str
    cold: float
    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class Timing:
    """A model on a device. Without figures, `error` says why; `seconds` is what a turn takes of it."""

    stage: str
    model: str
    device: str
    error: str = ""
    precision: str = ""
    load_s: float = 0.0
    runs: int = 0
    figures: list[Figure] = field(default_factory=list)
    usage: Usage | None = None
    seconds: float = 0.0


def measure(stages: Iterable[Stage], runs: int, devices: Devices, say: Callable[[str], None]) -> list[Timing]:
    """One after the other. What isn't here is left out; what fails says so."""
    timings = []
    for stage in stages:
        say(f"{stage.name}: {stage.model} on {stage.device} ...")
        try:
            timings.append(_measure(stage, runs, devices))
        except WeightsError:
            continue
        except Exception as error:  # onnxruntime's have no common base, and the others are to be timed still
            timings.append(Timing(stage.name, stage.model, stage.device, error=str(error)))
    return timings


def _measure(stage: Stage, runs: int, devices: Devices) -> Timing:
    began = time.perf_counter()
    loaded = stage.load()
    load_s = time.perf_counter() - began
    try:
        cold = loaded.run()
        with Sampler(devices, loaded.pids) as sampler:
            warm = [loaded.run() for _ in range(runs)]
    finally:
        loaded.close()
    return Timing(
        stage.name,
        stage.model,
        stage.device,
        precision=loaded.precision,
        load_s=load_s,
        runs=runs,
        figures=figures(cold, warm),
        usage=sampler.usage,
        seconds=statistics.median(map(stage.seconds, warm)),
    )


def figures(cold: Figures, warm: Sequence[Figures]) -> list[Figure]:
    found = []
    for key in cold:
        values = sorted((run[key] for run in warm), reverse=key.endswith("tokens_s"))  # the slowest last
        p95 = values[-(-95 * len(values) // 100) - 1]
        found.append(Figure(key, cold[key], statistics.median(values), p95))
    return found


def borne(timings: Sequence[Timing], cores: int) -> list[Limit]:
    """By the first model of each stage, on whichever device is quicker. Empty where nothing was timed."""
    chosen: dict[str, Timing] = {}
    for timing in timings:
        best = chosen.get(timing.stage)
        if timing.figures and (
            best is None or (timing.model == best.model and timing.seconds < best.seconds)
        ):
            chosen[timing.stage] = timing
    if not chosen:
        return []
    return limits(
        [
            Work(f"{one.stage} ({one.model})", one.device, one.seconds, one.usage.cores if one.usage else 1.0)
            for one in chosen.values()
        ],
        cores,
    )


def show(console: Console, timings: Sequence[Timing], machine: Machine, devices: Devices) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("", "", "cold", "median", "p95", "cores", "memory", "GPU", "its memory"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for timing in timings:
        title = f"[bold]{timing.stage}[/bold] {timing.model}, {timing.device} {timing.precision}"
        if timing.error:
            table.add_row(title, "[yellow]failed[/yellow]")
            continue
        usage = timing.usage
        used = [] if usage is None else [f"{usage.cores:.1f}", f"{usage.memory_mb:.0f} MB"]
        if usage is not None and usage.gpu_memory_mb is not None:
            used += [f"{usage.gpu_utilisation or 0} %", f"{usage.gpu_memory_mb:.0f} MB"]
        table.add_row(title, "load", f"{timing.load_s:.2f} s", "", "", *used)
        for figure in timing.figures:
            shown = (_shown(figure.key, value) for value in (figure.cold, figure.median, figure.p95))
            table.add_row("", _TITLES[figure.key], *shown)
    console.print(table)
    for timing in timings:
        if timing.error:
            failed = f"{timing.stage} {timing.model} on {timing.device}: {timing.error}"
            console.print(failed, style="yellow", markup=False, highlight=False)
    gpu = devices.gpu()
    console.print(f"[dim]{machine}; {gpu.name if gpu else devices.no_gpu}[/dim]", highlight=False)
    if machine.busy:
        console.print(f"[yellow]{machine.busy}[/yellow]", highlight=False)
    if found := borne(timings, machine.cores):
        least = found[0]
        console.print(
            f"[bold]Calls that it bears: {least.calls}, limited by {least.what} ({least.why}).[/bold]",
            highlight=False,
        )
        for limit in found[1:]:
            console.print(f"  {limit.calls} by {limit.what} ({limit.why})", highlight=False)
        console.print(f"[dim]{RULE}[/dim]", highlight=False)


def to_json(timings: Sequence[Timing], machine: Machine, devices: Devices) -> str:
    gpu = devices.gpu()
    document: dict[str, Any] = {
        "machine": dataclasses.asdict(machine),
        "gpu": dataclasses.asdict(gpu) if gpu else None,
        "timings": [dataclasses.asdict(timing) for timing in timings],
        "limits": [dataclasses.asdict(limit) for limit in borne(timings, machine.cores)],
        "rule": RULE,
    }
    return json.dumps(document, indent=1)


def _shown(key: str, value: float) -> str:
    if key.endswith("_ms"):
        return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 1 else f"{value:.2f} ms"
    return f"{value:.2f}" if key == "realtime_factor" else f"{value:.0f}"
