"""Runs scenarios against a subject."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.caller.g711 import Law
from bench.caller.script import Transport
from bench.callers import CallFailed, ScriptCaller
from bench.material import Material, MaterialError, Speaker
from bench.results import Machine, Run, ScenarioResult, beside_sip
from bench.scenarios import SCENARIOS, Scenario
from bench.seen import Seen
from bench.strangers import Strangers
from bench.subjects import PersonaName, Running, Subject, SubjectError
from bench.workbench import Bench
from models.catalog import Catalog

PERSONAS: tuple[PersonaName, ...] = ("default", "talker")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, and how large."""

    turns: int = 60
    calls: int = 4
    only: tuple[str, ...] = ()
    transports: tuple[Transport, ...] = ("sip",)
    codec: Law = "pcmu"
    keep: Path | None = None

    def scenarios(self, persona: PersonaName) -> list[Scenario]:
        wanted = [one for one in SCENARIOS if not self.only or one.name in self.only]
        return [one for one in wanted if one.persona == persona]


@dataclass(frozen=True, slots=True)
class Sounds:
    """What callers say, to whomever."""

    material: Material
    strangers: Strangers


@contextlib.asynccontextmanager
async def sounds(seed: int, catalog: Catalog) -> AsyncIterator[Sounds]:
    """Raises MaterialError without a voice."""
    with tempfile.TemporaryDirectory(prefix="offhook-material-") as folder:
        speaker = await asyncio.to_thread(Speaker, Path(folder), catalog)
        seen = Seen.by_the_fit()
        try:
            yield Sounds(Material(Path(folder), speaker, seen), Strangers(Path(folder), speaker, seen, seed))
        finally:
            await speaker.close()


async def measure(
    subject: Subject, plan: Plan, said: Sounds, say: Callable[[str], None], tell: Callable[[str], None]
) -> list[Run]:
    """One run for each transport that the subject serves; what fails in it fails alone.

    `say` is shown while it lasts, and what `tell` is given stays.
    """
    transports = [one for one in plan.transports if subject.serves(one)]
    results: dict[Transport, list[ScenarioResult]] = {transport: [] for transport in transports}
    machine = Machine.this()
    for persona in PERSONAS:
        scenarios = plan.scenarios(persona)
        if scenarios and not subject.can_be(persona):
            skipped = ", ".join(one.name for one in scenarios)
            tell(f"skipped, since they need a persona of their own: {skipped}")
        elif scenarios and transports:
            say(f"{subject.name} starts")
            try:
                async with subject.running(persona, transports) as running:
                    await _run(scenarios, running, said, plan, results, say, tell)
            except SubjectError as error:
                for found in results.values():
                    found += [ScenarioResult.not_measured(one.name, str(error)) for one in scenarios]
    runs = [Run(subject.name, transport, found, machine) for transport, found in results.items()]
    sip = next((run for run in runs if run.transport == "sip"), None)
    return [beside_sip(run, sip) for run in runs]


async def _run(
    scenarios: Sequence[Scenario],
    running: Running,
    said: Sounds,
    plan: Plan,
    results: dict[Transport, list[ScenarioResult]],
    say: Callable[[str], None],
    tell: Callable[[str], None],
) -> None:
    """Each scenario over one transport after the other, so that the figures compare."""
    callers = {transport: ScriptCaller(running, transport, plan.codec, plan.keep) for transport in results}
    for scenario in scenarios:
        for transport, caller in callers.items():
            name = scenario.name if len(callers) == 1 else f"{scenario.name} over {transport}"

            def told(text: str, name: str = name) -> None:
                say(f"{name}: {text}")

            if transport not in scenario.transports:
                tell(f"{name}: skipped, since it means nothing over {transport}")
                continue
            told("begins")
            bench = Bench(caller, said.material, said.strangers, plan.turns, plan.calls, told, running)
            try:
                result = await scenario.run(bench)
            except (CallFailed, MaterialError) as error:
                result = ScenarioResult.not_measured(scenario.name, str(error))
            results[transport].append(result)
