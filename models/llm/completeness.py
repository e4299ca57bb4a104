"""Whether the caller's words are a finished sentence, asked of the bundled language model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2

from models.llm.chatml import render
from models.llm.child import LlamaChild

Message = Mapping[str, Any]

DEADLINE_S = 0.3
TOP_TOKENS = 40
ENDS = (".", "?", "!", "<|")


class Completeness:
    """P(the sentence ends here): the next token is `.?!` or the end of the turn."""

    def __init__(self, child: LlamaChild | None = None) -> None:
        self.child = child
        self.deadline_s = DEADLINE_S
        self.asked = 0
        self.late = 0

    async def end_probability(
        self, text: str, *, history: Sequence[Message] = (), slot: int | None = None
    ) -> float | None:
        """How probable it is that the caller's turn, `text` so far, ends here.

        `history` is the conversation before it. Asked in the `slot` in which the answer will be made,
        the question leaves behind all that the answer has to read; without one, wherever something like it
        was asked before. None when the model isn't there or doesn't answer in time.
        """
        child = self.child
        words = clean(text)
        if child is None or child.state != "ready" or not words:
            return None
        self.asked += 1
        request = {
            "prompt": render(history) + words,
            "n_predict": 1,
            "n_probs": TOP_TOKENS,
            "temperature": 0.0,
            "cache_prompt": True,
            "id_slot": -1 if slot is None else slot,
        }
        try:
            answer = await child.http.post(f"{child.url}/completion", json=request, timeout=self.deadline_s)
            answer.raise_for_status()
            probability = ends(answer.json())
        except (httpx2.HTTPError, LookupError, ValueError):  # late, or an answer without probabilities
            self.late += 1
            return None
        return probability


def clean(text: str) -> str:
    """The transcript without the punctuation that the recognizer guessed at its end."""
    return " ".join(text.split()).rstrip(" .?!,;:…-–—\"'")


def ends(answer: dict[str, Any]) -> float:
    """Sum the probabilities of the tokens that end a sentence."""
    top = answer["completion_probabilities"][0]["top_logprobs"]
    return min(1.0, sum(math.exp(token["logprob"]) for token in top if _is_end(token["token"])))


def _is_end(token: str) -> bool:
    # End-of-text tokens are rendered as the empty string.
    return token == "" or token.startswith(ENDS)
