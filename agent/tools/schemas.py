"""JSON schemas of arguments, as models are shown them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from string import Formatter
from typing import Any, NoReturn

import jsonschema_rs

from agent.tools.tool import Arguments, WrongArguments

MOST_NODES = 10_000
_VALUES = ("const", "default", "enum", "examples")  # are no schemas, whatever they look like


def plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without references, titles, and null where a value may be left out.

    Small models, and those that read arguments off the caller's words, know only such. What refers to itself
    has but its type from there on. Raises ValueError where it is no schema, or references make it too large:
    a few of them can name each other to any size.
    """
    definitions, nodes = schema.get("$defs", {}), count(1)

    def resolved(node: Any, within: frozenset[str]) -> Any:
        if next(nodes) > MOST_NODES:
            raise ValueError(f"its schema has more than {MOST_NODES} parts")
        if isinstance(node, list):
            return [resolved(one, within) for one in node]
        if not isinstance(node, Mapping):
            return node
        name = str(node.get("$ref", "")).removeprefix("#/$defs/")
        if name in within:
            return {key: one for key, one in definitions[name].items() if key in ("type", "description")}
        if name in definitions:
            rest = {key: one for key, one in node.items() if key != "$ref"}
            return resolved({**definitions[name], **rest}, within | {name})
        options = [one for one in node.get("anyOf", ()) if one != {"type": "null"}]
        if len(options) == 1:
            rest = {key: one for key, one in node.items() if key not in ("anyOf", "default")}
            return resolved({**options[0], **rest}, within)
        return {
            key: {one: resolved(about, within) for one, about in value.items()}
            if key == "properties"
            else value
            if key in _VALUES
            else resolved(value, within)
            for key, value in node.items()
            if key not in ("title", "$defs")
        }

    try:
        found: dict[str, Any] = resolved(schema, frozenset())
    except (AttributeError, TypeError):  # something in it isn't of the type that it has in a schema
        raise ValueError("its schema is none") from None
    return found


def require_arguments(template: str, schema: Mapping[str, Any]) -> None:
    """Raises ValueError where a template has something in braces that is no argument's name."""
    for _, name, specification, conversion in Formatter().parse(template):
        if specification or conversion:
            raise ValueError(f"'{template}' may have only names in its braces")
        if name is not None and name not in schema.get("properties", {}):
            raise ValueError(f"{{{name}}} in '{template}' is none of its arguments")


def checks(schema: Mapping[str, Any]) -> Callable[[Arguments], Arguments]:
    """What raises WrongArguments where arguments don't fit the schema. Raises ValueError where it is none."""
    try:
        # Masked, since what is told of them is kept, and they may be secret.
        validator = jsonschema_rs.validator_for(
            {"additionalProperties": False, **schema}, mask="it", retriever=_not_fetched
        )
    except jsonschema_rs.ValidationError as error:
        raise ValueError(f"its schema is none: {error.message}") from None

    def check(arguments: Arguments) -> Arguments:
        wrong = [
            f"{'.'.join(map(str, error.instance_path)) or 'all'}: {error.message}"
            for error in validator.iter_errors(dict(arguments))
        ]
        if wrong:
            raise WrongArguments("; ".join(wrong))
        return dict(arguments)

    return check


def _not_fetched(_: str) -> NoReturn:
    """A stranger's schema may refer to any address, or to a file."""
    raise ValueError("nothing is fetched for it")
