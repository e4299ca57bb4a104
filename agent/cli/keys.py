"""`offhook keys`: who may ask over HTTP, and for what."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from agent.cli.options import ConfigFile, Set, load_settings

if TYPE_CHECKING:
    from agent.records.keys import Keys
    from agent.records.tables import ApiKey
    from config.settings import Settings

T = TypeVar("T")

app = typer.Typer(help="Make, list and revoke keys of the HTTP API.", no_args_is_help=True)

_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
_OTHERS = ("http.api_key", "peer")  # who else does something to a call, as its record names them
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class ScopeName(StrEnum):
    READ = "read"
    OPERATE = "operate"
    LISTEN = "listen"
    ADMIN = "admin"


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is: letters, digits, '.', '_' and '-'.")],
    scope: Annotated[
        list[ScopeName],
        typer.Option(
            "--scope",
            help="read: see calls, words and health. operate: read, and make, steer and end calls. listen: "
            "hear callers. admin: all. May be repeated.",
        ),
    ],
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="When it ends: 12h, 90d, 52w; never by default.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
    config: ConfigFile = None,
    settings: Set = None,
) -> None:
    """Make a key, and print it: once, since only its digest is kept.

    It works at once, also on a server that runs. Exits 1 if the name is taken.

    Examples:
    - offhook keys create grafana --scope read
    - offhook keys create desk --scope operate --scope listen --expires 90d
    """
    from agent.records.keys import NameTaken

    if not _NAME.fullmatch(name) or name in _OTHERS:
        _fail(
            f"{name!r} can't be a name: letters, digits, '.', '_' and '-', at most 64, but not "
            f"{', '.join(_OTHERS)}"
        )
    ends = _end(expires) if expires else None
    loaded = load_settings(config, settings).settings

    async def make(keys: Keys) -> tuple[str, ApiKey]:
        return await keys.create(name, sorted({each.value for each in scope}), ends)

    try:
        key, kept = _with(loaded, make)
    except NameTaken as taken:
        _fail(str(taken))
    if as_json:
        typer.echo(json.dumps({"key": key, **_shown(kept)}))
    else:
        typer.echo(key)
        typer.echo("Keep it: it can't be shown again.", err=True)
    if loaded.http.api_key is None:
        typer.echo("http.api_key isn't set: a server with these settings asks for no key.", err=True)


@app.command(name="list")
def list_(as_json: Json = False, config: ConfigFile = None, settings: Set = None) -> None:
    """Show all keys but http.api_key: how each begins, what it may, and when it was last used."""
    kept = _with(load_settings(config, settings).settings, lambda keys: keys.all())
    if as_json:
        typer.echo(json.dumps([_shown(each) for each in kept]))
        return
    if not kept:
        typer.echo("There are no keys but http.api_key.")
        return
    rows = [("NAME", "KEY", "STATE", "SCOPES", "CREATED", "EXPIRES", "LAST USED")]
    for each in kept:
        times = (_day(each.created), _day(each.expires), _day(each.last_used))
        rows.append((each.name, f"{each.prefix}...", _state(each), " ".join(each.scopes), *times))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="As `offhook keys list` shows it.")],
    as_json: Json = False,
    config: ConfigFile = None,
    settings: Set = None,
) -> None:
    """End a key for good: a server that runs notices within seconds. Its name stays taken."""
    if not _with(load_settings(config, settings).settings, lambda keys: keys.revoke(name)):
        _fail(f"there is no key {name} that could be revoked; `offhook keys list` shows what there is")
    typer.echo(json.dumps({"revoked": name}) if as_json else f"{name} is revoked.")


def _with(settings: Settings, work: Callable[[Keys], Awaitable[T]]) -> T:
    """Do it with the database that `settings` name; exits with a sentence if that can't be used."""
    from alembic.util import CommandError
    from sqlalchemy.exc import SQLAlchemyError

    from agent.records.database import Database
    from agent.records.keys import Keys

    if not settings.records.enabled:
        _fail("keys are kept in the records' database: set records.enabled, or use http.api_key alone")
    database = Database(settings)

    async def run() -> T:
        try:
            await database.connect()
            return await work(Keys(database))
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except (SQLAlchemyError, OSError, CommandError) as error:
        why = str(getattr(error, "orig", None) or error).splitlines()[0]
        _fail(f"{database.name} can't be used: {why}")


def _end(text: str) -> datetime:
    match = re.fullmatch(r"(\d{1,5})([hdw])", text)
    if match is None or int(match[1]) == 0:
        _fail(f"--expires {text} can't be used; it must be a time such as 12h, 90d or 52w")
    return datetime.now(UTC) + int(match[1]) * _UNITS[match[2]]


def _state(key: ApiKey) -> str:
    if key.revoked:
        return "revoked"
    return "expired" if key.expires and key.expires <= datetime.now(UTC) else "valid"


def _day(time: datetime | None) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M}" if time else "never"


def _shown(key: ApiKey) -> dict[str, Any]:
    times = {name: getattr(key, name) for name in ("created", "expires", "last_used", "revoked")}
    return {
        "name": key.name,
        "prefix": key.prefix,
        "scopes": key.scopes,
        **{name: time and time.isoformat() for name, time in times.items()},
        "state": _state(key),
    }


def _fail(sentence: str) -> NoReturn:
    typer.echo(f"offhook: {sentence}.", err=True)
    raise typer.Exit(1) from None
