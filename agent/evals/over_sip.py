"""Scenarios as real calls: a second process dials, and a synthesized caller says the turns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path

from agent.conversation import ToolCall
from agent.demo import Answer, CallerVoice, loopback, make_call
from agent.evals.results import SetResult, TurnResult
from agent.evals.rules import judge
from agent.evals.runs import persona_for
from agent.evals.scenario import Scenario, ScenarioSet
from agent.evals.words import words
from agent.server import Server
from agent.tools.builtin import END_CALL
from config.answering import Personas
from config.persona import Persona
from config.settings import Settings
from models.catalog import Catalog

# What is heard is transcribed from 8 kHz, which mishears names and numbers; half of the words must be there.
HEARD = 0.5


async def call(
    settings: Settings,
    sets: Sequence[ScenarioSet],
    chosen: Mapping[str, Persona],
    repeat: int,
    say: Callable[[str], None],
) -> tuple[str, list[SetResult]]:
    """One call a scenario, one server for each persona and its facts. Raises ModelError and SipError.

    Returns what answered, and the results. Scenarios that declare tools which calls don't have are skipped.
    """
    results = [SetResult(found) for found in sets]
    by_persona: dict[str, list[tuple[SetResult, ScenarioSet, Scenario, Persona]]] = {}
    for result, found in zip(results, sets, strict=True):
        for scenario in found.scenarios:
            if other := [t.name for t in found.tools_of(scenario) if t.name != END_CALL.name]:
                result.skipped.append(f"{scenario.name}: calls have no tool {other[0]}")
                continue
            who = persona_for(found, scenario, chosen)
            by_persona.setdefault(who.model_dump_json(), []).append((result, found, scenario, who))
    model = "nothing"
    with tempfile.TemporaryDirectory(prefix="offhook-eval-") as scratch:
        voice = CallerVoice(Path(scratch), Catalog(settings.cache_dir))
        try:
            for group in by_persona.values():
                say(f"{group[0][1].name}: starting")
                server = Server(loopback(settings), Personas((group[0][3],)))
                try:
                    await server.start(lambda _: None)
                    model = f"{server.pool.llm.endpoint.model} ({server.pool.llm.device or 'elsewhere'})"
                    for result, found, scenario, _ in group * repeat:
                        say(f"{found.name}: {scenario.name} ({len(result.turns)} answers)")
                        result.turns += await _one(server, found, scenario, voice)
                finally:
                    await server.close(drain_s=0)
        finally:
            await voice.close()
    return model, results


async def _one(
    server: Server, found: ScenarioSet, scenario: Scenario, voice: CallerVoice
) -> list[TurnResult]:
    said = [await voice.says(turn.caller, found.language) for turn in scenario.turns]
    made = await make_call(server, said, voice.folder / "call.wav")
    calls = [*made.tool_calls, *[()] * len(scenario.turns)]
    return judged(found, scenario, made.answers, calls, goodbye=server.persona.goodbye)


def judged(
    found: ScenarioSet,
    scenario: Scenario,
    answers: Sequence[Answer],
    tool_calls: Sequence[Sequence[ToolCall]],
    *,
    goodbye: str,
) -> list[TurnResult]:
    """Each turn's result, from what the session noted and what was heard on the line."""
    results = []
    previous = ""
    for number, (turn, answer, calls) in enumerate(zip(scenario.turns, answers, tool_calls, strict=False), 1):
        text = answer.turn.text if answer.turn else ""
        said = text or (goodbye if any(one.name == END_CALL.name for one in calls) else "")
        failures = judge(
            turn,
            found.rules_for(scenario, turn),
            answer=text,
            tool_calls=calls,
            language=found.language,
            previous=previous,
        )
        if said and not sounds_like(answer.heard, said):
            failures.append("isn't what was heard on the line")
        previous = text
        results.append(
            TurnResult(
                scenario.name,
                number,
                turn.caller,
                text,
                failures,
                calls,
                heard=answer.heard,
                voice_to_voice_ms=answer.voice_to_voice_ms,
            )
        )
    return results


def sounds_like(heard: str, said: str) -> bool:
    """Whether at least half of the words that were said were heard, in their order."""
    spoken = words(said)
    matcher = SequenceMatcher(None, words(heard), spoken, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks()) >= HEARD * len(spoken)
