"""`offhook eval`: scenarios, held against the agent."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agent.cli.options import ConfigFile, Set, load_settings
from config.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.evals.callers import CallerSet
    from agent.evals.results import SetResult
    from agent.evals.scenario import ScenarioSet
    from config.persona import Persona
    from config.settings import Settings

PIPED_WIDTH = 120
PATIENCE_S = 60.0


def eval(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the scenarios are: *.yaml.")],
    over: Annotated[
        Literal["text", "sip"],
        typer.Option(help="In text, or calling over real SIP with a synthesized caller."),
    ] = "text",
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Only these files, or FILE/SCENARIO; may be repeated."),
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, max=100, help="Run each scenario so often.")] = 1,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="N/M", help="Of callers, only the N-th of M parts: several runs, one after another."
        ),
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit's XML here.")] = None,
    json_out: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all answers here.")
    ] = None,
    config: ConfigFile = None,
    settings: Set = None,
    persona: Annotated[
        list[str] | None,
        typer.Option(
            "--persona",
            "-p",
            metavar="NAME",
            help="Who answers the scenarios in their language: a name or a YAML file; may be repeated.",
        ),
    ] = None,
) -> None:
    """Hold the agent's answers against scenarios: callers' turns, with rules for what comes back.

    Exit code 1 if a set has fewer right answers than it asks for, 2 if something can't be run.
    """
    loaded = load_settings(config, settings, {"log.level": "warning"})
    console = Console()
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    with console.status("Starting ...") as status:
        from agent import logs

        logs.set_up(loaded.settings.log)
        from agent.evals.desk_runs import run_callers
        from agent.evals.results import to_json, to_junit, write
        from agent.evals.runs import persona_for, personas_by_language
        from models.errors import ModelError
        from transports.sip.errors import SipError

        callers, sets = _chosen(folder, only or (), part, persona or ())
        chosen = personas_by_language([loaded.settings.persona, *(persona or ())])
        for found in sets:
            for scenario in found.scenarios:
                persona_for(found, scenario, chosen)  # complain before anything is loaded
        run = _in_text if over == "text" else _over_sip
        try:
            if callers:
                tell = partial(console.print, markup=False, highlight=False, soft_wrap=True)
                answered = run_callers(loaded.settings, callers, over, repeat, status.update, tell)
            else:
                answered = run(loaded.settings, sets, chosen, repeat, status.update)
            model, results = asyncio.run(answered)
        except (ModelError, SipError) as error:
            console.print(f"offhook: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(2) from None
    if json_out:
        write(json_out, to_json(results, model=model, over=over))
    if junit:
        write(junit, to_junit(results))
    _show(console, model, results)
    if not any(result.turns for result in results):
        console.print("[red]Nothing was run.")
        raise typer.Exit(2)
    raise typer.Exit(0 if all(result.passed for result in results) else 1)


def _chosen(
    folder: Path, only: Sequence[str], part: str | None, personas: Sequence[str]
) -> tuple[list[CallerSet], list[ScenarioSet]]:
    """The callers or the scenarios to run, whichever the folder has. Raises ConfigError."""
    from agent.evals.callers import load_caller_sets, shard
    from agent.evals.scenario import load_sets

    found = load_caller_sets(folder)
    if not found:
        if part:
            raise ConfigError(f"--part is for callers, and {folder} has scenarios.")
        return [], load_sets(folder, only)
    if len(found) < len(list(folder.glob("*.yaml"))):
        raise ConfigError(f"{folder} has scenarios and callers; each kind needs a folder of its own.")
    if personas:
        raise ConfigError(f"--persona is for scenarios; the callers in {folder} name whom they call.")
    callers = load_caller_sets(folder, only)
    if not callers:
        raise ConfigError(f"No caller matches --only {' '.join(only)}.")
    callers = shard(callers, part) if part else callers
    if not callers:
        raise ConfigError(f"The part {part} has no caller; there are fewer than that.")
    return callers, []


async def _in_text(
    settings: Settings,
    sets: Sequence[ScenarioSet],
    chosen: dict[str, Persona],
    repeat: int,
    say: Callable[[str], None],
) -> tuple[str, list[SetResult]]:
    from agent.calendar.tools import every_tool
    from agent.dialogue import text_pool
    from agent.evals.results import SetResult
    from agent.evals.runs import in_text, persona_for

    results = [SetResult(found) for found in sets]
    # Nobody waits on the line: what counts here is what is said.
    patience_s = max(PATIENCE_S, settings.llm.first_token_timeout_s)
    llm = settings.llm.model_copy(update={"first_token_timeout_s": patience_s})
    settings = settings.model_copy(update={"llm": llm})
    tools = every_tool(settings)
    tools.require(persona_for(found, one, chosen) for found in sets for one in found.scenarios)
    pool = text_pool(settings, [persona_for(sets[0], sets[0].scenarios[0], chosen)])
    await pool.start_llm()
    await tools.start()
    try:
        for result, found in zip(results, sets, strict=True):
            for scenario in found.scenarios * repeat:
                say(f"{found.name}: {scenario.name} ({len(result.turns)} answers)")
                who = persona_for(found, scenario, chosen)
                async with aclosing(in_text(pool.llm, found, scenario, who, tools)) as turns:
                    result.turns += [turn async for turn in turns]
        return f"{pool.llm.endpoint.model} ({pool.llm.device or 'elsewhere'})", results
    finally:
        await tools.close()
        await pool.close()


async def _over_sip(
    settings: Settings,
    sets: Sequence[ScenarioSet],
    chosen: dict[str, Persona],
    repeat: int,
    say: Callable[[str], None],
) -> tuple[str, list[SetResult]]:
    from agent.evals.over_sip import call

    return await call(settings, sets, chosen, repeat, say)


def _show(console: Console, model: str, results: Sequence[SetResult]) -> None:
    for result in results:
        for turn in result.turns:
            if turn.passed:
                continue
            said = turn.answer or "(nothing)"
            calls = "".join(f" [{call.name}{dict(call.arguments) or ''}]" for call in turn.tool_calls)
            console.print(
                f"[bold]{escape(result.scenarios.file.stem)}/{escape(turn.scenario)}[/bold], turn {turn.turn}"
            )
            console.print(f"  Caller  {escape(turn.caller)}", highlight=False)
            console.print(f"  Agent   {escape(said + calls)}", highlight=False)
            if turn.heard is not None:
                console.print(f"  Heard   {escape(turn.heard or '(nothing)')}", highlight=False)
            for failure in turn.failures:
                console.print(f"  [red]{escape(failure)}[/red]", highlight=False)
        for reason in result.skipped:
            console.print(f"[yellow]{escape(reason)}[/yellow]", highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("Set", "Right", "Score", "Needed", ""):
        table.add_column(name, justify="left" if name in ("Set", "") else "right")
    for result in results:
        score = result.score
        verdict = "[dim]not run" if score is None else "[green]passed" if result.passed else "[red]failed"
        table.add_row(
            escape(result.scenarios.name),
            f"{result.right} of {len(result.turns)}",
            "-" if score is None else f"{score:.0%}",
            f"{result.scenarios.pass_:.0%}",
            verdict,
        )
    console.print(table)
    console.print(f"[dim]Answered by {escape(model)}.", highlight=False)
