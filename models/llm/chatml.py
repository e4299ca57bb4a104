"""The bundled models' chat format, as their own templates render it.

Written out here because a prompt is wanted that breaks off in the middle of the caller's turn, which no
template gives, and because the server takes long over the template. A test holds it against the server's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

OPEN_TURN = "<|im_start|>user\n"
OPEN_ANSWER = "<|im_start|>assistant\n"


def render(messages: Iterable[Mapping[str, Any]]) -> str:
    """`messages`, each with a role and a text, up to where the caller's next turn begins."""
    return turns(messages) + OPEN_TURN


def prompt(messages: Iterable[Mapping[str, Any]]) -> str:
    """The same up to where the answer begins."""
    return turns(messages) + OPEN_ANSWER


def turns(messages: Iterable[Mapping[str, Any]]) -> str:
    """The messages alone, whole."""
    return "".join(f"<|im_start|>{one['role']}\n{_plain(one['content'])}<|im_end|>\n" for one in messages)


def _plain(content: Any) -> str:
    """The text of a message, in which nobody can write the format's own marks."""
    text = content if isinstance(content, str) else " ".join(part.get("text", "") for part in content or ())
    return text.replace("<|", "< |")
