"""How well pages are found: `python -m bench.knowledge.measure`, with --fit to try thresholds.

On the questions beside this: of those for judging, how many have the right page among the first three and
at the first place, how many that no page answers are known as such, and how long looking it up takes, by the
clock and of the processor. On another's pages with --pages hotel, on which nothing was ever fitted.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from agent.briefing import knowledge
from config.pages import read_pages
from config.persona import Persona, load_persona
from config.settings import Settings
from models.catalog import Catalog
from models.knowledge.embedder import Embedder
from models.knowledge.knowledge import Found, Knowledge
from models.lanes import Lane

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Question:
    """`page` is the one that answers it; None where none does."""

    asks: str
    page: str | None = None


@dataclass(frozen=True)
class Looked:
    question: Question
    found: Sequence[Found]
    ms: float
    cpu_ms: float

    @property
    def place(self) -> int | None:
        """Where the right page is among what was found, from 1."""
        pages = [one.passage.page for one in self.found]
        return pages.index(self.question.page) + 1 if self.question.page in pages else None

    @property
    def fit(self) -> float:
        return max((one.fit for one in self.found), default=0.0)

    @property
    def fits(self) -> bool:
        return any(one.fits for one in self.found)

    @property
    def told(self) -> bool:
        """Whether the model is told a passage, as one that answers or may."""
        return any(one.fits or one.may_fit for one in self.found)


def questions(pages: str, purpose: str) -> list[Question]:
    """`fitting` or `judging`: what the pages answer, and what they don't."""
    listed = yaml.safe_load((HERE / f"{pages}.yaml").read_text(encoding="utf-8"))
    return [Question(**one) for one in (*listed[f"for_{purpose}"], *listed[f"nothing_for_{purpose}"])]


def answering_from(pages: str) -> Persona:
    """Who answers from a folder beside this."""
    return load_persona("en").model_copy(update={"knowledge": read_pages(HERE / pages)})


async def look_up(known: Knowledge, asked: Sequence[Question]) -> list[Looked]:
    looked = []
    for question in asked:
        began, used = time.perf_counter(), time.process_time()
        found = await known.search(question.asks)
        ms, cpu_ms = (1000 * (time.perf_counter() - began), 1000 * (time.process_time() - used))
        looked.append(Looked(question, found, ms, cpu_ms))
    return looked


def described(name: str, looked: Sequence[Looked]) -> str:
    """One run's figures, in a line."""
    answered = [one for one in looked if one.question.page]
    others = [one for one in looked if not one.question.page]
    first_three = sum(one.place is not None for one in answered)
    times, cpu = (
        np.percentile(ms, (50, 95)) for ms in zip(*((one.ms, one.cpu_ms) for one in looked), strict=True)
    )
    return (
        f"{name}: {first_three} of {len(answered)} among the first three, "
        f"{sum(one.place == 1 for one in answered)} at the first place; "
        f"{sum(one.fits for one in answered)} of {len(answered)} taken to be answered, "
        f"of {sum(one.told and one.place is not None for one in answered)} the right page is told; "
        f"{sum(not one.fits for one in others)} of {len(others)} without an answer known as such, "
        f"of {sum(one.told for one in others)} something is told; "
        f"median {times[0]:.1f} ms ({cpu[0]:.1f} of the processor), 95% within {times[1]:.1f} ({cpu[1]:.1f})"
    )


def threshold(looked: Sequence[Looked]) -> float:
    """What tells best, of both kinds of questions alike, whether there is an answer."""
    answered = [one.fit for one in looked if one.question.page]
    others = [one.fit for one in looked if not one.question.page]

    def right(fit: float) -> float:
        return sum(one >= fit for one in answered) / len(answered) + sum(one < fit for one in others) / len(
            others
        )

    return max(sorted([*answered, *others]), key=right)


async def measure(pages: str, *, fit: bool, show: bool) -> None:
    asked = questions(pages, "fitting" if fit else "judging")
    words = knowledge(answering_from(pages))
    assert words is not None
    runs = {"by words": await look_up(words, asked)}
    weights = Catalog(Settings().cache_dir).embedding()
    if weights is None:
        print("minilm-l6 isn't here: offhook models install minilm-l6")
    else:
        lane = Lane("knowledge")
        try:
            words.learn(Embedder(weights), lane, Settings().cache_dir / "knowledge.sqlite")
            await words.search("warm up")
            runs["by meaning"] = await look_up(words, asked)
        finally:
            await lane.close()
    for name, looked in runs.items():
        print(described(name, looked))
        if fit:
            print(f"  the best threshold: {threshold(looked):.2f}")
        if show:
            for one in looked:
                if one.question.page and one.place is None:
                    print(f"  missed: {one.question.asks} ({one.question.page})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", choices=["library", "hotel"], default="library")
    parser.add_argument("--fit", action="store_true", help="the questions for fitting, and a threshold")
    parser.add_argument("--show", action="store_true", help="which were missed")
    asked = parser.parse_args()
    asyncio.run(measure(asked.pages, fit=asked.fit, show=asked.show))


if __name__ == "__main__":
    main()
