"""`offhook doctor`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agent.cli.options import ConfigFile, Set, load_settings

_MARKS = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "broken": "[red]broken[/red]"}
_PIPED_WIDTH = 160


def doctor(
    gpu: Annotated[
        bool, typer.Option("--gpu", help="Look for the driver and CUDA's libraries as well.")
    ] = False,
    config: ConfigFile = None,
    settings: Set = None,
) -> None:
    """Say what is here, what is missing, what to do about it, and which model would run on what.

    Exit code 0 if offhook can serve, 1 if something is broken.
    """
    loaded = load_settings(config, settings).settings

    from agent import logs
    from agent.doctor import examine

    logs.set_up(loaded.log)

    console = Console()
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(overflow="fold")
    broken = 0
    for finding in examine(loaded, gpu=gpu):
        broken += finding.verdict == "broken"
        remedy = f"\n[bold]→ {escape(finding.remedy)}[/bold]" if finding.remedy else ""
        table.add_row(_MARKS[finding.verdict], finding.name, f"{escape(finding.detail)}{remedy}")
    console.print(table)
    if broken:
        console.print(f"[red]offhook can't serve: {broken} broken.[/red]")
        raise typer.Exit(1)
    console.print("[green]offhook can serve.[/green]")
