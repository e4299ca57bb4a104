"""Which of the bundled language models speaks: the largest that is installed and that the machine bears."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from config.settings import BundledLlm

# An answer is spoken at about four tokens a second, and so is a question. A model that reads or writes hardly
# faster keeps callers waiting.
SLOWEST_ANSWER_TOKENS_S = 6.0
SLOWEST_PROMPT_TOKENS_S = 15.0


@dataclass(frozen=True, slots=True)
class Resident:
    """A bundled model, and what it takes to have it speak; `memory_mb` is what was measured."""

    name: BundledLlm
    title: str
    memory_mb: int
    slots: int
    slot_ctx: int
    calls_tools: bool
    warning: str = ""


RESIDENTS = (
    Resident("qwen2.5-coder-1.5b", "Qwen2.5-Coder-1.5B-Instruct", 2200, 8, 2048, calls_tools=True),
    Resident("qwen2.5-coder-0.5b", "Qwen2.5-Coder-0.5B-Instruct", 900, 8, 2048, calls_tools=True),
    Resident(
        "smollm2-135m",
        "SmolLM2-135M-Instruct",
        350,
        8,
        1536,
        calls_tools=False,
        warning="it is small and not clever",
    ),
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
