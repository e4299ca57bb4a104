"""How CTranslate2 runs Whisper."""

from __future__ import annotations

import os
from pathlib import Path

import ctranslate2


def whisper(folder: Path, *, device: str, compute_type: str, threads: int) -> ctranslate2.models.Whisper:
    """The weights in `folder`, on cpu or cuda. Raises RuntimeError and ValueError, as CTranslate2 does."""
    # oneDNN, which CTranslate2 computes convolutions with, keeps the code that it makes for each shape, 1,024
    # of them. Utterances are of every length: 115 MB after 150 of them, for 2 ms with a length that is known.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "2")
    return ctranslate2.models.Whisper(
        str(folder),
        device=device,
        compute_type=precision(device, compute_type),
        intra_threads=threads or 1,
    )


def precision(device: str, compute_type: str) -> str:
    """CTranslate2's name for it: `compute_type`, or for auto the fastest that `device` has."""
    if compute_type != "auto":
        return compute_type
    supported = ctranslate2.get_supported_compute_types(device)
    # On an H200 an utterance takes base 20 ms in float16 and 34 in int8_float16, with the same words.
    preferred = ("float16", "int8_float16", "float32") if device == "cuda" else ("int8", "float32")
    return next(kind for kind in preferred if kind in supported)
