"""What NVIDIA's driver says of the GPU that CUDA takes first."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pynvml

T = TypeVar("T")


class NoGpu(Exception):
    """Why there is none, as a sentence."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """At one moment. None stands for what it doesn't tell, as parts of a divided GPU (MIG) do not."""

    name: str
    driver: str
    cuda: tuple[int, int]  # the newest that the driver knows
    memory_bytes: int | None
    free_bytes: int | None
    utilisation: int | None  # percent of the last second or less in which something ran

    @property
    def used_bytes(self) -> int | None:
        if self.memory_bytes is None or self.free_bytes is None:
            return None
        return self.memory_bytes - self.free_bytes


class Nvml:
    """The driver's management library. Opening it takes some milliseconds, a reading less than one.

    Raises NoGpu where there is no driver or no GPU that may be used.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        visible = environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
        if visible in ("", "-1"):
            raise NoGpu("CUDA_VISIBLE_DEVICES hides every GPU.")
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            if getattr(error, "value", None) == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
                raise NoGpu("There is no NVIDIA driver: libnvidia-ml.so.1 isn't found.") from None
            raise NoGpu(f"NVIDIA's driver doesn't answer: {error}.") from None
        try:
            if not pynvml.nvmlDeviceGetCount():
                raise NoGpu("NVIDIA's driver finds no GPU.")
            self._device = (
                pynvml.nvmlDeviceGetHandleByIndex(int(visible))
                if visible.isdigit()
                else pynvml.nvmlDeviceGetHandleByUUID(visible)
            )
        except pynvml.NVMLError as error:
            raise NoGpu(f"NVIDIA's driver doesn't show the GPU {visible}: {error}.") from None

    def gpu(self) -> Gpu:
        memory: Any = _told(lambda: pynvml.nvmlDeviceGetMemoryInfo(self._device))
        utilisation: Any = _told(lambda: pynvml.nvmlDeviceGetUtilizationRates(self._device))
        cuda = _told(pynvml.nvmlSystemGetCudaDriverVersion) or 0
        return Gpu(
            name=str(_told(lambda: pynvml.nvmlDeviceGetName(self._device)) or "GPU"),
            driver=str(_told(pynvml.nvmlSystemGetDriverVersion) or "unknown"),
            cuda=(cuda // 1000, cuda % 1000 // 10),
            memory_bytes=int(memory.total) if memory else None,
            free_bytes=int(memory.free) if memory else None,
            utilisation=int(utilisation.gpu) if utilisation else None,
        )


def _told(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except pynvml.NVMLError:
        return None
