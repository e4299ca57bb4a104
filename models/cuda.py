"""CUDA's libraries, as the nvidia packages bring them, and made known to those that load them by name.

CTranslate2 and ONNX Runtime ask the dynamic linker for libcublas.so.12 and the like, which looks into the
system's folders and LD_LIBRARY_PATH. What is loaded already it finds by that name wherever it came from.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

INSTALL = "make install GPU=1"


@dataclass(frozen=True, slots=True)
class Library:
    """By the name that the linker knows it by, and the package that brings it."""

    soname: str
    package: str


@dataclass(frozen=True, slots=True)
class Found:
    """`version` is the package's; None of one that the system has."""

    library: Library
    path: Path
    version: str | None


# What another needs stands before it.
FOR_CTRANSLATE2 = (
    Library("libcublasLt.so.12", "nvidia-cublas-cu12"),
    Library("libcublas.so.12", "nvidia-cublas-cu12"),
)
FOR_ONNXRUNTIME = (
    Library("libcudart.so.13", "nvidia-cuda-runtime"),
    Library("libnvrtc.so.13", "nvidia-cuda-nvrtc"),
    Library("libcublasLt.so.13", "nvidia-cublas"),
    Library("libcublas.so.13", "nvidia-cublas"),
    Library("libcurand.so.10", "nvidia-curand"),
    Library("libcudnn.so.9", "nvidia-cudnn-cu13"),
)
DRIVER = Library("libcuda.so.1", "NVIDIA's driver")


def load(library: Library) -> Found:
    """Load the package's, or else the system's. Raises OSError, with the linker's words.

    Not RTLD_GLOBAL: the linker finds it by name all the same, and cuBLAS 12 and 13 have the same symbols.
    """
    path, version = _in_package(library)
    ctypes.CDLL(str(path or library.soname))
    return Found(library, path or _mapped(library.soname), version)


def missing(libraries: tuple[Library, ...]) -> list[Library]:
    """Load them all; those that couldn't be."""
    lost = []
    for library in libraries:
        try:
            load(library)
        except OSError:
            lost.append(library)
    return lost


def installed() -> bool:
    """Whether any of the packages is here."""
    return any(_in_package(library)[0] for library in (*FOR_CTRANSLATE2, *FOR_ONNXRUNTIME))


def _in_package(library: Library) -> tuple[Path | None, str | None]:
    try:
        package = distribution(library.package)
    except PackageNotFoundError:
        return None, None
    for file in package.files or ():
        if file.name == library.soname:
            return Path(str(package.locate_file(file))), package.version
    return None, None


def _mapped(soname: str, maps: Path = Path("/proc/self/maps")) -> Path:
    """Where the linker found it, as far as Linux tells."""
    stem = soname.partition(".so")[0]
    for line in maps.read_text().splitlines() if maps.exists() else ():
        path = Path(line.split(maxsplit=5)[-1])
        if path.name.partition(".so")[0] == stem:
            return path
    return Path(soname)
