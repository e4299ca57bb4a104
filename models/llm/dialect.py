"""What a server that speaks OpenAI's API takes of it: learnt from its refusals, and kept to from then on.

A policy: no I/O. What is known of servers:
- Mistral's and Gemma's templates want user and assistant to alternate, the user first; Gemma's has no system
  role ("Conversation roles must alternate user/assistant/...", "System role not supported").
- OpenAI's newer models want max_completion_tokens, and no temperature.
- vLLM takes tools only if it was started for them ("--enable-auto-tool-choice").
- Thinking is turned off by chat_template_kwargs (vLLM, SGLang, llama.cpp) or reasoning_effort (Groq, OpenAI).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CALL_BEGINS = {"role": "user", "content": "Hello."}
TEMPLATE = {"chat_template_kwargs": {"enable_thinking": False}}
# What turns thinking off, one after the other until one is taken.
THINKING_OFF: Sequence[Mapping[str, Any]] = (
    TEMPLATE,
    {"reasoning_effort": "none"},
    {"reasoning_effort": "low"},
    {},
)
# Of this one conversation, and not of its form.
_TOO_LONG = re.compile(r"context (?:length|size|window)|(?:prompt|input) is too long|reduce the length")
OPTIONAL = ("tools", "response_format", "stream_options", "temperature", "max_tokens")


@dataclass
class Dialect:
    refused: set[str] = field(default_factory=set)  # parameters that it doesn't take
    renamed: dict[str, str] = field(default_factory=dict)
    alternates: bool = False
    no_system: bool = False
    _thinking: int = 0

    @property
    def described(self) -> str:
        """What it refuses, as a sentence for the operator; empty where that is nothing."""
        told = [name for name in OPTIONAL if name in self.refused]
        if self.alternates:
            told.append("roles that don't alternate")
        if self.no_system:
            told.append("system messages")
        return f"It refuses {', '.join(told)}." if told else ""

    def apply(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters as this server takes them."""
        taken = {
            self.renamed.get(name, name): value for name, value in params.items() if name not in self.refused
        }
        if "tools" in self.refused:
            taken.pop("tool_choice", None)
            taken["messages"] = [_in_words(message) for message in taken["messages"]]
        if self.no_system:
            taken["messages"] = without_system(taken["messages"])
        if self.alternates:
            taken["messages"] = alternating(taken["messages"])
        if off := THINKING_OFF[self._thinking]:
            taken["extra_body"] = {**off, **(taken.get("extra_body") or {})}
        return taken

    def learn(self, refusal: str, params: Mapping[str, Any]) -> bool:
        """Change what the refusal of `params`, before `apply`, speaks of, or what is refused most often.

        Returns whether asking again makes sense.
        """
        said = refusal.lower()
        if _TOO_LONG.search(said):
            return False
        if ("system" in said and "role" in said and "alternat" not in said) and not self.no_system:
            self.no_system = True
            return True
        if ("alternat" in said or "roles must" in said or "first message" in said) and not self.alternates:
            self.alternates = True
            return True
        if any(name in said for off in THINKING_OFF for name in off) and self._more_thinking():
            return True
        if "max_tokens" in said and "max_tokens" in params and self._rename_max_tokens():
            return True
        named = [name for name in OPTIONAL if name in said or (name == "tools" and "tool" in said)]
        for name in named:
            if self._refuse(name, params):
                return True
        if named:
            return False
        return self._guess(params)

    def _guess(self, params: Mapping[str, Any]) -> bool:
        """The refusal doesn't say what of."""
        if self._more_thinking(to=len(THINKING_OFF) - 1):
            return True
        if not self.alternates:
            self.alternates = True
            return True
        return any(
            self._refuse(name, params)
            for name in ("tools", "response_format", "stream_options", "temperature")
        )

    def _more_thinking(self, to: int | None = None) -> bool:
        if self._thinking == len(THINKING_OFF) - 1:
            return False
        self._thinking = to or self._thinking + 1
        return True

    def _rename_max_tokens(self) -> bool:
        if self.renamed:
            return False
        self.renamed["max_tokens"] = "max_completion_tokens"
        return True

    def _refuse(self, name: str, params: Mapping[str, Any]) -> bool:
        if name in self.refused or name not in params:
            return False
        self.refused.add(name)
        return True


def alternating(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same conversation, in which user and assistant take turns and the user is first.

    What one of them said in several messages becomes one; what an agent says first answers a "Hello.".
    """
    result: list[dict[str, Any]] = []
    for message in messages:
        before = result[-1] if result else None
        if message["role"] == "assistant" and (before is None or before["role"] == "system"):
            result.append(dict(CALL_BEGINS))
            before = result[-1]
        if before and before["role"] == message["role"] and _plain(before) and _plain(message):
            before["content"] = f"{before['content']}\n{message['content']}"
        else:
            result.append(dict(message))
    return result


def without_system(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """System messages as what the user says first, or next."""
    as_user = (
        {**message, "role": "user"} if message["role"] == "system" else dict(message) for message in messages
    )
    return alternating(list(as_user))


def _plain(message: Mapping[str, Any]) -> bool:
    return (
        message["role"] != "tool"
        and not message.get("tool_calls")
        and isinstance(message.get("content"), str)
    )


def _in_words(message: Mapping[str, Any]) -> dict[str, Any]:
    """A tool's call and its result, for a server that knows of no tools."""
    if message["role"] == "tool":
        return {"role": "user", "content": str(message.get("content") or "")}
    return {name: value for name, value in message.items() if name != "tool_calls"} | {
        "content": message.get("content") or ("..." if message.get("tool_calls") else "")
    }
