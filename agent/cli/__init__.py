"""The `offhook` command.

Every module beside this one adds to it: a Typer named `app` becomes a group by the module's name, a
function named like the module becomes a command. They are all imported to show the help, so what
takes long to import (Pipecat, the models) they import inside their functions.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from config.errors import ConfigError
from config.settings import LogSettings

_FIRST = ("serve", "demo", "models", "config", "doctor")


class _Group(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            typer.echo(f"offhook: {error}", err=True)
            raise typer.Exit(2) from None


app = typer.Typer(
    name="offhook",
    cls=_Group,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="markdown",  # the others break lines where the source does
    pretty_exceptions_show_locals=False,  # they hold secrets and what callers said
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"offhook {version('offhook')}")
        except PackageNotFoundError:
            typer.echo("offhook, run from its source without being installed")
        raise typer.Exit


@app.callback()
def main(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Answers the phone: SIP calls, taken by local models that listen, think and speak.

    Start with `offhook serve`, or see it all work without a phone with `offhook demo`.
    """
    # Before anyone imports Pipecat, which prints a banner. Those who serve show more, as log.level says.
    from agent import logs

    logs.set_up(LogSettings(level="warning"))


def _gather() -> None:
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    for name in sorted(names, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST)):
        module = importlib.import_module(f"{__name__}.{name}")
        if isinstance(group := getattr(module, "app", None), typer.Typer):
            app.add_typer(group, name=name)
        elif callable(command := getattr(module, name, None)):
            app.command(name)(command)


_gather()
