"""`offhook sip`: what goes on on the telephone line of a running server."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from agent.cli.http_api import api
from agent.cli.options import ConfigFile, Set, Url, load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.settings import HttpSettings

app = typer.Typer(
    help="See a running server's SIP messages and accounts, and whom it ignores.", no_args_is_help=True
)


@app.command()
def trace(
    call: Annotated[
        str,
        typer.Argument(
            metavar="CALL",
            help="A session's id, as the log and the API name it, or a Call-ID; all that are kept if absent.",
            show_default=False,
        ),
    ] = "",
    full: Annotated[bool, typer.Option("--full", "-f", help="Print the messages whole.")] = False,
    pcap: Annotated[
        Path | None,
        typer.Option(
            "--pcap",
            "-w",
            metavar="FILE",
            help="Write a capture for Wireshark or sngrep instead.",
            show_default=False,
        ),
    ] = None,
    numbers: Annotated[
        bool, typer.Option("--numbers", help="Show callers' numbers and names, which are hidden otherwise.")
    ] = False,
    url: Url = None,
    config: ConfigFile = None,
    settings: Set = None,
) -> None:
    """Show the SIP messages of recent calls as a ladder, also of calls that are over.

    The server keeps those of its last calls in memory (sip.trace_calls). Passwords, media keys and keys that
    callers pressed are never shown. Reads http.api_key from the settings, as `offhook serve` does. Exits 1 if
    the server can't be reached or has nothing of that call.

    Examples:
    - offhook sip trace | tail -40
    - offhook sip trace 9f2c51d07a3e --full
    - offhook sip trace 9f2c51d07a3e --pcap call.pcap
    """
    http = load_settings(config, settings).settings.http
    messages = _get(http, url, "trace", {"call": call, "numbers": numbers})["messages"]
    if not messages:
        typer.echo(f"offhook: the server keeps no messages{f' of {call}' if call else ''}.", err=True)
        raise typer.Exit(1)
    if pcap:
        from agent.cli.pcap import capture

        pcap.write_bytes(capture(messages))
        typer.echo(f"{len(messages)} messages in {pcap}")
        return
    console = Console(highlight=False, soft_wrap=True)
    for line in ladder(messages, full=full):
        console.print(line)


@app.command()
def accounts(url: Url = None, config: ConfigFile = None, settings: Set = None) -> None:
    """Show whether each of sip.accounts is registered, and if not why."""
    http = load_settings(config, settings).settings.http
    found = _get(http, url, "accounts", {})["accounts"]
    for one in found:
        left = one["expires_in_s"]
        for_how_long = f" for {left:.0f} s more" if left is not None else ""
        error = f": {one['last_error']}" if one["last_error"] else ""
        typer.echo(f"{one['name']}  {one['state']} at {one['server']}{for_how_long}{error}")
    if not found:
        typer.echo("There are no accounts (sip.accounts).")


@app.command()
def bans(url: Url = None, config: ConfigFile = None, settings: Set = None) -> None:
    """List the addresses that are ignored now, why, and for how long yet."""
    http = load_settings(config, settings).settings.http
    found = _get(http, url, "bans", {})["bans"]
    for ban in found:
        typer.echo(f"{ban['address']}  {ban['seconds_left']:.0f} s more: {ban['why']}")
    if not found:
        typer.echo("Nobody is banned.")


@app.command()
def unban(
    address: Annotated[str, typer.Argument(help="As `offhook sip bans` shows it.")],
    url: Url = None,
    config: ConfigFile = None,
    settings: Set = None,
) -> None:
    """Listen to an address again. To have one never banned, name it in sip.ban_exempt."""
    http = load_settings(config, settings).settings.http
    with api(http, url) as client:
        client.ask("DELETE", f"sip/bans/{address}")
    typer.echo(f"{address} is heard again.")


def ladder(messages: Sequence[dict[str, Any]], *, full: bool = False) -> list[str]:
    """A line a message, with rich's markup; a blank one and the peer's address before each dialog."""
    lines: list[str] = []
    by_call: dict[str, list[dict[str, Any]]] = {}
    for message in messages:
        by_call.setdefault(message["call_id"], []).append(message)
    for call_id, own in by_call.items():
        peer = f"{own[0]['protocol']} {_address(own[0]['remote'])}"
        lines.append(f"[bold]{escape(peer)}[/bold]  Call-ID {escape(call_id)}")
        for message in own:
            time = datetime.fromisoformat(message["at"]).astimezone().strftime("%H:%M:%S.%f")[:12]
            arrow = "[green]<--[/green]" if message["sent"] else "[cyan]-->[/cyan]"
            text = message["text"] if full else _summary(message["text"])
            lines.append(f"{time} {arrow} {escape(text)}")
        lines.append("")
    return lines


def _summary(text: str) -> str:
    """The first line, and of an answer what it answers."""
    head, *headers = text.splitlines() or [""]
    sound = " (SDP)" if "\nv=0" in text else ""
    if not head.startswith("SIP/2.0 "):
        return head.removesuffix(" SIP/2.0") + sound
    asked = next((h.partition(":")[2].strip() for h in headers if h.lower().startswith("cseq")), "")
    return f"{head.removeprefix('SIP/2.0 ')} for {asked}{sound}"


def _address(endpoint: Sequence[Any]) -> str:
    host, port = endpoint
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _get(http: HttpSettings, url: str | None, path: str, query: dict[str, Any]) -> Any:
    with api(http, url) as client:
        return client.ask("GET", f"sip/{path}", params=query).json()
