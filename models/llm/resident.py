"""Which of the bundled language models speaks: the largest that is installed and that the machine bears."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import models
from config.llm import BundledLlm
from models.bundled import BY_NAME as BUNDLED

# An answer is spoken at about four tokens a second, and so is a question. A model that reads or writes hardly
# faster keeps callers waiting.
SLOWEST_ANSWER_TOKENS_S = 6.0
SLOWEST_PROMPT_TOKENS_S = 15.0


@dataclass(frozen=True, slots=True)
class Resident:
    """A bundled model, and what it takes to have it speak, as data/bundled.toml says."""

    name: BundledLlm
    title: str
    memory_mb: int
    slots: int
    slot_ctx: int
    calls_tools: bool
    adapter: str = ""  # in data/
    warning: str = ""

    @property
    def adapter_file(self) -> Path | None:
        """What it has learned of telephone calls (bench/mind), beside its weights."""
        return Path(models.__file__).parent / "data" / self.adapter if self.adapter else None


RESIDENTS = tuple(
    Resident(name, BUNDLED[name].title, **BUNDLED[name].speaks) for name in get_args(BundledLlm)
)
BY_NAME = {resident.name: resident for resident in RESIDENTS}
JUDGE = BY_NAME["smollm2-135m"]  # larger ones know no better whether a sentence is finished


def candidates(
    wanted: BundledLlm | Literal["auto"], largest: BundledLlm, memory_bytes: int | None
) -> list[Resident]:
    """What to try, best first: the one that is wanted, or of `largest` and smaller ones those that fit into
    so much memory."""
    if wanted != "auto":
        return [BY_NAME[wanted]]
    smallest = RESIDENTS[-1]
    return [
        one
        for one in RESIDENTS[RESIDENTS.index(BY_NAME[largest]) :]
        if memory_bytes is None or one.memory_mb * 1e6 <= memory_bytes or one is smallest
    ]


def too_slow(prompt_tokens_s: float, answer_tokens_s: float) -> bool:
    """Whether a machine with these speeds should rather have a smaller model."""
    return prompt_tokens_s < SLOWEST_PROMPT_TOKENS_S or answer_tokens_s < SLOWEST_ANSWER_TOKENS_S
