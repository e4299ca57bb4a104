"""Weights from Hugging Face's hub. Its client draws a bar for each file, and gives up on a server that sends
nothing for ten seconds."""

from __future__ import annotations

import tempfile
from pathlib import Path

_WHISPER_FILES = ("config.json", "model.bin", "tokenizer.json", "vocabulary.*", "preprocessor_config.json")
_VOICES = "rhasspy/piper-voices"


def fetch_whisper(name: str, folder: Path) -> list[Path]:
    """Fetch a CTranslate2 Whisper model, "small" or "owner/repository", into `folder`. Returns its files."""
    from huggingface_hub import snapshot_download

    repository = name if "/" in name else f"Systran/faster-whisper-{name}"
    snapshot_download(repository, local_dir=folder, allow_patterns=list(_WHISPER_FILES))
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
