"""`offhook demo`: see it work without a phone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agent.cli.options import ConfigFile, PersonaName, Set, load_settings
from config.answering import load_personas
from config.errors import ConfigError
from config.packages import require_one_onnxruntime

if TYPE_CHECKING:
    from agent.demo import Demo
    from config.answering import Personas
    from config.settings import Settings


def demo(
    question: Annotated[
        list[str] | None,
        typer.Argument(help="What to ask: a text, or a WAV file (mono, 16 bit).", show_default=False),
    ] = None,
    wav: Annotated[Path, typer.Option(help="Where the call goes: caller left, agent right.")] = Path(
        "offhook-demo.wav"
    ),
    config: ConfigFile = None,
    settings: Set = None,
    persona: PersonaName = None,
) -> None:
    """Call the agent from a second process over real SIP, and show what was said.

    Runs on free loopback ports beside a server that may already be up. Exits 0 only if every question
    was heard to be answered.
    """
    loaded = load_settings(config, settings, {"persona": persona, "log.level": "warning"})
    require_one_onnxruntime()
    personas = load_personas(loaded.settings)
    asked: list[str | Path] = [Path(text) if text.endswith(".wav") else text for text in question or ()]
    if recordings := [one for one in asked if isinstance(one, Path)]:
        from agent.demo import require_sound

        require_sound(recordings)
    try:
        wav.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{wav} can't be written: {error.strerror}.") from None
    raise typer.Exit(asyncio.run(_demo(loaded.settings, personas, asked, wav)))


async def _demo(settings: Settings, personas: Personas, questions: list[str | Path], wav: Path) -> int:
    console = Console()
    with console.status("Starting ...") as status:
        from agent import logs
        from agent.demo import default_questions, loopback, make_call
        from agent.server import Server
        from models.errors import ModelError
        from transports.sip.errors import SipError

        settings = loopback(settings)
        logs.set_up(settings.log)
        server = Server(settings, personas)
        try:
            await server.start(lambda what: status.update(f"Loading ... {what}"))
            status.update("Calling ...")
            result = await make_call(server, questions or default_questions(server.persona), wav)
        except (ModelError, SipError) as error:
            console.print(f"offhook: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
            return 1
        finally:
            await server.close(drain_s=0)
    _show(console, result)
    return 1 if result.unanswered else 0


def _show(console: Console, demo: Demo) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(style="dim", justify="right", no_wrap=True)
    latencies = {id(answer.turn): answer.voice_to_voice_ms for answer in demo.answers}
    for turn in demo.turns:
        ms = latencies.get(id(turn))
        note = f"{ms:.0f} ms" if ms is not None else ""
        text = turn.text + ("—" if turn.cut_off else "")
        table.add_row(turn.speaker.capitalize(), escape(text), note)
    console.print(table)
    if demo.problem:
        console.print(f"[red]{escape(demo.problem)}")
        return
    if demo.greeting_ms is not None:
        console.print(
            f"[dim]Greeted {demo.greeting_ms:.0f} ms after the call was up; the figures at the answers are"
        )
        console.print("[dim]from the caller's last speech packet to the agent's first audible one.")
    heard = " / ".join(answer.heard or "nothing" for answer in demo.answers)
    console.print(f"[dim]On the line after each question, transcribed again:[/dim] {escape(heard)}")
    console.print(f"[dim]Recorded to[/dim] {escape(str(demo.wav))}")
    for number in demo.unanswered:
        console.print(f"[red]The agent was not heard to answer question {number}.")
