"""A model's answer in the one shape that the calls understand: OpenAI's."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from openai.types.chat import ChatCompletionChunk


def completion_chunk(
    id: str,
    model: str,
    delta: Mapping[str, Any],
    *,
    finish_reason: str | None = None,
    tokens: tuple[int, int] | None = None,
    cached: int | None = None,
) -> ChatCompletionChunk:
    """`tokens`: how many were read and how many written, told with an answer's last chunk.

    `cached`: how many of those read were known from before, and so not evaluated.
    """
    usage: dict[str, Any] | None = None
    if tokens is not None:
        read, written = tokens
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        if cached is not None:
            usage["prompt_tokens_details"] = {"cached_tokens": cached}
    return ChatCompletionChunk.model_validate(
        {
            "id": id,
            "created": 0,
            "object": "chat.completion.chunk",
            "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
            "usage": usage,
        }
    )


def tool_call(name: str, arguments: Mapping[str, Any], *, index: int = 0) -> dict[str, Any]:
    """A whole call of a tool, for the `tool_calls` of a delta."""
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"index": index, "id": f"call_{secrets.token_hex(8)}", "type": "function", "function": function}
