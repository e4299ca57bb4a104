"""`offhook tools`: what there is for models to call, and calling it without one."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agent.cli.options import ConfigFile, Set, load_settings
from config.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.tools.tool import Outcome, Tool
    from config.settings import Settings

app = typer.Typer(help="Show and try tools.", no_args_is_help=True)


@app.command(name="list")
def list_(config: ConfigFile = None, settings: Set = None) -> None:
    """Print all tools that personas may name, besides what any call can do.

    Exits 1 if an MCP server can't be had as it is wanted.
    """
    tools, problems = asyncio.run(_all(load_settings(config, settings).settings))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Tool", "From", "What it is for"):
        table.add_column(column, overflow="fold")
    for tool in tools:
        asks = f" Asks first: {tool.confirm}" if tool.confirm else ""
        about = f"{tool.schema.description}{asks} Takes {_arguments(tool)}."
        table.add_row(tool.name, escape(tool.source), escape(about))
    Console().print(table)
    for problem in problems:
        typer.echo(f"offhook: {problem}", err=True)
    raise typer.Exit(1 if problems else 0)


@app.command()
def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A tool, as `offhook tools list` has it.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="What it takes; JSON where that is no text."),
    ] = None,
    config: ConfigFile = None,
    settings: Set = None,
) -> None:
    """Run a tool as a call would, without asking first, and print what the model would be told.

    Exits 1 if it fails.
    """
    outcome = asyncio.run(_run(load_settings(config, settings).settings, name, arguments or []))
    typer.echo(json.dumps(outcome.told, indent=2, ensure_ascii=False))
    raise typer.Exit(1 if outcome.error else 0)


async def _all(settings: Settings) -> tuple[Sequence[Tool], list[str]]:
    from agent.calendar.tools import every_tool

    async with every_tool(settings) as box:
        troubles = (part for part in box.health([]) if part.last_error)
        return box.tools, [f"{part.name}: {part.last_error}" for part in troubles]


async def _run(settings: Settings, name: str, pairs: Sequence[str]) -> Outcome:
    from agent.calendar.tools import every_tool
    from agent.tools.tool import CallFacts

    async with every_tool(settings) as box:
        tool = box.tool(name)
        given = _given(tool, pairs) if tool else {}
        return await box.call(name, given, call=CallFacts(id="tools-run"))


def _given(tool: Tool, pairs: Sequence[str]) -> dict[str, Any]:
    given = dict[str, Any]()
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"{pair} must be KEY=VALUE.")
        given[key] = value
        if tool.schema.properties.get(key, {}).get("type", "string") != "string":
            try:
                given[key] = json.loads(value)
            except ValueError:
                continue  # a wrong argument, which the tool tells
    return given


def _arguments(tool: Tool) -> str:
    names = (key if key in tool.schema.required else f"{key} or not" for key in tool.schema.properties)
    return ", ".join(names) or "nothing"
