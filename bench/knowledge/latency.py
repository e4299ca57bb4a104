"""What pages add to a turn's latency: `python -m bench.knowledge.latency`, with the model that answers here.

The caller says each question at the pace of speech, to a persona with pages, to the same without, and to
that again, which tells how much two runs of the same differ; who comes first changes. The model is told as it
is in a call. Taken is the time from the end of the turn to the answer's first token. Nothing else should run.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence

import numpy as np

from agent import logs
from agent.dialogue import Dialogue, text_pool
from bench.knowledge.measure import answering_from, questions
from config.persona import Persona
from config.settings import LogSettings, Settings
from models.llm.language_model import Llm

WORD_S = 0.33  # of speech
LOOK_WORDS = 2  # heard between two looks at what was said
END_OF_TURN_S = 0.5  # of silence, in which the last words are read, too
APART_S = 0.5
RUNS = WITH, WITHOUT, AGAIN = "with pages", "without", "without, again"
RESAMPLED = 2000

Round = dict[str, tuple[float, int]]


async def answered_ms(llm: Llm, persona: Persona, question: str) -> tuple[float, int]:
    """From the end of the turn to the first token; and how many tokens of the prompt were left to be read."""
    words = question.split()
    async with Dialogue(llm, persona) as dialogue:
        await asyncio.sleep(APART_S)
        await dialogue.begin_to_speak()
        for said in range(LOOK_WORDS, len(words), LOOK_WORDS):
            await asyncio.sleep(LOOK_WORDS * WORD_S)
            await dialogue.hear(" ".join(words[:said]))
        await asyncio.sleep(WORD_S * (len(words) % LOOK_WORDS or LOOK_WORDS))
        await dialogue.hear(question, over=True)
        await asyncio.sleep(END_OF_TURN_S)
        reply = await dialogue.answer(question)
    assert reply.first_token_ms is not None
    return reply.first_token_ms, reply.prompt_tokens - (reply.cached_tokens or 0)


async def measure(count: int, bundled: str, minutes: float) -> None:
    """Raises ModelError."""
    known = answering_from("library")
    without = known.model_copy(update={"knowledge": None})
    # An answer that is late counts as late, and not as none.
    llm = {"bundled": bundled, "first_token_timeout_s": 120, "fallback_after_s": 60}
    pool = text_pool(Settings.model_validate({"llm": llm}), [known, without])
    await pool.start_llm()
    began = time.monotonic()
    try:
        print(pool.llm.why)
        asked = [one.asks for one in questions("library", "judging") if one.page][:count]
        rounds: list[Round] = []
        for number, question in enumerate(asked):
            if time.monotonic() - began > 60 * minutes:
                break
            taken = dict[str, tuple[float, int]]()
            for name in (*RUNS[number % len(RUNS) :], *RUNS[: number % len(RUNS)]):
                persona = known if name == WITH else without
                taken[name] = await answered_ms(pool.llm, persona, question)
            rounds.append(taken)
        for name in RUNS:
            print(f"{name}: {described([taken[name] for taken in rounds])}")
        print(f"pages add {compared(rounds, WITH)}")
        print(f"the same again adds {compared(rounds, AGAIN)}")
    finally:
        await pool.close()


def described(found: Sequence[tuple[float, int]]) -> str:
    times = [ms for ms, _ in found]
    unread = statistics.median(tokens for _, tokens in found)
    return (
        f"first token after {np.median(times):.0f} ms (median of {len(times)}, 95% within "
        f"{np.percentile(times, 95):.0f}), {unread:.0f} tokens left to read"
    )


def compared(rounds: Sequence[Round], name: str) -> str:
    """How much longer answers took than without pages, question by question."""
    more = np.array([taken[name][0] - taken[WITHOUT][0] for taken in rounds])
    drawn = np.random.default_rng(0).choice(more, (RESAMPLED, len(more)))
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    measurable = "" if low <= 0 <= high else ", which is measurable"
    return (
        f"{np.median(more):+.0f} ms (median; {low:+.0f} to {high:+.0f} at 95%{measurable}); "
        f"95% within {np.percentile(more, 95):+.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="how many questions")
    parser.add_argument("--bundled", default="auto", help="which bundled model, as in llm.bundled")
    parser.add_argument("--minutes", type=float, default=4.5, help="then no question is begun any more")
    asked = parser.parse_args()
    logs.set_up(LogSettings(level="warning"))
    asyncio.run(measure(asked.count, asked.bundled, asked.minutes))


if __name__ == "__main__":
    main()
