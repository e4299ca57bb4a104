"""`offhook models`: which weights are here, fetching others, and checking them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table

from agent.cli.options import ConfigFile, Set, load_settings

if TYPE_CHECKING:
    from config.settings import Settings
    from models.catalog import Catalog

app = typer.Typer(help="List, fetch and check the models' weights.", no_args_is_help=True)

_STATES = {"ready": "green", "not unpacked": "yellow", "not installed": "dim", "damaged": "red"}
_VERDICTS = {
    "right": "{name} is what it should be.",
    "as fetched": "{name} is what it was when it was fetched.",
    "unknown": "{name} can't be checked: it has no checksums. Fetch it again: offhook models pull {name}",
}


@app.command("list")
def list_models(config: ConfigFile = None, settings: Set = None) -> None:
    """Show the bundled models and what has been fetched."""
    table = Table("Name", "Kind", "Where", "Size", "State", box=None, header_style="bold", pad_edge=False)
    table.columns[3].justify = "right"
    for entry in _catalog(load_settings(config, settings).settings).entries():
        colour = _STATES.get(entry.state, "")
        state = f"[{colour}]{entry.state}[/]" if colour else entry.state
        table.add_row(entry.name, entry.kind, entry.where, f"{entry.size / 1e6:.0f} MB", state)
    Console().print(table)


@app.command()
def pull(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A voice (fr_FR-siwis-medium), a speech-to-text model (small, or owner/repository), "
            "a bundled model, or 'llm' for the model that llm.model names, through Ollama.",
        ),
    ],
    config: ConfigFile = None,
    settings: Set = None,
) -> None:
    """Fetch a model."""
    loaded = load_settings(config, settings).settings
    if name == "llm":
        with _failures():
            asyncio.run(_pull_llm(loaded))
        return
    with _failures(), _Told() as told:
        path = _catalog(loaded).pull(name, told)
    typer.echo(f"{name} is here: {path}")


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Everything installed by default.")
    ] = None,
    config: ConfigFile = None,
    settings: Set = None,
) -> None:
    """Read every byte of the weights and compare them with what they must be.

    What was fetched is compared with what it was then.
    """
    catalog = _catalog(load_settings(config, settings).settings)
    chosen = names or [entry.name for entry in catalog.entries() if entry.state != "not installed"]
    unknown = False
    for name in chosen:
        with _failures(), _Told() as told:
            verdict = catalog.verify(name, told)
        typer.echo(_VERDICTS[verdict].format(name=name))
        unknown |= verdict == "unknown"
    if unknown:
        raise typer.Exit(1)


async def _pull_llm(settings: Settings) -> None:
    from models.llm.language_model import Llm

    llm = Llm(settings.llm, weights=None)
    try:
        with _bars() as bars:
            tasks: dict[str, TaskID] = {}
            async for progress in llm.pull():
                if progress.status not in tasks:
                    tasks[progress.status] = bars.add_task(progress.status, total=progress.total or None)
                bars.update(tasks[progress.status], completed=progress.done, total=progress.total or None)
    finally:
        await llm.close()
    typer.echo(f"{settings.llm.model} is here, in Ollama.")


class _Told:
    """A bar for every file of which the catalog tells. Without any, the hub's own bars can be seen."""

    def __init__(self) -> None:
        self._bars = _bars()
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, name: str, done: int, size: int) -> None:
        if name not in self._tasks:
            self._bars.start()
            self._tasks[name] = self._bars.add_task(name, total=size)
        self._bars.update(self._tasks[name], completed=done)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


def _catalog(settings: Settings) -> Catalog:
    from models.catalog import Catalog

    return Catalog(settings.cache_dir)


def _bars() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def _failures() -> Iterator[None]:
    """A model's trouble is one sentence and exit code 1."""
    from models.errors import ModelError

    try:
        yield
    except ModelError as error:
        typer.echo(f"offhook: {error}", err=True)
        raise typer.Exit(1) from None
