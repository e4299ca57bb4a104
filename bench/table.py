"""The figures of a run, printed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.columns import Column, columns, own, results, rows
from bench.results import Metric, Run, ScenarioResult


def show(console: Console, runs: Sequence[Run], earlier: Sequence[Run]) -> None:
    """One table: the first run's subject over every transport, and beside it all others, with ratios."""
    first, mine = runs[0], own(runs)
    beside = columns(runs, earlier)
    over = ", ".join(run.transport for run in mine)
    table = Table(title=f"{first.subject} over {over}", title_justify="left", expand=False)
    table.add_column("figure")
    table.add_column("goal", justify="right", style="dim")
    for column in beside:
        table.add_column(column.heading, justify="right")
        if column.against is not None:
            table.add_column("ratio", justify="right")
    for group in results(mine):
        (_, result), *_ = group
        table.add_section()
        table.add_row(f"[bold]{result.title}[/bold]")
        for metric in rows([one for _, one in group]):
            row = [f"{metric.title} [dim]({metric.count})[/dim]", _goal(metric)]
            for column in beside:
                row += _cells(column, result.name, metric.key)
            table.add_row(*row)
    console.print(table)
    for group in results(mine):
        for run, result in group:
            title = f"{result.title} over {run.transport}" if len(mine) > 1 else result.title
            _notes(console, title, result)
    for run in runs:
        if run not in mine:
            for result in run.scenarios:
                if result.failed:
                    _notes(console, f"{result.title} of {run.subject}", result)
    console.print(f"[dim]{first.machine}[/dim]", highlight=False)
    if first.machine.busy:
        console.print(f"[yellow]{first.machine.busy}[/yellow]", highlight=False)


def _notes(console: Console, title: str, result: ScenarioResult) -> None:
    for note in result.notes:
        console.print(f"[yellow]{title}:[/yellow] {escape(note)}", highlight=False)


def _cells(column: Column, scenario: str, key: str) -> list[str]:
    metric = column.metric(scenario, key)
    if column.against is None:
        return [_mark(metric) if metric else ""]
    times = column.ratio(scenario, key)
    return [shown(metric) if metric else "-", "-" if times is None else f"{times:.2f}×"]


def shown(metric: Metric) -> str:
    if metric.value is None:
        return "-"
    match metric.unit:
        case "ms":
            return f"{metric.value:.0f} ms" if abs(metric.value) >= 100 else f"{metric.value:.1f} ms"
        case "%":
            return f"{metric.value:.1f} %"
        case "MB":
            return f"{metric.value:.1f} MB"
        case "s":
            return f"{metric.value:.2f} s"
        case "count":
            return f"{metric.value:.0f}"


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
