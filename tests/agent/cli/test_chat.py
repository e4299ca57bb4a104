"""The line behind an answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from agent.cli.chat import trace
from agent.dialogue import Reply

BUNDLED: Any = SimpleNamespace(endpoint=SimpleNamespace(model="small"), device="cpu")
ELSEWHERE: Any = SimpleNamespace(endpoint=SimpleNamespace(model="large"), device="")


def test_where_the_time_went() -> None:
    reply = Reply(
        "Fine.",
        first_token_ms=100,
        first_clause_ms=150,
        total_ms=600,
        tokens=11,
        prompt_tokens=90,
        cached_tokens=70,
    )
    assert trace(reply, BUNDLED) == (
        "first token 100 ms · first clause 150 ms · whole answer 600 ms · 20 tokens/s · "
        "prompt 90 tokens (20 evaluated, 70 cached) · small on cpu"
    )


def test_what_isn_t_known_isn_t_told() -> None:
    reply = Reply("Fine.", first_token_ms=100, total_ms=600, tokens=1, prompt_tokens=90)
    assert trace(reply, ELSEWHERE) == "first token 100 ms · whole answer 600 ms · prompt 90 tokens · large"
