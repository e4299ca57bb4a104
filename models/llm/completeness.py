"""Whether the caller's words are a finished sentence, asked of the bundled language model."""

from __future__ import annotations

import math
import time
from typing import Any

import httpx

from models.llm.child import LlamaChild

DEADLINE_S = 0.15
TOP_TOKENS = 40
CONTEXT_CHARS = 240  # the last sentence or two decide; more only costs time
ENDS = (".", "?", "!", "<|")
# The words as a caller's turn in the model's own chat format: over 30 finished and 30 cut sentences the
# area under the curve is 0.998, against 0.978 for the bare words and 0.991 for a written dialogue.
PROMPT = "<|im_start|>user\n"


class Completeness:
    """P(the sentence ends here): the next token is `.?!` or the end of the turn."""

    def __init__(self, child: LlamaChild | None) -> None:
        self._child = child
        self.deadline_s = DEADLINE_S
        self.asked = 0
        self.late = 0
        self.last_ms: float | None = None

    async def end_probability(self, text: str, *, call_id: str) -> float | None:
        """None when the model isn't there or doesn't answer in time."""
        child = self._child
        words = clean(text)
        if child is None or child.state != "ready" or not words:
            return None
        self.asked += 1
        request = {
            "prompt": PROMPT + words,
            "n_predict": 1,
            "n_probs": TOP_TOKENS,
            "temperature": 0.0,
            "cache_prompt": True,
            "id_slot": child.slots - 1,
        }
        began = time.monotonic()
        try:
            answer = await child.http.post(f"{child.url}/completion", json=request, timeout=self.deadline_s)
            answer.raise_for_status()
        except httpx.HTTPError:
            self.late += 1
            return None
        self.last_ms = (time.monotonic() - began) * 1000
        return ends(answer.json())


def clean(text: str) -> str:
    """The transcript without the punctuation that the recognizer guessed at its end."""
    words = " ".join(text.split()).rstrip(" .?!,;:…-–—\"'")
    if len(words) > CONTEXT_CHARS:
        words = words[-CONTEXT_CHARS:].partition(" ")[2]
    return words


def ends(answer: dict[str, Any]) -> float:
    """Sum the probabilities of the tokens that end a sentence."""
    top = answer["completion_probabilities"][0]["top_logprobs"]
    return min(1.0, sum(math.exp(token["logprob"]) for token in top if _is_end(token["token"])))


def _is_end(token: str) -> bool:
    # End-of-text tokens are rendered as the empty string.
    return token == "" or token.startswith(ENDS)
