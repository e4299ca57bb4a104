"""`offhook config`: what holds, and whether a file is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, SecretStr
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agent.cli.options import ConfigFile, Set, load_settings
from config.answering import load_personas
from config.errors import ConfigError
from config.keys import KEYS, Key, suggest
from config.redaction import without_credentials
from config.sources import Loaded, load, value_of

app = typer.Typer(help="Show and check the settings.", no_args_is_help=True)


@app.command()
def show(
    only: Annotated[
        str | None,
        typer.Argument(metavar="KEY", help="A key or a section, such as sip.", show_default=False),
    ] = None,
    config: ConfigFile = None,
    settings: Set = None,
    explain: Annotated[bool, typer.Option("--explain", "-e", help="Say what each key is for.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print every setting that holds, and where its value comes from."""
    loaded = load_settings(config, settings)
    keys = [key for key in KEYS.values() if only is None or f"{key.name}.".startswith(f"{only}.")]
    if not keys:
        raise ConfigError(f"{only} is not a setting; {suggest(only or '')}")
    if as_json:
        typer.echo(json.dumps({key.name: _record(loaded, key, explain) for key in keys}, indent=2))
    else:
        Console().print(_table(loaded, keys, explain))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The settings file to check.")],
) -> None:
    """Check a settings file, together with the environment, and the personas and tools that it names."""
    from agent.calendar.tools import every_tool

    loaded = load(file, {})
    personas = load_personas(loaded.settings).all
    every_tool(loaded.settings).require(personas)
    count = sum(origin.kind == "file" for origin in loaded.origins.values())
    typer.echo(
        f"{file} is right: it sets {count} {'key' if count == 1 else 'keys'}; "
        + ", ".join(f"{persona.name} answers, in '{persona.language}'" for persona in personas)
        + "."
    )


def _table(loaded: Loaded, keys: list[Key], explain: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Key", no_wrap=True)
    table.add_column("Value", overflow="fold")
    table.add_column("From", style="dim", overflow="fold")
    if explain:
        table.add_column("What it is", overflow="fold")
    for key in keys:
        origin = loaded.origins[key.name]
        row = [key.name, escape(_text(value_of(loaded.settings, key.name))), escape(str(origin))]
        table.add_row(
            *row,
            *([escape(_explanation(key))] if explain else []),
            style="" if origin.kind == "default" else "cyan",
        )
    return table


def _record(loaded: Loaded, key: Key, explain: bool) -> dict[str, Any]:
    origin = loaded.origins[key.name]
    value = value_of(loaded.settings, key.name)
    record: dict[str, Any] = {"value": _plain(value), "from": origin.kind}
    if origin.name:
        record["name"] = origin.name
    if explain:
        record |= {"what": key.field.description, "allowed": key.allowed(), "variable": key.variable}
    return record


def _plain(value: object) -> object:
    match value:
        case SecretStr() | Path() | str():
            return without_credentials(str(value))  # a secret's text is asterisks
        case BaseModel():
            return {name: _plain(item) for name, item in value}
        case tuple():
            return [_plain(item) for item in value]
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case _:
            return value


def _text(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case SecretStr():
            return "(set, not shown)"
        case BaseModel():
            return ", ".join(f"{name}={_text(item)}" for name, item in value if item is not None)
        case tuple():
            return ", ".join(map(_text, value)) or "-"
        case dict():
            return ", ".join(f"{name}={_text(item)}" for name, item in value.items()) or "-"
        case _:
            return without_credentials(str(value)) or "-"


def _explanation(key: Key) -> str:
    return f"{key.field.description or ''} Takes {key.allowed()}.".strip()
