"""How many calls a machine bears, by what each model takes for a turn: a policy.

Each model does one piece of work at a time. Half the time it may be busy: what comes then waits on average as
long as a piece of work takes, and with more than that ever longer. The same holds for the cores together, and
for the GPU. An estimate: what calls take besides, and batches that the language model makes, aren't in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BUSY = 0.5  # of the time
TURN_S = 10.0  # from one turn of a caller to the next: 4 s of speech, 4 s of answer, and pauses
CHUNKS = TURN_S / 0.032  # of voice activity
LOOKS = (
    2  # by the recognizer and the turn detector: at the first trace of a pause, and at the end of the turn
)
READ_TOKENS, WRITTEN_TOKENS = 60, 20
SPOKEN_S = 4.0

RULE = (
    f"A caller takes a turn every {TURN_S:.0f} s, which is heard {LOOKS} times, read ({READ_TOKENS} tokens), "
    f"answered ({WRITTEN_TOKENS} tokens), and spoken ({SPOKEN_S:.0f} s), each model on its quicker device. "
    f"None of them, nor the cores together, nor the GPU, is busy for more than {BUSY:.0%} of the time."
)


@dataclass(frozen=True, slots=True)
class Work:
    """What a model does for one turn: for how long, and on how many cores meanwhile."""

    name: str
    device: str
    seconds: float
    cores: float


@dataclass(frozen=True, slots=True)
class Limit:
    what: str
    calls: int
    why: str


def limits(works: Sequence[Work], cores: int) -> list[Limit]:
    """The lowest first."""
    found = [
        Limit(f"{work.name} on {work.device}", _calls(work.seconds), f"{work.seconds * 1000:.0f} ms a turn")
        for work in works
    ]
    core_seconds = sum(work.seconds * work.cores for work in works)
    found.append(
        Limit(
            "1 core" if cores == 1 else f"{cores} cores",
            _calls(core_seconds / cores),
            f"{core_seconds:.2f} s of a core a turn",
        )
    )
    on_gpu = sum(work.seconds for work in works if work.device == "cuda")
    if on_gpu:
        found.append(Limit("the GPU", _calls(on_gpu), f"{on_gpu * 1000:.0f} ms a turn"))
    return sorted(found, key=lambda limit: limit.calls)


def _calls(seconds: float) -> int:
    return int(BUSY * TURN_S / max(seconds, 1e-6))
