"""The bundled model's chat format, as its own template renders it.

Written out here because a prompt is wanted that breaks off in the middle of the caller's turn, which no
template gives. A test holds it against the server's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

OPEN_TURN = "<|im_start|>user\n"


def render(messages: Iterable[Mapping[str, Any]]) -> str:
    """`messages`, each with a role and a text, up to where the caller's next turn begins."""
    turns = (f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in messages)
    return "".join(turns) + OPEN_TURN
