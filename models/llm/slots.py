"""A tool's arguments: the model copies the caller's own words, and these are read here.

Pure: what it says depends on its arguments alone. What the caller didn't say, or what can't be read for
certain, is left out, so that the agent can ask for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, time
from typing import Any

from models.llm import spoken
from models.llm.spoken_words import LANGUAGES

Schema = Mapping[str, Any]

LONGEST_WORDS = 60  # characters of a day, a time or a number
LONGEST_TEXT = 240
PHONES = ("phone", "tel", "telephone")


def copies(parameters: Schema) -> dict[str, Any]:
    """The schema that the model fills: each argument in the caller's words, or null."""
    properties: dict[str, Any] = parameters.get("properties", {})
    return {
        "type": "object",
        "properties": {
            name: {
                "anyOf": [{"type": "string", "minLength": 1, "maxLength": _longest(one)}, {"type": "null"}]
            }
            for name, one in properties.items()
        },
        "required": list(properties),
        "additionalProperties": False,
    }


def arguments(
    copied: Mapping[str, Any], parameters: Schema, *, language: str, now: datetime, heard: str
) -> dict[str, Any]:
    """What of the `copied` words was `heard` from the caller and can be read, by the arguments' names."""
    values = {
        name: read(copied.get(name), schema, language, now, heard=heard)
        for name, schema in parameters.get("properties", {}).items()
    }
    return {name: value for name, value in values.items() if value is not None}


def missing(values: Mapping[str, Any], parameters: Schema) -> list[str]:
    """The required arguments that aren't there."""
    return [name for name in parameters.get("required", ()) if name not in values]


def read(value: Any, schema: Schema, language: str, now: datetime, *, heard: str) -> Any:
    """The value that the words `value` have under `schema`; None if the caller didn't say them.

    `format` date, time and date-time give ISO 8601 without a zone, phone gives digits; `formatMinimum` and
    `formatMaximum` tell which eight o'clock is meant. Languages that aren't read take only what is digits.
    """
    if not isinstance(value, str) or not said(value, heard):
        return None
    known = language.partition("-")[0]
    known = known if known in LANGUAGES else "en"
    kind, form = _type(schema), schema.get("format")
    if "enum" in schema:
        options = {spoken.plain(str(option)): option for option in schema["enum"]}
        return options.get(spoken.plain(value))
    if form in ("date", "time", "date-time"):
        return _moment(value, form, schema, known, now, heard)
    if form in PHONES:
        return spoken.digits(value, known)
    if kind in ("integer", "number"):
        number = spoken.number(value, known)
        return None if number is None else _number(number, kind, schema)
    if kind != "string":
        return None
    text = value.strip()[: schema.get("maxLength", LONGEST_TEXT)]
    if "pattern" in schema and not re.search(schema["pattern"], text):
        text = spoken.digits(value, known) or ""
        return text if re.search(schema["pattern"], text) else None
    return text or None


def said(value: str, heard: str) -> bool:
    """Whether the words of `value` are among those `heard`; of a long text a few may be others."""
    words, theirs = spoken.plain(value).split(), set(spoken.plain(heard[-spoken.LONGEST :]).split())
    own = sum(word in theirs for word in words)
    return bool(words) and own >= (len(words) if len(words) < 5 else 0.75 * len(words))


def _moment(value: str, form: str, schema: Schema, language: str, now: datetime, heard: str) -> str | None:
    on = spoken.day(value, language, now.date()) if form != "time" else None
    if form == "date":
        return None if on is None else on.isoformat()
    within = (
        _limit(schema, "formatMinimum", spoken.WAKING[0]),
        _limit(schema, "formatMaximum", spoken.WAKING[1]),
    )
    at = spoken.clock(value, language, now, heard=heard, within=within)
    if at is None:
        return None
    if form == "time":
        return at.isoformat("minutes")
    return None if on is None else datetime.combine(on, at).isoformat(timespec="minutes")


def _limit(schema: Schema, key: str, default: time) -> time:
    try:
        return time.fromisoformat(str(schema[key])) if key in schema else default
    except ValueError:
        return default


def _number(number: float, kind: str, schema: Schema) -> int | float | None:
    if not schema.get("minimum", number) <= number <= schema.get("maximum", number):
        return None
    if kind == "number":
        return number
    return int(number) if number.is_integer() else None


def _type(schema: Schema) -> str:
    kind = schema.get("type", "string")
    return kind if isinstance(kind, str) else next((one for one in kind if one != "null"), "string")


def _longest(schema: Schema) -> int:
    plain = _type(schema) == "string" and "format" not in schema
    return min(LONGEST_TEXT, schema.get("maxLength", LONGEST_TEXT)) if plain else LONGEST_WORDS
