"""All callers who react: in text with one language model, or over SIP with a server for each set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from agent.dialogue import text_pool
from agent.evals.callers import CallerSet
from agent.evals.desk import CallResult, in_text
from agent.evals.desk_over_sip import over_sip
from agent.evals.results import SetResult
from config.answering import allowed
from config.persona import load_persona
from config.settings import Settings


async def run_callers(
    settings: Settings,
    sets: Sequence[CallerSet],
    over: Literal["text", "sip"],
    repeat: int,
    say: Callable[[str], None],
) -> tuple[str, list[SetResult]]:
    """Returns what answered, and the results. Raises ModelError and SipError."""
    results = [SetResult(found) for found in sets]
    personas = [allowed(load_persona(found.persona), settings) for found in sets]
    if over == "sip":
        model = "nothing"
        for result, found, persona in zip(results, sets, personas, strict=True):
            callers = found.model_copy(update={"callers": found.callers * repeat})

            def made(call: CallResult, result: SetResult = result, name: str = found.name) -> None:
                result.turns.append(call.turn)
                say(f"{name}: {len(result.turns)} calls, {result.right} right")

            model = await over_sip(settings, callers, persona, made)
        return model, results
    pool = text_pool(settings, personas)
    await pool.start_llm()
    try:
        for result, found, persona in zip(results, sets, personas, strict=True):
            for caller in found.callers * repeat:
                say(f"{found.name}: {caller.name}")
                call = await in_text(pool.llm, found, caller, persona, settings.calendar)
                result.turns.append(call.turn)
        return f"{pool.llm.endpoint.model} ({pool.llm.device or 'elsewhere'})", results
    finally:
        await pool.close()
