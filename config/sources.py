"""Where settings come from: defaults < one YAML file < environment < flags.

Every key may be given in every source, with one exception: secrets (`SecretStr`) come from the
environment, or from a file that `<key>_file` names, which may be given anywhere.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource

from config.errors import ConfigError
from config.files import names_a_path, parse_yaml, read_secret, read_yaml
from config.keys import KEYS, NAMED, PREFIX, RENAMED, SECRET_FILES, Key, suggest, variable_of
from config.redaction import without_credentials
from config.settings import Settings

DEFAULT_FILE = Path("offhook.yaml")

# Read by the command line and by the tests; they set nothing in the tree.
OTHER_VARIABLES = frozenset({f"{PREFIX}CONFIG", f"{PREFIX}REQUIRE_PEERS"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Which source gave a key its value."""

    kind: Literal["default", "file", "environment", "flag"]
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.kind

    def of(self, key: str) -> str:
        """The key as this source spells it, for an error message."""
        match self.kind:
            case "file":
                return f"{key} in {self.name}"
            case "environment":
                return variable_of(key)
            case "flag":
                return f"{key}, given as a flag,"
            case "default":
                return key


@dataclass(frozen=True, slots=True)
class Loaded:
    settings: Settings
    origins: Mapping[str, Origin]
    """For every key of the tree, by its dotted name."""
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class _Given:
    key: Key
    value: Any
    origin: Origin


def load(path: Path | None, flags: Mapping[str, object]) -> Loaded:
    """Read all sources and check the whole.

    `path` None takes offhook.yaml in the working directory, if it is there. `flags` go by dotted key;
    None means not given. Raises ConfigError.
    """
    if path is None and DEFAULT_FILE.exists():
        path = DEFAULT_FILE
    given: dict[str, _Given] = {}
    for layer in (_from_file(path) if path else {}, _from_environment(), _from_flags(flags)):
        given |= {name: _over(given.get(name), item) for name, item in layer.items()}
    settings = _validated(given)
    _require_files(settings, given)
    origins = {name: given[name].origin if name in given else Origin("default") for name in KEYS}
    return Loaded(settings, MappingProxyType(origins), path)


def value_of(settings: Settings, key: str) -> Any:
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value


class _Tree(Settings, BaseSettings):  # type: ignore[misc]  # the two type model_config differently
    """Shows the tree to pydantic-settings; never filled."""


class _Environment(EnvSettingsSource):
    """Takes lists as `a, b` and mappings as `a=b, c=d`, besides JSON."""

    def __init__(self) -> None:
        super().__init__(
            _Tree,
            env_prefix=PREFIX,
            env_nested_delimiter="__",
            env_ignore_empty=True,
            env_parse_none_str="null",
        )

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        if Key(field_name, field).items is not None:
            return _structured(value)
        return _pairs(value) if get_origin(field.annotation) is dict else _split(value)


def _from_file(path: Path) -> dict[str, _Given]:
    origin = Origin("file", path.name)
    return _layer(_leaves(read_yaml(path, "The settings file"), origin), origin)


def _from_environment() -> dict[str, _Given]:
    known = {key.variable: name for name, key in KEYS.items()}
    known |= {variable_of(name): name for name in SECRET_FILES}
    renamed = {variable_of(old): variable_of(new) for old, new in RENAMED.items()}
    for variable in map(str.upper, os.environ):
        of_one = any(variable.startswith(f"{KEYS[name].variable}__") for name in NAMED)
        if variable.startswith(PREFIX) and not (of_one or variable in known or variable in OTHER_VARIABLES):
            near = difflib.get_close_matches(variable, known, n=1, cutoff=0.75)
            hint = f"did you mean {near[0]}?" if near else "'offhook config show' lists what can be set."
            hint = f"it is {renamed[variable]} now." if variable in renamed else hint
            raise ConfigError(f"The environment variable {variable} is not a setting; {hint}")
    origin = Origin("environment")
    return _layer(_leaves(_Environment()(), origin), origin)


