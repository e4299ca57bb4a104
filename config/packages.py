"""Says before anything starts that packages are installed which can't be together."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from config.errors import ConfigError

ONNXRUNTIME_FOR_CUDA = "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install onnxruntime-gpu"


def require_one_onnxruntime() -> None:
    """Raises ConfigError where both are installed: the files are those of the one that came last, and
    uninstalling either leaves the other without."""
    if _installed("onnxruntime") and _installed("onnxruntime-gpu"):
        raise ConfigError(
            "onnxruntime and onnxruntime-gpu are both installed, which share one folder; keep one: "
            f"{ONNXRUNTIME_FOR_CUDA} (or onnxruntime, without a GPU)."
        )


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
