"""What this machine bears, and what it has to do now: what admission is told."""

from __future__ import annotations

from pathlib import Path

from agent.admission import Admission, Load
from agent.vitals import Pulse
from config.persona import Persona
from models.calibration import least_limit
from models.capacity import available_memory_bytes
from models.errors import ModelError
from models.pool import ModelPool


async def calibrate(admission: Admission, pool: ModelPool, persona: Persona, kept: Path) -> None:
    """Have no more calls let in than the models bear, as `least_limit` finds or has `kept`."""
    try:
        limit = await least_limit(
            pool,
            [persona.goodbye, persona.apology, persona.again],
            voice=persona.voice,
            language=persona.language,
            kept=kept,
        )
    except ModelError as error:
        admission.bears(0, str(error).rstrip("."))
    else:
        admission.bears(limit.calls, f"{limit.what}, {limit.why}")


def load_of(pool: ModelPool, pulse: Pulse) -> Load:
    parts = pool.health()
    lanes_s = {part.name: part.oldest_s for part in parts}
    gpu = pool.gpu() if any(part.device == "cuda" for part in parts) else None
    return Load(
        mind_s=lanes_s.pop("language model"),
        lanes_s=lanes_s,
        loop_lag_s=pulse.lag_s,
        memory_bytes=available_memory_bytes(),
        gpu_memory_bytes=gpu.free_bytes if gpu else None,
    )
