"""What of a long conversation still fits the model's context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

# In UTF-8. English has about 4.2 with SmolLM2's vocabulary, names and digits fewer; a character of Chinese,
# three bytes, is a token or less with the larger models'.
BYTES_PER_TOKEN = 3.0
MESSAGE_TOKENS = 6  # the chat template's own
BLOCK = 8

M = TypeVar("M")


def fit(messages: Sequence[M], budget_tokens: int, *, keep: int = 0) -> list[M]:
    """Keep the first `keep` messages and as much of the end as fits the budget.

    Cuts in blocks of eight messages: cutting one message a turn would change the start of the prompt
    every time, and the model would have to read all of it again. The last message always stays, and what
    came of a tool stands behind its call, without which servers refuse it.
    """
    fixed = sum(map(tokens, messages[:keep]))
    turns = messages[keep:]
    cut = 0
    while cut < len(turns) - 1 and fixed + sum(map(tokens, turns[cut:])) > budget_tokens:
        cut = min(cut + BLOCK, len(turns) - 1)
    while cut and _get(turns[cut], "role") == "tool":
        cut -= 1
    return [*messages[:keep], *turns[cut:]]


def estimate(text: str) -> int:
    """How many tokens it is, rather too many than too few."""
    return int(len(text.encode(errors="replace")) / BYTES_PER_TOKEN)


def tokens(message: Any) -> int:
    """How many of a message, with its frame."""
    content = _get(message, "content") or ""
    if not isinstance(content, str):
        content = " ".join(str(_get(part, "text") or "") for part in content)
    return MESSAGE_TOKENS + estimate(content)


def _get(message: Any, key: str) -> Any:
    return message.get(key) if isinstance(message, dict) else None