def _from_flags(flags: Mapping[str, object]) -> dict[str, _Given]:
    origin = Origin("flag")
    leaves: list[tuple[str, Any]] = []
    for name, value in flags.items():
        if value is None:
            continue
        if name not in KEYS and name not in SECRET_FILES:
            raise ConfigError(f"{origin.of(name)} is not a setting; {suggest(name)}")
        leaves.append((name, None if value == "null" else value))
    return _layer(leaves, origin)


def _leaves(tree: Mapping[str, Any], origin: Origin, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for part, value in tree.items():
        name = f"{prefix}{part}"
        if name in KEYS or name in SECRET_FILES:
            yield name, value
        elif not any(key.startswith(f"{name}.") for key in KEYS):
            raise ConfigError(f"{origin.of(name)} is not a setting; {suggest(name)}")
        elif isinstance(value, Mapping):
            yield from _leaves(value, origin, f"{name}.")
        elif value is not None:
            raise ConfigError(f"{origin.of(name)} is {_shown(value)}; it must hold keys with values.")


def _layer(leaves: Iterable[tuple[str, Any]], origin: Origin) -> dict[str, _Given]:
    layer: dict[str, _Given] = {}
    for name, value in leaves:
        here = replace(origin, name=variable_of(name)) if origin.kind == "environment" else origin
        key = SECRET_FILES.get(name) or KEYS[name]
        if key.name in layer:
            raise ConfigError(
                f"{here.of(name)} and {here.of(layer[key.name].key.name)} set the same; give one."
            )
        if name in SECRET_FILES:
            if value is None:
                continue
            if not isinstance(value, str | Path):
                raise ConfigError(f"{here.of(name)} is {_shown(value)}; it must be the path of a file.")
            value = read_secret(Path(value), key.name)
        elif key.secret and value is not None and origin.kind != "environment":
            raise ConfigError(
                f"{here.of(name)} is a secret, which may not stand there; "
                f"set {key.variable}, or name a file that holds it with {key.file_key}."
            )
        elif key.items is not None:
            value = _structured(value)
            if key.is_mapping and isinstance(value, Mapping):
                value = {one: _with_secrets(item, key.items, key, here) for one, item in value.items()}
            elif isinstance(value, list):
                value = [_with_secrets(item, key.items, key, here) for item in value]
        elif key.is_list:
            value = _split(value)
        elif key.is_mapping:
            value = _pairs(value)
        layer[key.name] = _Given(key, value, here)
    return layer


def _split(value: Any) -> Any:
    """A list from `a, b` or `["a", "b"]`."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        with suppress(ValueError):
            return json.loads(value)
    return [item.strip() for item in value.split(",") if item.strip()]


def _structured(value: Any) -> Any:
    """Mappings, in a list or by name, as YAML or JSON has them; other text as it is, to be refused."""
    if isinstance(value, str):
        with suppress(yaml.YAMLError):
            return parse_yaml(value)
    return value


def _with_secrets(item: Any, kind: type[BaseModel], key: Key, origin: Origin) -> Any:
    """One mapping with the secrets that it names files for. They may stand in the environment alone."""
    if not isinstance(item, Mapping):
        return item
    result = dict(item)
    for name in (name for name, field in kind.model_fields.items() if Key(name, field).secret):
        if result.get(name) is not None and origin.kind != "environment":
            raise ConfigError(
                f"{origin.of(key.name)} has the secret {name}, which may not stand there; "
                f"name a file that holds it with {name}_file."
            )
        if (file := result.pop(f"{name}_file", None)) is not None:
            result[name] = read_secret(Path(str(file)), f"{key.name}.{name}")
    return result


def _over(lower: _Given | None, upper: _Given) -> _Given:
    """What a higher source gives, which of a mapping by names adds to each name what it tells of it."""
    if lower is None or upper.key.name not in NAMED:
        return upper
    if not isinstance(lower.value, Mapping) or not isinstance(upper.value, Mapping):
        return upper
    merged = dict(lower.value)
    for name, item in upper.value.items():
        both = isinstance(item, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = {**merged[name], **item} if both else item
    return replace(upper, value=merged)


def _pairs(value: Any) -> Any:
    """A mapping from `a=b, c=d` or `{"a": "b", "c": "d"}`; other text as it is, to be refused."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        with suppress(ValueError):
            return json.loads(value)
    pairs = [item.partition("=") for item in _split(value)]
    if not all(equals for _, equals, _ in pairs):
        return value
    return {name.strip(): item.strip() for name, _, item in pairs}


def _validated(given: Mapping[str, _Given]) -> Settings:
    tree: dict[str, Any] = {}
    for name, item in given.items():
        *sections, leaf = name.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[leaf] = item.value
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        # No cause: pydantic's own message would show a secret that was refused.
        raise ConfigError(_sentence(error.errors(include_url=False)[0], given)) from None


def _sentence(error: ErrorDetails, given: Mapping[str, _Given]) -> str:
    """What is wrong, in words that name the key, what was given, and what is allowed."""
    location = [str(part) for part in error["loc"]]
    name = next((name for n in range(len(location), 0, -1) if (name := ".".join(location[:n])) in KEYS), None)
    # Our own validators say what is allowed, as the end of "it must be".
    ours = error.get("ctx", {}).get("error") if error["type"] == "value_error" else None
    if name is None:
        return str(ours or error["msg"])
    item = given[name]
    allowed = str(ours) if ours else item.key.allowed()
    fields = item.key.items.model_fields if item.key.items else {}
    secret = any(Key("", fields[part]).hides for part in location if part in fields)
    # What isn't known may be a password by another name, or one without its name.
    unknown = error["type"] in ("extra_forbidden", "model_type")
    given_as, where = item.origin.of(name), _within(item.key, location[name.count(".") + 1 :], error)
    if where and error["type"] == "missing":
        return f"{given_as} lacks {where}; it must be {allowed}."
    if item.key.secret or secret or unknown or (where and isinstance(error["input"], Mapping)):
        return f"{given_as} can't be used{where and f', because of {where}'}; it must be {allowed}."
    if where:
        field = fields.get(where.rpartition(".")[2])
        allowed = Key(where, field).allowed() if field and not ours else allowed
        return f"{given_as} has {_shown(error['input'])} for {where}; it must be {allowed}."
    return f"{given_as} is {_shown(error['input'])}; it must be {allowed}."


def _within(key: Key, parts: list[str], error: ErrorDetails) -> str:
    """Where in a key's mappings it is wrong: desk.transport. What has no value may be a password itself."""
    if (
        key.items is None
        or "[key]" in parts
        or (error["type"] == "extra_forbidden" and error["input"] is None)
    ):
        return ""
    return ".".join(parts)


def _shown(value: object) -> str:
    match value:
        case None:
            return "null"
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return f"a list of {len(value)}"
        case _:
            text = without_credentials(str(value))
            return f"'{text if len(text) <= 60 else text[:57] + '...'}'"


def _require_files(settings: Settings, given: Mapping[str, _Given]) -> None:
    for name in _FILES:
        path = value_of(settings, name)
        if path is not None and not path.is_file():
            raise ConfigError(f"{given[name].origin.of(name)} is '{path}'; there is no such file.")
    for name, allowed in _MODELS.items():
        value = value_of(settings, name)
        if value is not None and names_a_path(value) and not Path(value).expanduser().exists():
            raise ConfigError(
                f"{given[name].origin.of(name)} is '{value}', which isn't there; it must be {allowed}."
            )


_FILES = (
    *("http.tls_cert", "http.tls_key"),
    *("sip.tls_cert", "sip.tls_key", "sip.tls_ca", "sip.tls_client_ca"),
)
_MODELS = {
    "stt.model": "the folder of a CTranslate2 Whisper model, or a model's name, such as base or small",
    "tts.voice": "the .onnx file of a Piper voice, or a voice's name, such as en_US-joe-medium or ff_siwis",
}
