"""Who answers a scenario, and the run over text."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

from agent.dialogue import Dialogue, Reply
from agent.evals.results import TurnResult
from agent.evals.rules import judge
from agent.evals.scenario import Scenario, ScenarioSet
from agent.tools.toolbox import Toolbox
from config.errors import ConfigError
from config.persona import Persona, load_persona, persona_names
from models.errors import ModelFailed
from models.llm.language_model import Llm


def personas_by_language(names: Iterable[str]) -> dict[str, Persona]:
    """Those named, each for the sets in its language, the last for each. Raises ConfigError."""
    loaded = [load_persona(name) for name in names]
    return {persona.language_code: persona for persona in loaded}


def persona_for(found: ScenarioSet, scenario: Scenario, chosen: Mapping[str, Persona]) -> Persona:
    """The scenario's own, or the one chosen for its language, or the one shipped for it; with its facts.

    Raises ConfigError.
    """
    if name := scenario.persona or found.persona:
        persona = load_persona(name)
    elif found.language in chosen:
        persona = chosen[found.language]
    elif found.language in persona_names():
        persona = load_persona(found.language)
    else:
        raise ConfigError(
            f"{found.file} is in {found.language}, for which no persona is shipped; "
            "name one with --persona FILE."
        )
    if persona.language_code != found.language:
        raise ConfigError(
            f"{found.file} is in {found.language}, its persona {persona.name} in {persona.language}."
        )
    facts = found.facts_of(scenario)
    return persona.model_copy(update={"facts": facts}) if facts else persona


async def in_text(
    llm: Llm, found: ScenarioSet, scenario: Scenario, persona: Persona, toolbox: Toolbox
) -> AsyncGenerator[TurnResult, None]:
    """Each turn's result, as it comes. A turn behind the end of the call, or without an answer, fails."""
    tools = [spec.tool() for spec in found.tools_of(scenario)]
    previous = ""
    async with Dialogue(llm, persona, tools=tools, toolbox=toolbox) as dialogue:
        for number, turn in enumerate(scenario.turns, 1):
            failures: Sequence[str] = ()
            reply = Reply()
            if dialogue.ended:
                failures = ["the agent had hung up"]
            else:
                try:
                    reply = await dialogue.answer(turn.caller)
                except ModelFailed as error:
                    failures = [str(error)]
            failures = failures or judge(
                turn,
                found.rules_for(scenario, turn),
                answer=reply.text,
                tool_calls=reply.tool_calls,
                language=found.language,
                previous=previous,
            )
            previous = reply.text
            yield TurnResult(
                scenario.name,
                number,
                turn.caller,
                reply.text.strip(),
                failures,
                reply.tool_calls,
                first_token_ms=reply.first_token_ms,
                total_ms=reply.total_ms,
            )
