from __future__ import annotations

from importlib.resources import files


def question() -> bytes:
    """Someone asks: "What time do you open tomorrow?" (synthetic, telephone band)."""
    return (files("models") / "data" / "question.pcm").read_bytes()
