"""A tool's arguments: the model copies the caller's own words, and these are read here.

Pure: what it says depends on its arguments alone. What the caller didn't say, or what can't be read for
certain, is left out, so that the agent can ask for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, time
from typing import Any

from models.llm import spoken
from models.llm.spoken_words import LANGUAGES

Schema = Mapping[str, Any]

LONGEST_WORDS = 60  # characters of a day, a time or a number
LONGEST_TEXT = 240
ANSWER_WORDS = 3  # of a turn that only answers what was asked
LONG_WORDS = 5  # of what is told in slightly other words
RETOLD_WORDS = 3  # of a text, as a message is, which may be told in other words than the caller's
PHONES = ("phone", "tel", "telephone")
# What a text is by its name, where the tool gives it no format.
NAMED = {
    "time": re.compile(r"(?:^|_)(?:time|hour|heure|hora|ora|orario)$"),
    "date": re.compile(r"(?:^|_)(?:date|day|jour|fecha|dia|data|giorno)$"),
}


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


def typed(parameters: Schema) -> dict[str, Any]:
    """The schema with a format for each text that is named after a time or a date and has none."""
    properties: dict[str, Any] = {}
    for name, one in parameters.get("properties", {}).items():
        named = (form for form, pattern in NAMED.items() if pattern.search(name.lower()))
        form = next(named, None) if _is_free(one) else None
        properties[name] = one if form is None else {**one, "format": form}
    return {**parameters, "properties": properties}


def arguments(
    copied: Mapping[str, Any], parameters: Schema, turns: Sequence[str], *, language: str, now: datetime
) -> dict[str, Any]:
    """What of the `copied` words is in the caller's `turns` and can be read, by the arguments' names."""
    heard = " ".join(turns)
    values = {}
    for name, schema in parameters.get("properties", {}).items():
        words = copied.get(name)
        hour = isinstance(words, str) and _kind(schema) == "time"
        if hour and not _stands_alone(str(words), turns, language):
            continue
        value = read(words, schema, language, now, heard=heard)
        if value is not None:
            values[name] = value
    return values


def _stands_alone(words: str, turns: Sequence[str], language: str) -> bool:
    """Whether `words`, if they are only a number, can be an hour: not those of "for two tonight, please"."""
    if not spoken.bare(words, _known(language)):
        return True
    return any(words in turn and len(turn.split()) <= ANSWER_WORDS for turn in turns)


def without(parameters: Schema, values: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without the arguments that have a value."""
    properties = parameters.get("properties", {})
    return {"properties": {name: one for name, one in properties.items() if name not in values}}


def spotted(parameters: Schema, turns: Sequence[str], *, language: str, now: datetime) -> dict[str, Any]:
    """What can be read off the caller's `turns` without a model, the latest first.

    Only arguments that are alone in what they are: of two dates, code doesn't know which is which.
    """
    known = _known(language)
    by_kind: dict[str, list[str]] = {}
    for name, schema in parameters.get("properties", {}).items():
        if kind := _kind(schema):
            by_kind.setdefault(kind, []).append(name)
    several = len(by_kind) > 1
    values = {}
    for kind, names in by_kind.items():
        if len(names) > 1 or (kind == "date-time" and several):
            continue
        schema = parameters["properties"][names[0]]
        for turn in reversed(turns):
            if several and spoken.bare(turn, known):
                break  # an hour, or how many people: the model sees what was asked
            words = spoken.without_moments(turn, known) if kind in ("number", "phone") else turn
            value = read(words, schema, language, now, heard=f"{' '.join(turns)} {words}")
            if value is not None:
                values[names[0]] = value
            if value is not None or (kind == "date" and spoken.names_day(turn, known, now.date())):
                break
    return values


def _kind(schema: Schema) -> str:
    """What code can read of it; empty for what only the model can tell from the rest."""
    if "enum" in schema:
        return ""
    if schema.get("format") in ("date", "time", "date-time"):
        return str(schema["format"])
    if schema.get("format") in PHONES:
        return "phone"
    return "number" if _type(schema) in ("integer", "number") else ""


def missing(values: Mapping[str, Any], parameters: Schema) -> list[str]:
    """The required arguments that aren't there."""
    return [name for name in parameters.get("required", ()) if name not in values]


def read(value: Any, schema: Schema, language: str, now: datetime, *, heard: str) -> Any:
    """The value that the words `value` have under `schema`; None if the caller didn't say them.

    `format` date, time and date-time give ISO 8601 without a zone, phone gives digits; `formatMinimum` and
    `formatMaximum` tell which eight o'clock is meant. Languages that aren't read take only what is digits.
    """
    known = _known(language)
    if not isinstance(value, str):
        return None
    kind, form = _type(schema), schema.get("format")
    retold = _is_free(schema)
    if retold:
        value = re.sub(r"(?::0+)+$", "", value.strip())  # "at 8:00:00" for "at 8"
    if not said(value, heard, known, retold=retold):
        return None
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


def _known(language: str) -> str:
    code = language.partition("-")[0]
    return code if code in LANGUAGES else "en"


def said(value: str, heard: str, language: str = "en", *, retold: bool = False) -> bool:
    """Whether the words of `value` are among those `heard`; of a long text a few may be others, and of one
    that is `retold` ("I found your keys" for "that I found her keys") somewhat more."""
    if value.strip().isdigit():  # "773" for "seven seven three"
        return value.strip() in "".join(re.findall(r"\d+", spoken.fold(heard[-spoken.LONGEST :], language)))
    words, theirs = _words(value), set(_words(heard))
    own = sum(word in theirs for word in words)
    if retold and len(words) >= RETOLD_WORDS:
        return own >= 0.6 * len(words)
    return bool(words) and own >= (len(words) if len(words) < LONG_WORDS else 0.75 * len(words))


def _words(text: str) -> list[str]:
    return re.sub(r"'s\b", "", spoken.plain(text)).split()


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


def _is_free(schema: Schema) -> bool:
    """Whether it is a text in which anything may stand."""
    return _type(schema) == "string" and not schema.keys() & {"format", "enum", "pattern"}


def _type(schema: Schema) -> str:
    kind = schema.get("type", "string")
    return kind if isinstance(kind, str) else next((one for one in kind if one != "null"), "string")


def _longest(schema: Schema) -> int:
    plain = _type(schema) == "string" and "format" not in schema
    return min(LONGEST_TEXT, schema.get("maxLength", LONGEST_TEXT)) if plain else LONGEST_WORDS
