"""How ONNX Runtime runs the voices."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import onnxruntime

from models.capacity import usable_cores
from models.errors import ModelError

# Convolutions of each new length are tried in every way unless told otherwise, and texts are of every length.
# Memory grows by what is asked for, not to the next power of two: other models are on the GPU too.
_CUDA = {"cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"}


def session(model: bytes, *, device: str, threads: int) -> onnxruntime.InferenceSession:
    """On cpu or cuda. Raises ModelError without CUDA, and what onnxruntime raises for the model or a GPU."""
    wanted: list[Any] = ["CPUExecutionProvider"]
    if device == "cuda":
        wanted.insert(0, ("CUDAExecutionProvider", _CUDA))
    # Of itself it would change to the processor, also in the middle of a call, and only print that.
    running = onnxruntime.InferenceSession(
        model, sess_options=_options(threads), providers=wanted, enable_fallback=False
    )
    if device_of(running) != device:
        raise ModelError("ONNX Runtime couldn't start CUDA; it has written to stderr why.")
    return running


def device_of(running: onnxruntime.InferenceSession) -> str:
    return "cuda" if running.get_providers()[0].startswith("CUDA") else "cpu"


def build() -> str:
    """What decides what a model's numbers come out as, besides its device."""
    return f"onnxruntime {onnxruntime.__version__} {multiplies_bytes()}"


def multiplies_bytes(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether an x86 processor has VNNI, the instructions for products of unsigned and signed bytes."""
    try:
        return re.search(r"\bavx(512)?_vnni\b", cpuinfo.read_text()) is not None
    except OSError:
        return False


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or min(4, usable_cores())
    options.inter_op_num_threads = 1
    # It plans memory for each shape that comes, and texts are of every length: 70 MB after 200 of them.
    options.enable_mem_pattern = False
    # Threads that spin between calls would take the cores from the other models.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not multiplies_bytes():
        # Sums of unsigned by signed 8-bit products overflow there. This makes both unsigned, also where
        # it needn't be: Kokoro then takes 1.7 times as long.
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options
