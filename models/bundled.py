"""The weights that offhook can fetch by itself, and what each file of theirs must be: data/bundled.toml."""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

Kind = Literal["speech-to-text", "voice", "language model", "embedding"]
Mind = Literal["large", "small", "none"]
"""Which language model answers from the start, besides the one that knows the ends of turns."""


@dataclass(frozen=True, slots=True)
class Package:
    """A distribution on the package index; size and SHA-256 are its wheel's."""

    name: str
    version: str
    size: int
    sha256: str

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True)
class Part:
    """A file inside a package."""

    package: Package
    path: str
    size: int
    sha256: str

    @property
    def member(self) -> str:
        """Where it is in the package's wheel."""
        return f"{self.package.name.replace('-', '_')}/{self.path}"

    def installed(self) -> Path | None:
        """Where it is, if its package is installed. Nothing of the package is imported."""
        spec = importlib.util.find_spec(self.package.name.replace("-", "_"))
        if spec is None or not spec.submodule_search_locations:
            return None
        path = Path(next(iter(spec.submodule_search_locations))) / self.path
        return path if path.is_file() else None


@dataclass(frozen=True, slots=True)
class File:
    """A file of a model. Without parts it is on the hub alone."""

    name: str
    size: int
    sha256: str
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Hub:
    """A repository of Hugging Face's hub, or the address of a folder on the web."""

    repository: str = ""
    revision: str | None = None
    folder: str = ""
    web: str = ""


@dataclass(frozen=True, slots=True)
class Bundled:
    """`files` come from packages; `hub_files` from the hub, most often the same ones. Some are on no hub."""

    name: str
    kind: Kind
    files: tuple[File, ...]
    hub_files: tuple[File, ...]
    hub: Hub
    use: str = ""
    licence: str = ""
    publisher: str = ""
    source: str = ""
    lost: str = ""
    """What it means not to have it."""
    speaks: Mapping[str, Any] = field(default_factory=dict)
    """Of a language model: see `models.llm.resident`."""

    @property
    def title(self) -> str:
        """What its publisher calls it."""
        return self.source.partition(",")[0]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def packages(self) -> tuple[Package, ...]:
        """What holds its files, in the order in which they are joined; none where only the hub has it."""
        return tuple(dict.fromkeys(part.package for file in self.files for part in file.parts))


def _read() -> tuple[Bundled, ...]:
    data = tomllib.loads((files("models") / "data" / "bundled.toml").read_text())
    packages = {name: Package(name, *rest) for name, rest in data["packages"].items()}
    return tuple(_model(entry, packages) for entry in data["model"])


def _model(entry: dict[str, Any], packages: dict[str, Package]) -> Bundled:
    def read(listed: list[dict[str, Any]]) -> tuple[File, ...]:
        return tuple(
            File(
                file["name"],
                file["size"],
                file["sha256"],
                tuple(Part(packages[name], *rest) for name, *rest in file.get("parts", ())),
            )
            for file in listed
        )

    own = read(entry.pop("file"))
    on_hub = read(entry.pop("hub_file", [])) or own
    return Bundled(files=own, hub_files=on_hub, hub=Hub(**entry.pop("hub", {})), **entry)


BUNDLED = _read()
BY_NAME = {model.name: model for model in BUNDLED}
_MINDS: dict[Mind, tuple[str, ...]] = {
    "large": ("qwen2.5-coder-1.5b",),
    "small": ("qwen2.5-coder-0.5b",),
    "none": (),
}


def installed_by_default(mind: Mind) -> tuple[str, ...]:
    """The models of a fresh machine, the largest last."""
    always = ("en_US-joe-medium", "tiny.en", "base", "smollm2-135m", "kokoro-82m", "minilm-l6")
    return (*always, *_MINDS[mind])
