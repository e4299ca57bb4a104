"""Every key of the settings tree by its dotted name, and what it allows."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from config.settings import Settings

PREFIX = "OFFHOOK_"


@dataclass(frozen=True, slots=True)
class Key:
    name: str
    """Dotted, as in `sip.port`."""
    field: FieldInfo

    @property
    def variable(self) -> str:
        return variable_of(self.name)

    @property
    def secret(self) -> bool:
        return SecretStr in _members(self.field.annotation)

    @property
    def hides(self) -> bool:
        """Whether it is a secret, or a mapping of names to such."""
        return self.secret or SecretStr in get_args(self.field.annotation)

    @property
    def file_key(self) -> str:
        """The key that names a file holding this secret."""
        return f"{self.name}_file"

    @property
    def is_list(self) -> bool:
        return any(get_origin(member) is tuple for member in _members(self.field.annotation))

    @property
    def items(self) -> type[BaseModel] | None:
        """What a list of mappings, or a mapping of names to them, holds; None where it is neither."""
        kinds = [
            get_args(one)[0 if get_origin(one) is tuple else 1]
            for one in _members(self.field.annotation)
            if get_origin(one) in (tuple, dict)
        ]
        kind = kinds[0] if kinds else None
        return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None

    @property
    def is_mapping(self) -> bool:
        return get_origin(self.field.annotation) is dict

    def allowed(self) -> str:
        """What the key takes, to follow "must be"."""
        return _allowed(self.field.annotation, self.field.metadata)


def variable_of(name: str) -> str:
    return PREFIX + name.replace(".", "__").upper()


RENAMED = {
    "turn.min_silence_ms": "turn.sure_silence_ms",
    "turn.max_silence_ms": "turn.hanging_silence_ms",
}


def suggest(name: str) -> str:
    """What to say of a key that isn't there: its new name, the nearest one, or what its section has."""
    if name in RENAMED:
        return f"it is {RENAMED[name]} now."
    known = [*KEYS, *SECRET_FILES]
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.75)
    if not near:
        last = name.rpartition(".")[2]
        near = [key for key in known if key.rpartition(".")[2] == last][:1]
    if near:
        return f"did you mean {near[0]}?"
    section = name.partition(".")[0]
    inside = [key for key in KEYS if key.startswith(f"{section}.")]
    if inside:
        return f"{section} has {_list(inside, 'and')}."
    tops = dict.fromkeys(key.partition(".")[0] for key in KEYS)
    return f"the top level has {_list(list(tops), 'and')}."


def _walk(model: type[BaseModel], prefix: str = "") -> Iterator[Key]:
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from _walk(section, f"{prefix}{name}.")
        else:
            yield Key(prefix + name, field)


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _list(words: list[str], last: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def _range(metadata: list[Any]) -> str:
    low = next((m.ge for m in metadata if hasattr(m, "ge")), None)
    high = next((m.le for m in metadata if hasattr(m, "le")), None)
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}" if isinstance(low, float) else f" from {low} to {high}"
    if low is not None:
        return f", at least {low}"
    return f", at most {high}" if high is not None else ""


def _length(metadata: list[Any]) -> str:
    least = next((m.min_length for m in metadata if hasattr(m, "min_length")), 0)
    most = next((m.max_length for m in metadata if hasattr(m, "max_length")), None)
    return f" of at least {least}" if least else f" of at most {most}" if most else ""


def _allowed(annotation: Any, metadata: list[Any]) -> str:
    origin, members = get_origin(annotation), _members(annotation)
    if origin is Annotated:
        inner, *extras = get_args(annotation)
        return _allowed(inner, [m for e in extras for m in (e.metadata if isinstance(e, FieldInfo) else [e])])
    if len(members) > 1:
        rest = [member for member in members if member is not type(None)]
        null = ["null"] if len(rest) < len(members) else []
        return " or ".join([*(_allowed(member, metadata) for member in rest), *null])
    if origin is Literal:
        words = [str(word) for word in get_args(annotation)]
        return words[0] if len(words) == 1 else f"one of {_list(words, 'or')}"
    if origin is tuple:
        items = get_args(annotation)
        if items[-1] is not Ellipsis:
            return f"a list of {len(items)}, each {_allowed(items[0], [])}"
        return f"a list{_length(metadata)}, each {_allowed(items[0], [])}"
    if origin is dict:
        name, value = (_allowed(kind, []) for kind in get_args(annotation))
        return f"a mapping{_length(metadata)}, each {name} to {value}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = (
            f"{name}_file" if SecretStr in _members(field.annotation) else name
            for name, field in annotation.model_fields.items()
        )
        return f"a mapping with {_list(list(fields), 'and')}"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
    return names.get(annotation, "text") + _range(metadata)


KEYS: Mapping[str, Key] = types.MappingProxyType({key.name: key for key in _walk(Settings)})
SECRET_FILES: Mapping[str, Key] = types.MappingProxyType(
    {key.file_key: key for key in KEYS.values() if key.secret}
)
NAMED = frozenset(key.name for key in KEYS.values() if key.is_mapping and key.items)
"""Mappings by names of mappings, to each of which several sources may give parts."""
