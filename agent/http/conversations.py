"""Text conversations in memory, bounded in number, age and length. No I/O, no clock."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal

from openai.types.chat import ChatCompletionMessageParam


@dataclass
class Conversation:
    id: str
    messages: list[ChatCompletionMessageParam] = field(default_factory=list)
    used_at: float = 0.0
    answering: bool = False


class Conversations:
    """The least recently used one goes first; an idle one goes after `ttl_s`."""

    def __init__(self, *, limit: int, ttl_s: float, history_chars: int) -> None:
        self._limit = limit
        self._ttl_s = ttl_s
        self._history_chars = history_chars
        self._by_id: OrderedDict[str, Conversation] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_id)

    def open(self, id: str | None, now: float) -> Conversation:
        """The conversation with this id, a new one if there is none; None makes up an id."""
        while self._by_id:
            oldest = next(iter(self._by_id.values()))
            if now - oldest.used_at <= self._ttl_s and len(self._by_id) <= self._limit:
                break
            del self._by_id[oldest.id]
        id = id or secrets.token_urlsafe(12)
        conversation = self._by_id.setdefault(id, Conversation(id))
        conversation.used_at = now
        self._by_id.move_to_end(id)
        if len(self._by_id) > self._limit:
            self._by_id.popitem(last=False)
        return conversation

    def add(self, conversation: Conversation, role: Literal["user", "assistant"], text: str) -> None:
        """Append what was said, and forget the beginning of what has become too long to send."""
        message: ChatCompletionMessageParam = (
            {"role": "user", "content": text} if role == "user" else {"role": "assistant", "content": text}
        )
        conversation.messages.append(message)
        sizes = [len(str(entry.get("content"))) for entry in conversation.messages]
        while len(sizes) > 1 and sum(sizes) > self._history_chars:
            del conversation.messages[0], sizes[0]
