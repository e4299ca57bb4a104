"""Reads YAML so that text stays text, and reads secrets from files."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from config.errors import ConfigError


class _Loader(yaml.BaseLoader):
    """Every scalar is text, except null: the settings' types decide what it means.

    YAML 1.1 reads the extension 0100 as the number 64, the language `no` as false and 22:30 as 1350.
    A key given twice is an error, where YAML would take the last.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be text; what has braces must be quoted", key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} is given twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_NULL = "tag:yaml.org,2002:null"


def _null(loader: _Loader, node: yaml.ScalarNode) -> None:
    return None


_Loader.add_constructor(_NULL, _null)
_Loader.add_implicit_resolver(_NULL, re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])


def names_a_path(text: str) -> bool:
    """Whether a model is named by its place. `owner/name` is a hub's name."""
    return text.startswith(("/", "./", "../", "~")) or text.endswith(".onnx")


def parse_yaml(text: str) -> Any:
    """What it holds; leaves are text or None. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_Loader)


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """The file's mapping; leaves are text, None or lists of those. `what` names the file in errors."""
    try:
        content = parse_yaml(read_text(path, what))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{what} {path}{where} isn't YAML: {error.problem or error.context}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{what} {path} isn't YAML: {' '.join(str(error).split())}.") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{what} {path} must hold keys with values, as in 'sip:', not {_kind(content)}.")
    return content


def read_secret(path: Path, key: str) -> str:
    secret = read_text(path, f"The {key} file").strip()
    if not secret:
        raise ConfigError(f"The {key} file {path} is empty; it must hold the secret.")
    return secret


def read_text(path: Path, what: str) -> str:
    path = path.expanduser()
    try:
        return path.read_text(encoding="utf-8-sig")  # as Windows begins it, or plain
    except FileNotFoundError:
        raise ConfigError(f"{what} {path} doesn't exist.") from None
    except IsADirectoryError:
        raise ConfigError(f"{what} {path} is a folder, not a file.") from None
    except OSError as error:
        raise ConfigError(f"{what} {path} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what} {path} isn't UTF-8 text.") from error


def _kind(content: object) -> str:
    return "a list" if isinstance(content, list) else "a single value"
