"""Which model runs on a GPU: a policy, told what is there and what is wished."""

from __future__ import annotations

from dataclasses import dataclass

from config.settings import Device
from models.errors import ModelError
from models.nvml import Gpu

# CUDA's context in a process, with the workspaces of cuBLAS and cuDNN. An estimate.
_CONTEXT_BYTES = 1_000_000_000
_BYTES_PER_BYTE = 2  # of weights, while they are converted


@dataclass(frozen=True, slots=True)
class Placement:
    """By the value of the setting `key`. `demanded`: no other device will do. `warning` says why it isn't a
    GPU that is there."""

    key: str
    device: str
    why: str
    demanded: bool = False
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class Engine:
    """A library that runs models. `lacks` is a sentence: what keeps it from a GPU, and the remedy."""

    name: str
    lacks: str | None = None


def place(
    key: str,
    wanted: Device,
    engine: Engine,
    gpu: Gpu | None,
    no_gpu: str = "",
    *,
    weights_bytes: int = 0,
    better_on_cpu: str | None = None,
) -> Placement:
    """`key` is the setting's, of which `wanted` is the value; `no_gpu` says why there is none.

    `better_on_cpu` is why a model is put onto the processor unless the GPU is demanded.
    Raises ModelError where it is demanded and can't be had.
    """
    if wanted == "cpu":
        return Placement(key, "cpu", f"{key} is cpu.", demanded=True)
    lack = no_gpu if gpu is None else engine.lacks or _full(gpu, weights_bytes)
    if wanted == "cuda":
        if lack:
            raise ModelError(
                f"{key} is cuda, which can't be had: {lack} With {key} auto the processor does it."
            )
        return Placement(key, "cuda", f"{key} is cuda.", demanded=True)
    if gpu is None:
        return Placement(key, "cpu", no_gpu)
    if better_on_cpu:
        return Placement(key, "cpu", better_on_cpu)
    if lack:
        return Placement(key, "cpu", lack, warning=f"The GPU, {gpu.name}, isn't used: {lack}")
    return Placement(key, "cuda", f"{engine.name} can use the {gpu.name}.")


def _full(gpu: Gpu, weights_bytes: int) -> str | None:
    needed = _CONTEXT_BYTES + _BYTES_PER_BYTE * weights_bytes
    if gpu.free_bytes is None or gpu.free_bytes >= needed:
        return None
    return (
        f"{gpu.name} has {gpu.free_bytes / 1e9:.1f} GB of memory free, and {needed / 1e9:.1f} are needed; "
        "free some, or choose another GPU with CUDA_VISIBLE_DEVICES."
    )
