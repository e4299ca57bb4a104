"""Questions about a caller's words that have few answers: asked under a grammar, or a JSON schema.

Pure: what is asked, and what the answers mean. A bundled model goes on with a list of examples, whose
beginning it has read before; another one is given the same list, and answers in JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from models.llm.act_examples import FILLED, REWORDED

DEADLINE_S = 8.0  # as for the choice of a tool
COPY_TOKENS = 120
LONGEST = 120  # characters of what is copied


@dataclass(frozen=True)
class Question:
    """`prefix` is read once and shared, `line` is what is asked, `how` what llama.cpp is to keep to."""

    prefix: str
    line: str
    how: Mapping[str, Any]
    schema: Mapping[str, Any]

    @property
    def params(self) -> dict[str, Any]:
        """The same as an OpenAI chat completion's parameters, without the model."""
        asked = "Go on with the list: answer for its last line, in JSON with these keys: "
        keys = ", ".join(self.schema["properties"])
        return {
            "messages": [
                {"role": "system", "content": f"{self.prefix}\n{asked}{keys}."},
                {"role": "user", "content": self.line},
            ],
            "stream": True,
            "temperature": 0.0,
            "max_tokens": COPY_TOKENS,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": self.schema},
            },
        }


Ask = Callable[[Question], Awaitable[str]]


async def choose(ask: Ask, lesson: str, line: str, options: Sequence[str]) -> str | None:
    """One of the options; None where none comes back. `lesson` shows such lines, with their choices."""
    grammar = "root ::= " + " | ".join(json.dumps(f" {one}") for one in options)
    schema = _object({"choice": {"type": "string", "enum": list(options)}})
    how = {"n_predict": 16, "grammar": grammar}
    said = await ask(Question(lesson, f"{line} ->", how, schema))
    told = _read(said).get("choice", said)
    return next((option for option in options if re.search(rf"\b{re.escape(option)}\b", str(told))), None)


async def copy(ask: Ask, line: str, what: str, fields: Sequence[str]) -> Mapping[str, str]:
    """The words for each of the fields that were named, as they were said."""
    schema = _object({name: {"type": "string", "maxLength": LONGEST} for name in fields})
    how = {"n_predict": COPY_TOKENS, "json_schema": schema}
    said = _read(await ask(Question(FILLED, f"{line} -> {what} ", how, schema)))
    return {name: text for name, text in said.items() if isinstance(text, str) and text.strip()}


async def reword(ask: Ask, line: str, text: str) -> str:
    """The same question as `text`, as it comes behind the call's last turns; "" where nothing comes back."""
    schema = _object({"says": {"type": "string", "maxLength": LONGEST + len(text)}})
    how = {"n_predict": COPY_TOKENS, "json_schema": schema}
    said = _read(await ask(Question(REWORDED, f"{line} Written: {text} -> ", how, schema)))
    words = said.get("says")
    return " ".join(words.split()) if isinstance(words, str) else ""


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _read(text: str) -> dict[str, Any]:
    """The JSON object in a text, however it is wrapped."""
    if (begin := text.find("{")) < 0:
        return {}
    try:
        read = from_json(text[begin : text.rfind("}") + 1 or None], allow_partial="trailing-strings")
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
