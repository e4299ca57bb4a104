"""The telephone agent and its command line."""

import os
from importlib import metadata

import models  # noqa: F401 - before Pipecat, which loads ONNX Runtime

# numpy's OpenBLAS shares even small products among all cores, and its threads then spin for 60 ms in case
# there are more: just when the words that were heard are to be answered. It reads this when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def version() -> str:
    """Of offhook, as it is installed; 0 where it isn't."""
    try:
        return metadata.version("offhook")
    except metadata.PackageNotFoundError:
        return "0"
