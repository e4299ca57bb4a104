from __future__ import annotations

from dataclasses import replace

import pytest

from models.errors import ModelError
from models.nvml import Gpu
from models.placement import Engine, place

GPU = Gpu("L4", "580.95", (13, 0), 24_000_000_000, 20_000_000_000, 0)
ABLE = Engine("CTranslate2")
UNABLE = Engine("CTranslate2", "CTranslate2 needs libcublas.so.12; install it.")


def test_a_gpu_that_can_be_used_is() -> None:
    placement = place("stt.device", "auto", ABLE, GPU)
    assert (placement.device, placement.demanded, placement.warning) == ("cuda", False, None)
    assert placement.why == "CTranslate2 can use the L4."


def test_without_a_gpu_nothing_is_warned_of() -> None:
    placement = place("stt.device", "auto", UNABLE, None, "There is no driver.")
    assert (placement.device, placement.why, placement.warning) == ("cpu", "There is no driver.", None)


def test_a_gpu_that_lies_idle_is_warned_of() -> None:
    placement = place("stt.device", "auto", UNABLE, GPU)
    assert placement.device == "cpu"
    assert placement.warning == f"The GPU, L4, isn't used: {UNABLE.lacks}"


def test_memory_decides_too() -> None:
    full = replace(GPU, free_bytes=1_200_000_000)
    assert place("stt.device", "auto", ABLE, full, weights_bytes=75_000_000).device == "cuda"
    placement = place("stt.device", "auto", ABLE, full, weights_bytes=1_500_000_000)
    assert placement.device == "cpu"
    assert "L4 has 1.2 GB of memory free, and 4.0 are needed" in (placement.warning or "")
    assert place("stt.device", "auto", ABLE, replace(GPU, free_bytes=None)).device == "cuda"  # MIG


def test_what_the_processor_does_better_stays_there_unless_demanded() -> None:
    placement = place("tts.device", "auto", ABLE, GPU, better_on_cpu="It is small.")
    assert (placement.device, placement.why, placement.warning) == ("cpu", "It is small.", None)
    assert place("tts.device", "cuda", ABLE, GPU, better_on_cpu="It is small.").device == "cuda"


def test_the_processor_can_be_demanded() -> None:
    placement = place("stt.device", "cpu", ABLE, GPU)
    assert (placement.device, placement.demanded) == ("cpu", True)


@pytest.mark.parametrize(
    ("engine", "gpu", "reason"),
    [
        (ABLE, None, r"There is no driver\."),
        (UNABLE, GPU, r"needs libcublas\.so\.12; install it\."),
        (ABLE, replace(GPU, free_bytes=1), r"L4 has 0\.0 GB"),
    ],
)
def test_a_gpu_that_is_demanded_and_cant_be_had_is_an_error(
    engine: Engine, gpu: Gpu | None, reason: str
) -> None:
    with pytest.raises(ModelError, match=rf"^tts\.device is cuda, which can't be had: .*{reason}.*auto"):
        place("tts.device", "cuda", engine, gpu, "There is no driver.")
