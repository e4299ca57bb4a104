"""Runs scenarios against a subject."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.bench.callers import CALLERS, CallFailed
from agent.bench.material import Material, Speaker
from agent.bench.results import Machine, Run, ScenarioResult
from agent.bench.scenarios import SCENARIOS, Bench, Scenario
from agent.bench.subjects import PersonaName, Running, Subject, SubjectError
from agent.caller.g711 import Law

PERSONAS: tuple[PersonaName, ...] = ("default", "talker")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, and how large."""

    turns: int = 60
    calls: int = 4
    only: tuple[str, ...] = ()
    transport: str = "sip"
    codec: Law = "pcmu"
    keep: Path | None = None

    def scenarios(self, persona: PersonaName) -> list[Scenario]:
        wanted = [one for one in SCENARIOS if not self.only or one.name in self.only]
        return [one for one in wanted if one.persona == persona]


async def measure(subject: Subject, plan: Plan, say: Callable[[str], None]) -> Run:
    """Raises SubjectError if the subject doesn't start or doesn't answer, MaterialError without a voice."""
    results: list[ScenarioResult] = []
    machine = Machine.this()
    with tempfile.TemporaryDirectory(prefix="offhook-material-") as folder:
        speaker = await asyncio.to_thread(Speaker, Path(folder))
        material = Material(Path(folder), speaker)
        try:
            for persona in PERSONAS:
                scenarios = plan.scenarios(persona)
                if scenarios and not subject.can_be(persona):
                    skipped = ", ".join(one.name for one in scenarios)
                    say(f"skipped, since they need a persona of their own: {skipped}")
                elif scenarios:
                    say(f"{subject.name} starts")
                    async with subject.running(persona) as running:
                        results += await _run(scenarios, running, material, plan, say)
        finally:
            await speaker.close()
    return Run(subject.name, plan.transport, results, machine)


async def _run(
    scenarios: Sequence[Scenario],
    running: Running,
    material: Material,
    plan: Plan,
    say: Callable[[str], None],
) -> list[ScenarioResult]:
    caller = CALLERS[plan.transport](running, plan.codec, plan.keep)
    results = []
    for scenario in scenarios:

        def told(text: str, name: str = scenario.name) -> None:
            say(f"{name}: {text}")

        told("begins")
        try:
            results.append(await scenario.run(Bench(caller, material, plan.turns, plan.calls, told)))
        except CallFailed as error:
            raise SubjectError(f"{scenario.name}: a call failed: {error}") from error
    return results
