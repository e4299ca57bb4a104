"""`offhook doctor`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agent.cli.options import ConfigFile, Set, load_settings

if TYPE_CHECKING:
    from agent.surroundings import Finding

_MARKS = {"pass": "[green]pass[/green]", "warn": "[yellow]warn[/yellow]", "fail": "[red]fail[/red]"}
_PIPED_WIDTH = 160


def doctor(
    gpu: Annotated[
        bool, typer.Option("--gpu", help="Look for the driver and CUDA's libraries as well.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say so in JSON.")] = False,
    config: ConfigFile = None,
    settings: Set = None,
) -> None:
    """Say what is here, what is missing, what to do about it, and which model would run on what.

    Exit code 0 if offhook can serve, 1 if something fails.
    """
    loaded = load_settings(config, settings).settings

    from agent import logs
    from agent.doctor import examine

    logs.set_up(loaded.log)

    found = list(examine(loaded, gpu=gpu))
    failed = sum(finding.verdict == "fail" for finding in found)
    if as_json:
        document = {"can_serve": not failed, "findings": [dataclasses.asdict(finding) for finding in found]}
        typer.echo(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        _show(found, failed)
    if failed:
        raise typer.Exit(1)


def _show(found: Sequence[Finding], failed: int) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(overflow="fold")
    for finding in found:
        remedy = f"\n[bold]→ {escape(finding.remedy)}[/bold]" if finding.remedy else ""
        table.add_row(_MARKS[finding.verdict], finding.name, f"{escape(finding.detail)}{remedy}")
    console.print(table)
    if failed:
        console.print(f"[red]offhook can't serve: {failed} failed.[/red]")
    else:
        console.print("[green]offhook can serve.[/green]")
