"""Which of Ollama's models a machine bears: a policy over data/ollama.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

# A caller listens and speaks for most of a call: so many of them share a place in the server.
CALLS_PER_PLACE = 4
OVERHEAD_MB = 600  # buffers of the computation
# Of a desktop's memory bandwidth a model reads all its weights for each token: what has more than so many
# billion parameters keeps callers waiting on a processor.
MOST_PARAMETERS_ON_CPU_B = 4.0
FEWEST_CORES = 4  # beside the recognizer and the voice, for more than a model of the bundled one's size
SMALL_B = 2.0

Fit = Literal["gpu", "cpu", "no"]


@dataclass(frozen=True, slots=True)
class Known:
    """A model of Ollama's library. `token_kb` is the memory of one token of context."""

    name: str
    weights_mb: int
    token_kb: int
    parameters_b: float
    tools: bool
    licence: str
    about: str

    def memory_mb(self, *, num_ctx: int, calls: int) -> int:
        """What it takes with so many calls at once."""
        context_mb = places(calls) * num_ctx * self.token_kb / 1024
        return int(self.weights_mb + context_mb + OVERHEAD_MB)


def places(calls: int) -> int:
    """How many answers at once a server must make for so many calls."""
    return -(-calls // CALLS_PER_PLACE)


def known() -> list[Known]:
    """From the smallest to the best."""
    text = (files("models") / "data" / "ollama.toml").read_text()
    return [Known(**model) for model in tomllib.loads(text)["model"]]


def fit(
    model: Known,
    *,
    num_ctx: int,
    calls: int,
    memory_mb: float | None,
    gpu_mb: float | None,
    cores: int,
) -> tuple[Fit, str]:
    """Where the model would run, and why not elsewhere. `memory_mb` and `gpu_mb` are free."""
    needed = model.memory_mb(num_ctx=num_ctx, calls=calls)
    if gpu_mb is not None and needed <= gpu_mb:
        return "gpu", "fits on the GPU"
    if memory_mb is not None and needed > memory_mb:
        return "no", f"{memory_mb / 1000:.1f} GB of memory are free"
    if model.parameters_b > MOST_PARAMETERS_ON_CPU_B:
        return "no", "too slow for a conversation without a GPU that holds it"
    if cores < FEWEST_CORES and model.parameters_b > SMALL_B:
        return "no", f"too slow beside the other models on {cores} cores"
    return "cpu", "on the processor" if gpu_mb is None else "too large for the GPU, on the processor"
