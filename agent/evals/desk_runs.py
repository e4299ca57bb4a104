"""All callers who react: in text with one language model, or over SIP with a server for each set."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
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
    tell: Callable[[str], None],
) -> tuple[str, list[SetResult]]:
    """`say` is shown while it lasts, and `tell` is given a line for each caller.

    Returns what answered, and the results. Raises ModelError and SipError.
    """
    results = [SetResult(found) for found in sets]
    personas = [allowed(load_persona(found.persona), settings) for found in sets]
    count = sum(len(found.callers) for found in sets) * repeat

    def made(call: CallResult, result: SetResult) -> None:
        result.turns.append(call.turn)
        done, right = sum(len(one.turns) for one in results), sum(one.right for one in results)
        verdict = "; ".join(call.failures) or "right"
        stem = result.scenarios.file.stem
        tell(f"{done} of {count}, {right} right: {stem}/{call.caller}, {call.took_s:.0f} s, {verdict}")

    if over == "sip":
        model = "nothing"
        for result, found, persona in zip(results, sets, personas, strict=True):
            say(f"{found.name}: calling")
            callers = found.model_copy(update={"callers": found.callers * repeat})
            model = await over_sip(settings, callers, persona, partial(made, result=result))
        return model, results
    pool = text_pool(settings, personas)
    await pool.start_llm()
    try:
        for result, found, persona in zip(results, sets, personas, strict=True):
            for caller in found.callers * repeat:
                say(f"{found.name}: {caller.name}")
                begun = time.monotonic()
                call = await in_text(pool.llm, found, caller, persona, settings.calendar)
                call.took_s = time.monotonic() - begun
                made(call, result)
        return f"{pool.llm.endpoint.model} ({pool.llm.device or 'elsewhere'})", results
    finally:
        await pool.close()
