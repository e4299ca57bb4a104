"""What pages add to a turn's latency: `python -m bench.knowledge.latency`, with the model that answers here.

The caller says each question at the pace of speech, to a persona with pages and to the same without;
the model is told as it is in a call. Taken is the time from the end of the turn to the answer's first token.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections.abc import Sequence

from agent.dialogue import Dialogue, text_pool
from bench.knowledge.measure import library, questions
from config.persona import Persona
from config.settings import Settings
from models.llm.language_model import Llm

WORD_S = 0.33  # of speech
LOOK_WORDS = 2  # heard between two looks at what was said
END_OF_TURN_S = 0.5  # of silence, in which the last words are read, too
APART_S = 0.5


async def answered_ms(llm: Llm, persona: Persona, question: str) -> tuple[float, int]:
    """From the end of the turn to the first token; and how many tokens of the prompt were left to be read."""
    words = question.split()
    async with Dialogue(llm, persona) as dialogue:
        await asyncio.sleep(APART_S)
        for said in range(LOOK_WORDS, len(words), LOOK_WORDS):
            await asyncio.sleep(LOOK_WORDS * WORD_S)
            await dialogue.hear(" ".join(words[:said]))
        await asyncio.sleep(WORD_S * (len(words) % LOOK_WORDS or LOOK_WORDS))
        await dialogue.hear(question, over=True)
        await asyncio.sleep(END_OF_TURN_S)
        reply = await dialogue.answer(question)
    assert reply.first_token_ms is not None
    return reply.first_token_ms, reply.prompt_tokens - (reply.cached_tokens or 0)


async def measure(count: int, bundled: str) -> None:
    """Raises ModelError."""
    known = library()
    without = known.model_copy(update={"knowledge": None})
    # An answer that is late counts as late, and not as none.
    llm = {"bundled": bundled, "first_token_timeout_s": 120, "fallback_after_s": 60}
    pool = text_pool(Settings.model_validate({"llm": llm}), [known, without])
    await pool.start_llm()
    try:
        print(pool.llm.why)
        taken: dict[str, list[tuple[float, int]]] = {"with pages": [], "without": []}
        asked = [one.asks for one in questions("judging") if one.page][:count]
        for number, question in enumerate(asked):
            pair = [("with pages", known), ("without", without)]
            for name, persona in pair if number % 2 else reversed(pair):
                taken[name].append(await answered_ms(pool.llm, persona, question))
        for name, found in taken.items():
            print(f"{name}: {described(found)}")
    finally:
        await pool.close()


def described(found: Sequence[tuple[float, int]]) -> str:
    times = sorted(ms for ms, _ in found)
    unread = statistics.median(tokens for _, tokens in found)
    low, high = times[len(times) // 10], times[-1 - len(times) // 10]
    return (
        f"first token after {statistics.median(times):.0f} ms (median of {len(times)}, most {low:.0f} to "
        f"{high:.0f}), {unread:.0f} tokens left to read"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="how many questions")
    parser.add_argument("--bundled", default="auto", help="which bundled model, as in llm.bundled")
    asked = parser.parse_args()
    asyncio.run(measure(asked.count, asked.bundled))


if __name__ == "__main__":
    main()
