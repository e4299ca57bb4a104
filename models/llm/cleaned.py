"""A server's stream of chunks, whatever their shape, as an answer: clean text, then whole calls of tools."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import Any

from openai.types.chat import ChatCompletionChunk

from models.llm.chunks import completion_chunk
from models.llm.clean import Cleaner

THINKING = "thinking"
# Where servers put thoughts that they know for such.
THOUGHT_FIELDS = ("reasoning", "reasoning_content", "thinking", "thoughts")


async def cleaned(
    chunks: AsyncGenerator[ChatCompletionChunk, None], cleaner: Cleaner, tools: Collection[str]
) -> AsyncGenerator[ChatCompletionChunk, None]:
    """The chunks with nothing in them but what is said and done.

    Those with the id THINKING say that the model works on it, and nothing more. Calls of tools come whole,
    once the model has written all; of others than `tools` none.
    """
    made: dict[int, dict[str, str]] = {}
    reason, usage, model = "stop", None, ""
    async with aclosing(chunks):
        async for chunk in chunks:
            usage, model = chunk.usage or usage, chunk.model or model
            choice = chunk.choices[0] if chunk.choices else None
            if (
                choice is None or choice.index
            ):  # usage alone, keep-alive; one answer is all that was asked for
                continue
            reason = choice.finish_reason or reason
            delta = choice.delta
            if delta is None:
                continue
            if delta.tool_calls:
                _gather(delta.tool_calls, made)
            thinks = bool(delta.tool_calls) or any(getattr(delta, field, None) for field in THOUGHT_FIELDS)
            written = _text(delta.content)
            if said := cleaner.take(written):
                yield completion_chunk(chunk.id or "answer", model, {"content": said})
            elif thinks or (written and cleaner.thinking):
                yield completion_chunk(THINKING, model, {})
            if cleaner.ended:
                break
    if said := cleaner.finish():
        yield completion_chunk("answer", model, {"content": said})
    calls = [call for call in map(_call, made.values()) if call is not None]
    calls += [(call.name, call.arguments) for call in cleaner.calls]
    for index, (name, arguments) in enumerate(call for call in calls if call[0] in tools):
        function = {"name": name, "arguments": arguments}
        call = {
            "index": index,
            "id": f"call_{secrets.token_hex(8)}",
            "type": "function",
            "function": function,
        }
        yield completion_chunk("answer", model, {"tool_calls": [call]})
    last = completion_chunk("answer", model, {}, finish_reason="length" if reason == "length" else "stop")
    last.usage = usage
    yield last


def _text(content: Any) -> str:
    """Of one string, of a list of parts as Mistral's reasoning models have it, or of nothing."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part for part in content if isinstance(part, dict) and part.get("type", "text") == "text")
        return "".join(str(part.get("text") or "") for part in parts)
    return ""


def _gather(deltas: Any, made: dict[int, dict[str, str]]) -> None:
    """Put the pieces of calls together. Some servers give every call the same index, but a name only once."""
    for position, delta in enumerate(deltas):
        index = delta.index if delta.index is not None else position
        name = (delta.function.name if delta.function else None) or ""
        if name and index in made and made[index]["name"] and _whole(made[index]["arguments"]):
            index = max(made) + 1
        elif not name and index in made:
            index = max(one for one in made if one >= index)
        call = made.setdefault(index, {"name": "", "arguments": ""})
        call["name"] += name
        call["arguments"] += (delta.function.arguments if delta.function else None) or ""


def _whole(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments or "{}"), dict)
    except ValueError:
        return False


def _call(made: dict[str, str]) -> tuple[str, str] | None:
    """None where its arguments aren't what they must be."""
    arguments = made["arguments"].strip()
    if arguments in ("", "null"):
        arguments = "{}"
    return (made["name"].strip(), arguments) if _whole(arguments) else None
