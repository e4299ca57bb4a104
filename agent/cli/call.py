"""`offhook call`: have a running server call somebody."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape

from agent.cli.http_api import Api, api
from agent.cli.options import ConfigFile, Set, Url, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY, NO_ANSWER, DECLINED, FAILED = 3, 4, 5, 6
_EXITS = {
    "busy": BUSY,
    "no_answer": NO_ANSWER,
    "declined": DECLINED,
    "not_reached": FAILED,
    "unauthorized": FAILED,
    "transport_failure": FAILED,
    "model_failure": FAILED,
}


def call(
    to: Annotated[
        str,
        typer.Argument(metavar="URI", help="A SIP URI, or a number, which goes to outbound.gateway."),
    ],
    say: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Said to whoever answers.", show_default=False)
    ] = None,
    play: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A recording (WAV, MP3, ...) to play first.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    hang_up: Annotated[
        bool, typer.Option("--hang-up", help="Hang up after that, instead of talking.")
    ] = False,
    answering_machine: Annotated[
        Literal["talk", "hang_up", "leave_message"],
        typer.Option(metavar="WHAT", help="Where a machine answers: talk, hang_up or leave_message."),
    ] = "talk",
    message: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Left on a machine; what --say has by default.", show_default=False
        ),
    ] = None,
    persona: Annotated[
        str | None,
        typer.Option("--persona", "-p", metavar="NAME", help="Who speaks, of those that the server has."),
    ] = None,
    account: Annotated[
        str, typer.Option(metavar="NAME", help="The account that calls.", show_default=False)
    ] = "",
    ring: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", min=1, max=300, help="How long it may ring.", show_default=False),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for its end, or print its id and leave.")
    ] = True,
    url: Url = None,
    config: ConfigFile = None,
    settings: Set = None,
) -> None:
    """Call somebody, by a server that runs: it has the telephone line and the models, warm.

    Prints how far the call is; Ctrl-C hangs up. Only whom the server's outbound.allow lists is called, and
    http.api_key must be set. Exits 0 when the call was answered, 3 when it is busy, 4 when nobody answers, 5
    when it is declined, 6 when it fails otherwise, and 1 when the server doesn't call.

    Examples:
    - offhook call 600 --say "Your table is ready."
    - offhook call sip:600@192.0.2.10 --play news.wav --hang-up
    """
    http = load_settings(config, settings).settings.http
    wanted: dict[str, Any] = {
        "to": to,
        "say": say,
        "play": base64.b64encode(play.read_bytes()).decode() if play else None,
        "then": "hang_up" if hang_up else "talk",
        "answering_machine": answering_machine,
        "message": message,
        "persona": persona,
        "account": account,
        "ring_timeout_s": ring,
    }
    with api(http, url) as server:
        id = server.ask("POST", "calls", json=wanted).json()["id"]
        if not wait:
            typer.echo(id)
            return
        try:
            ended = _watch(server, id)
        except KeyboardInterrupt:
            server.ask("DELETE", f"calls/{id}")
            ended = server.ask("GET", f"calls/{id}").json()
            _tell(ended)
    answered = any(one["state"] == "answered" for one in ended["progress"])
    raise typer.Exit(_EXITS.get(ended["reason"], 0 if answered else FAILED))


def _watch(server: Api, id: str) -> dict[str, Any]:
    """Tell what happens until the call is over; how it ended."""
    with server.answering("GET", f"calls/{id}/events", timeout=None) as answer:
        for progress in _events(answer.iter_lines()):
            _tell(progress)
            if progress["state"] == "over":
                return progress
    return dict(server.ask("GET", f"calls/{id}").json())


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def _tell(progress: dict[str, Any]) -> None:
    at = progress["at"] if "at" in progress else progress["progress"][-1]["at"]
    time = datetime.fromisoformat(at).astimezone().strftime("%H:%M:%S")
    what = progress.get("reason") or progress["state"]
    detail = f"  {escape(progress['detail'])}" if progress["detail"] else ""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{time} [bold]{what.replace('_', ' ')}[/bold]{detail}")
