"""The bundled models' chat format, as their own templates render it.

Written out here because a prompt is wanted that breaks off in the middle of the caller's turn, which no
template gives, and because the server takes long over the template. A test holds it against the server's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from models.llm.foreign import neutral

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
    conversation = list(messages)
    return "".join(f"<|im_start|>{role}\n{_plain(text)}<|im_end|>\n" for role, text in _told(conversation))


def _told(conversation: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Roles and texts. What tools did is told by the system: the model would imitate its own calls."""
    calls: dict[str, Mapping[str, Any]] = {}
    for one in conversation:
        calls |= {call["id"]: call["function"] for call in one.get("tool_calls") or ()}
        if one["role"] == "tool":
            call = calls.get(one.get("tool_call_id", ""), {})
            done = f"{call.get('name', 'A tool')} {call.get('arguments') or ''}".strip()
            yield "system", f"{done} gave: {_text(one['content'])}. Tell the caller."
        elif one.get("content") or not one.get("tool_calls"):
            yield one["role"], one.get("content")


def _text(content: Any) -> str:
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content or ())


def _plain(content: Any) -> str:
    """The text of a message, in which nobody can write the format's own marks."""
    return neutral(_text(content))
