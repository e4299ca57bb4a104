"""`offhook bench`, and `offhook bench models`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from agent.cli.options import ConfigFile, Set, load_settings

PIPED_WIDTH = 120  # columns: three subjects and their ratios don't fit into rich's 80
MODELS_PIPED_WIDTH = 150

app = typer.Typer(invoke_without_command=True)


@app.callback()
def bench(
    context: typer.Context,
    turns: Annotated[
        int, typer.Option(min=4, max=1000, help="Questions asked; the other parts scale with it.")
    ] = 60,
    only: Annotated[list[str] | None, typer.Option(help="Run just this scenario; may be repeated.")] = None,
    calls: Annotated[int, typer.Option(min=1, max=50, help="Most calls that talk at once.")] = 4,
    stock: Annotated[bool, typer.Option(help="Measure plain Pipecat on the same weights as well.")] = False,
    apart: Annotated[
        bool, typer.Option(help="Measure a node as well whose models `offhook models serve` has.")
    ] = False,
    compare: Annotated[Path | None, typer.Option(help="An earlier run's JSON, for ratios.")] = None,
    target: Annotated[
        str | None, typer.Option(help="HOST:PORT where a running server speaks SIP; starts one if absent.")
    ] = None,
    api: Annotated[
        str | None,
        typer.Option(help="That server's HTTP address; for twilio as in its carriers.public_url."),
    ] = None,
    transport: Annotated[
        list[str] | None,
        typer.Option(help="sip, webrtc or twilio: how to call; may be repeated, for a comparison."),
    ] = None,
    codec: Annotated[
        Literal["pcmu", "pcma"] | None, typer.Option(help="What is offered over SIP: pcmu if absent.")
    ] = None,
    config: ConfigFile = None,
    seed: Annotated[
        int | None, typer.Option(help="Draws the callers' pauses; one is drawn, and told, if absent.")
    ] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report with plots here.")] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep calls as stereo WAVs, and the server's log, in this folder.")
    ] = None,
) -> None:
    """Measures turn-taking by calling: latencies, interruptions, cut-offs, loss, calls at once.

    `offhook bench models` times each model alone.
    Exit code 1 if a goal is missed, 2 if something can't be run.
    """
    if context.invoked_subcommand is not None:
        return

    import asyncio
    import secrets
    import signal

    from rich.console import Console

    from bench.columns import own
    from bench.material import MaterialError
    from bench.report import page
    from bench.results import Run, UnreadableRun, from_json, to_json
    from bench.scenarios import EVERY, SCENARIOS
    from bench.subjects import OffhookApart, OffhookServer, StockBot, Subject, Target
    from bench.suite import Plan, measure, sounds
    from bench.table import show
    from models.catalog import Catalog

    catalog = Catalog(load_settings(config, None).settings.cache_dir)
    console = Console()
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    known = [scenario.name for scenario in SCENARIOS]
    for name in only or ():
        if name not in known:
            _fail(f"--only {name}: there are {', '.join(known)}")
    for folder in (keep, json_out and json_out.parent, html and html.parent):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    for name in transport or ():
        if name not in EVERY:
            _fail(f"--transport {name}: there are {', '.join(EVERY)}")
    transports = tuple(one for one in EVERY if one in (transport or ("sip",)))
    if "sip" not in transports and (codec or stock):
        _fail(f"{'--codec' if codec else '--stock'} is for calls over SIP: add --transport sip")
    drawn = secrets.randbelow(10_000) if seed is None else seed
    plan = Plan(turns, calls, tuple(only or ()), transports, codec or "pcmu", keep)
    try:
        earlier = from_json(compare) if compare else []
        started = OffhookServer(config, keep=keep, calls=calls)
        subjects: list[Subject] = [Target(target, api) if target or api else started]
        for name in transports:
            if not subjects[0].serves(name):
                _fail(
                    f"--transport {name} of a running server needs {'--target' if name == 'sip' else '--api'}"
                )
        for one in SCENARIOS:
            if one.name in plan.only and not subjects[0].can_be(one.persona):
                _fail(f"--only {one.name} needs a greeting of its own, which a running server isn't given")
            if one.name in plan.only and not set(transports) & set(one.transports):
                _fail(f"--only {one.name} means nothing over {', '.join(transports)}")
        if stock:
            subjects += [StockBot("smart-turn", config), StockBot("timeout", config)]
        if apart:
            subjects.append(OffhookApart(config, keep=keep, calls=calls))
        with console.status("…") as status:

            def say(text: str) -> None:
                status.update(text)
                if not console.is_terminal:
                    console.print(text, highlight=False)

            def tell(text: str) -> None:
                console.print(text, highlight=False, markup=False)

            async def measured() -> list[Run]:
                # As Ctrl-C: what was started ends with it.
                asyncio.get_running_loop().add_signal_handler(
                    signal.SIGTERM, signal.raise_signal, signal.SIGINT
                )
                async with sounds(drawn, catalog) as said:
                    found = [await measure(subject, plan, said, say, tell) for subject in subjects]
                return [run for runs in found for run in runs]

            runs = asyncio.run(measured())
    except (MaterialError, UnreadableRun) as error:
        _fail(str(error))
    show(console, runs, earlier)
    if json_out is not None:
        json_out.write_text(to_json(runs))
    if html is not None:
        html.write_text(page(runs, earlier))
    if failed := [f"{one.name} of {run.subject}" for run in runs for one in run.scenarios if one.failed]:
        _fail(f"not measured: {', '.join(failed)}")
    results = [result for run in own(runs) for result in run.scenarios]
    if any(metric.met is False for result in results for metric in result.metrics):
        raise typer.Exit(1)


@app.command("models")
def bench_models(
    runs: Annotated[int, typer.Option(min=1, max=1000, help="Of each model, once it is warm.")] = 20,
    only: Annotated[
        list[str] | None, typer.Option(help="A stage or model with this in its name; may be repeated.")
    ] = None,
    config: ConfigFile = None,
    settings: Set = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Times each model alone, cold and warm, on each device, and says how many calls that bears.

    Exit code 1 if a model fails.
    """
    loaded = load_settings(config, settings).settings

    from rich.console import Console

    from agent import logs
    from bench.models import measure, show, to_json
    from bench.results import Machine
    from bench.stages import stages
    from models.catalog import Catalog
    from models.devices import Devices

    logs.set_up(loaded.log)
    console = Console()
    if not console.is_terminal:
        console.width = MODELS_PIPED_WIDTH
    machine, devices = Machine.this(), Devices()
    wanted = [
        stage
        for stage in stages(loaded, Catalog(loaded.cache_dir), devices)
        if not only or any(part in f"{stage.name} {stage.model}" for part in only)
    ]
    if not wanted:
        _fail(f"no stage or model has {' or '.join(only or ())} in its name")
    if json_out is not None:
        json_out.parent.mkdir(parents=True, exist_ok=True)
    with console.status("…") as status:
        timings = measure(wanted, runs, devices, status.update)
    show(console, timings, machine, devices)
    if json_out is not None:
        json_out.write_text(to_json(timings, machine, devices))
    if any(timing.error for timing in timings):
        raise typer.Exit(1)


def _fail(sentence: str) -> NoReturn:
    typer.echo(f"offhook bench: {sentence}", err=True)
    raise typer.Exit(2)
