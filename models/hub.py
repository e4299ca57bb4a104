"""Weights from Hugging Face's hub. Its client draws a bar for each file, and gives up on a server that sends
nothing for ten seconds."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import httpx2

from models.bundled import Hub
from models.checksums import BLOCK_BYTES

_WHISPER_FILES = ("config.json", "model.bin", "tokenizer.json", "vocabulary.*", "preprocessor_config.json")
_VOICES = "rhasspy/piper-voices"


def fetched(hub: Hub, name: str, folder: Path) -> Generator[bytes, None, None]:
    """The contents of a file of a bundled model. A download that breaks off is resumed from `folder`, which
    is one process's at a time."""
    if hub.web:
        with httpx2.stream("GET", f"{hub.web}/{name}", follow_redirects=True, timeout=10.0) as response:
            response.raise_for_status()
            yield from response.iter_bytes(BLOCK_BYTES)
        return
    from huggingface_hub import hf_hub_download

    path = f"{hub.folder}/{name}" if hub.folder else name
    unfinished = folder / ".hub"
    fetched = hf_hub_download(hub.repository, path, revision=hub.revision, local_dir=unfinished)
    try:
        with Path(fetched).open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                yield block
    finally:
        shutil.rmtree(unfinished)


def fetch_whisper(name: str, folder: Path) -> list[Path]:
    """Fetch a CTranslate2 Whisper model, "small" or "owner/repository", into `folder`. Returns its files."""
    from huggingface_hub import snapshot_download

    repository = name if "/" in name else f"Systran/faster-whisper-{name}"
    snapshot_download(repository, local_dir=folder, allow_patterns=list(_WHISPER_FILES))
    if not (folder / "model.bin").is_file():  # what is there of it is returned where the hub is away
        raise FileNotFoundError(f"{repository} has no model.bin, or can't be reached.")
    return [path for pattern in _WHISPER_FILES for path in folder.glob(pattern)]


def fetch_voice(name: str, folder: Path) -> list[Path]:
    """Fetch a Piper voice, "fr_FR-siwis-medium", into `folder`, whole or not at all. Returns its files."""
    from huggingface_hub import hf_hub_download

    # Not by Piper's own downloader, which shows nothing and waits for ever.
    language, speaker, quality = name.split("-")
    place = f"{language.partition('_')[0]}/{language}/{speaker}/{quality}/{name}.onnx"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        fetched = [hf_hub_download(_VOICES, file, local_dir=unfinished) for file in (f"{place}.json", place)]
        return [path.replace(folder / path.name) for path in map(Path, fetched)]
