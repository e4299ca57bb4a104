"""`offhook flows`: what a persona's flow asks, in which order, and what it does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from config.errors import ConfigError
from config.files import read_yaml
from config.flow import Flow, Slot, Step, load_flow
from config.persona import load_persona

app = typer.Typer(help="Check flows.", no_args_is_help=True)


@app.callback()
def flows() -> None:
    """Check flows."""


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A flow's file, or a persona's.")],
) -> None:
    """Check a flow, and print its tasks, steps and slots."""
    flow = _flow(file)
    tree = Tree(f"[bold]{escape(str(file))}[/] is right.")
    slots = tree.add("Slots")
    for name, slot in flow.slots.items():
        slots.add(escape(f"{name}: {_about(slot)}"))
    for name, task in flow.tasks.items():
        steps = tree.add(
            escape(f"{name}: {task.about}{' It begins with the call.' if name == flow.start else ''}")
        )
        for called, step in task.steps.items():
            at = steps.add(escape(f"{called}: {_does(step)}"))
            for line in _leads_to(step):
                at.add(escape(line))
    Console(highlight=False).print(tree)


def _flow(file: Path) -> Flow:
    if "tasks" in read_yaml(file, "The flow file"):
        return load_flow(file)
    flow = load_persona(str(file)).flow
    if flow is None:
        raise ConfigError(f"{file} has no flow; give it the key flow, or tasks.")
    return flow


def _about(slot: Slot) -> str:
    bounds = [f"from {slot.minimum}"] if slot.minimum else []
    bounds += [f"to {slot.maximum}"] if slot.maximum else []
    notes = [name for name in ("optional", "keep", "secret") if getattr(slot, name)]
    return ", ".join([" ".join([slot.kind, *bounds]), *slot.choices, *notes])


def _does(step: Step) -> str:
    match step.kind:
        case "collect":
            return f"collects {', '.join(step.collect)}"
        case "confirm":
            return f"confirms: {step.confirm}"
        case "branch":
            return f"branches on {step.branch}"
        case "act":
            return f"{'looks up by' if step.reads else 'acts by'} {step.act}"
        case "hand_over":
            return f"hands over by {step.hand_over}"
        case "say":
            return f"says: {step.say}"


def _leads_to(step: Step) -> Iterator[str]:
    yield from (f"{value} -> {to}" for value, to in step.cases.items())
    for status, outcome in step.outcomes.items():
        asks = [f"asks again for {', '.join(outcome.forget)}"] if outcome.forget else []
        to = [f"-> {outcome.then}"] if outcome.then else []
        yield " ".join([f"{status}:", *([outcome.say] if outcome.say else []), *asks, *to])
    if step.then:
        yield f"-> {step.then}"
