"""Words that strangers wrote, as a prompt may hold them: callers, their names, tools' results, pages.

Servers turn the marks of a model's chat format into its special tokens, also where a caller typed them:
whoever can write those can end their own turn and write the system's next. What may happen is decided
elsewhere; this keeps a stranger's words within their turn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

LONGEST_NAME = 60
# The marks of chat formats: ChatML's and its like (<|im_start|>, DeepSeek's wide bars), Llama 2's, Mistral's,
# Gemma's, and the tags of thoughts and tools.
_MARKS = re.compile(
    r"<(?=[|｜])|(?<=[|｜])>"
    r"|<(?=/?(?:s|bos|eos|pad|unk|think|thinking|tools?|tool_calls?|tool_response|function_call|"
    r"start_of_turn|end_of_turn|SYS|system)\b[^>]{0,40}>)"
    r"|<(?=<SYS>>|</SYS>>|function=)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|THINK)\])",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"[<>\[]")  # one of which each mark has
# Control characters but line ends and tabs; what is invisible, or turns the direction of writing. The joiners
# that Hindi needs stay.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff\ue000-\uf8ff"
    "\U000e0000-\U000e0fff]"
)
_NO_NAME = re.compile(r"[^\w .,'’()&+@/-]+")


def neutral(text: str) -> str:
    """The text with nothing in it that a chat format takes for its own."""
    seen = _UNSEEN.sub("", text)
    if not _BRACKETS.search(seen):  # nearly always, and six times as quick to find out
        return seen
    return _MARKS.sub(lambda mark: f"{mark[0]} " if mark[0] in "<[" else f" {mark[0]}", seen)


def neutral_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """A chat message with its words so."""
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": neutral(content)}
    if isinstance(content, list):
        parts = [{**one, "text": neutral(one["text"])} if "text" in one else one for one in content]
        return {**message, "content": parts}
    return dict(message)


def name(text: str) -> str:
    """A name or a number that came with a call, on one line and without what tells a sentence from it."""
    plain = " ".join(_NO_NAME.sub(" ", neutral(text)).split())
    return plain[:LONGEST_NAME].strip()
