"""What runs where: asks the driver and both libraries once, and lets the policy decide."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import ctranslate2
import onnxruntime
from loguru import logger

from config.settings import Device
from models import cuda
from models.errors import ModelError
from models.nvml import Gpu, NoGpu, Nvml
from models.placement import Engine, Placement, place

T = TypeVar("T")

# Measured on an H200 beside 16 cores of a Xeon: a sentence of 2 s takes Piper 135 ms there and 75 on the
# cores, Kokoro 167 and 400.
PIPER = "Piper is quicker on the processor: each sentence would go to the GPU and back some 30 times."


class Devices:
    """Make one before CUDA is first used."""

    def __init__(self) -> None:
        # So that CUDA's first GPU is the one that the driver numbers 0.
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        self.no_gpu = ""
        self.notes: dict[str, str] = {}  # by the setting that decides on the device
        self._nvml: Nvml | None = None
        try:
            self._nvml = Nvml()
        except NoGpu as error:
            self.no_gpu = str(error)

    def gpu(self) -> Gpu | None:
        """As it is now."""
        return self._nvml.gpu() if self._nvml else None

    def whisper(self, wanted: Device, weights_bytes: int = 0) -> Placement:
        """Raises ModelError where a GPU is demanded and can't be had. So do the others."""
        return self._placed("stt.device", wanted, lambda: self.recognizers, weights_bytes)

    def piper(self, wanted: Device, weights_bytes: int = 0) -> Placement:
        return self._placed("tts.device", wanted, lambda: self.voices, weights_bytes, PIPER)

    def kokoro(self, wanted: Device, weights_bytes: int = 0) -> Placement:
        return self._placed("tts.device", wanted, lambda: self.voices, weights_bytes)

    def load(self, placement: Placement, load: Callable[[str], T]) -> T:
        """Load a model where it was put, or where that fails and wasn't demanded on the processor.

        What keeps it from a GPU that is there is logged, and kept in `notes`. Raises what `load` raises.
        """
        if placement.warning:
            self._note(placement.key, placement.warning)
        try:
            return load(placement.device)
        except ModelError as error:
            if placement.device == "cpu" or placement.demanded:
                raise
            self._note(placement.key, f"The GPU isn't used: {error}")
            return load("cpu")

    def _note(self, key: str, warning: str) -> None:
        logger.warning(warning)
        self.notes[key] = warning

    @cached_property
    def recognizers(self) -> Engine:
        """CTranslate2."""
        return Engine("CTranslate2", self._lack("CTranslate2", 12, cuda.FOR_CTRANSLATE2) or _uncounted())

    @cached_property
    def voices(self) -> Engine:
        """ONNX Runtime."""
        name = "ONNX Runtime"
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            return Engine(
                name, f"This onnxruntime has no CUDA; put the one that has in its place: {cuda.INSTALL}."
            )
        return Engine(name, self._lack(name, 13, cuda.FOR_ONNXRUNTIME))

    def _placed(
        self,
        key: str,
        wanted: Device,
        engine: Callable[[], Engine],
        weights_bytes: int,
        better_on_cpu: str | None = None,
    ) -> Placement:
        gpu = self.gpu()
        # Only where there is a GPU that may be taken are the libraries loaded.
        asked = (
            engine() if gpu and wanted != "cpu" and (wanted == "cuda" or not better_on_cpu) else Engine("")
        )
        return place(
            key, wanted, asked, gpu, self.no_gpu, weights_bytes=weights_bytes, better_on_cpu=better_on_cpu
        )

    def _lack(self, name: str, major: int, libraries: tuple[cuda.Library, ...]) -> str | None:
        gpu = self.gpu()
        if gpu and gpu.cuda[0] and gpu.cuda[0] < major:
            known = ".".join(map(str, gpu.cuda))
            return (
                f"{name} needs CUDA {major}, and NVIDIA's driver {gpu.driver} knows {known}; "
                "install a newer driver."
            )
        if cuda.missing((cuda.DRIVER,)):
            return (
                f"NVIDIA's {cuda.DRIVER.soname}, which comes with the driver, isn't found; a container needs "
                "NVIDIA_DRIVER_CAPABILITIES=compute,utility."
            )
        if lost := cuda.missing(libraries):
            names = ", ".join(library.soname for library in lost)
            return f"{name} needs {names}; install what a GPU needs: {cuda.INSTALL}."
        return None


def _uncounted() -> str | None:
    try:
        found = int(ctranslate2.get_cuda_device_count())
    except RuntimeError as error:
        return f"CTranslate2 can't use it: {error}."
    return None if found else "CTranslate2 finds no GPU that it can use."
