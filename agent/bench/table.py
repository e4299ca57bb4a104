"""The figures of a run, printed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from agent.bench.results import Metric, Run, ratio


def show(console: Console, runs: Sequence[Run], earlier: Sequence[Run]) -> None:
    """One table: the first run's figures, and beside them those of every other, with ratios."""
    first, others = runs[0], [*runs[1:], *earlier]
    table = Table(title=f"{first.subject} over {first.transport}", title_justify="left", expand=False)
    table.add_column("figure")
    table.add_column("goal", justify="right", style="dim")
    table.add_column(first.subject, justify="right")
    for other in others:
        table.add_column(_heading(other, earlier), justify="right")
        table.add_column("ratio", justify="right")
    for result in first.scenarios:
        table.add_section()
        table.add_row(f"[bold]{result.title}[/bold]")
        for metric in result.metrics:
            row = [f"{metric.title} [dim]({metric.count})[/dim]", _goal(metric), _mark(metric)]
            for other in others:
                theirs = other.metric(result.name, metric.key)
                row += [shown(theirs) if theirs else "-", _ratio(metric, theirs)]
            table.add_row(*row)
    console.print(table)
    for result in first.scenarios:
        for note in result.notes:
            console.print(f"[yellow]{result.title}:[/yellow] {note}", highlight=False)
    console.print(f"[dim]{first.machine}[/dim]", highlight=False)
    if first.machine.busy:
        console.print(f"[yellow]{first.machine.busy}[/yellow]", highlight=False)


def shown(metric: Metric) -> str:
    if metric.value is None:
        return "-"
    match metric.unit:
        case "ms":
            return f"{metric.value:.0f} ms" if metric.value >= 100 else f"{metric.value:.1f} ms"
        case "%":
            return f"{metric.value:.1f} %"
        case "s":
            return f"{metric.value:.2f} s"
        case "count":
            return f"{metric.value:.0f}"


def _heading(run: Run, earlier: Sequence[Run]) -> str:
    return f"{run.subject}, earlier" if run in earlier else run.subject


def _goal(metric: Metric) -> str:
    if metric.goal is None:
        return ""
    return f"≤ {metric.goal:g}{'' if metric.unit == 'count' else ' ' + metric.unit}"


def _mark(metric: Metric) -> str:
    match metric.met:
        case None:
            return shown(metric)
        case True:
            return f"[green]{shown(metric)}[/green]"
        case False:
            return f"[red]{shown(metric)}[/red]"


def _ratio(metric: Metric, theirs: Metric | None) -> str:
    times = ratio(metric, theirs)
    if times is None:
        return "-"
    return f"{times:.2f}×"
