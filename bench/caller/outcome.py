"""How a call went, as its transport knows it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Outcome:
    """`outcome` is answered, refused, timeout, caller (it left) or unreachable.

    `acked_at`: when the agent's side knew that it may speak: the ACK, the connected peer, the
    started stream. `status` and `reason` are SIP's or HTTP's.
    """

    outcome: str = "unreachable"
    status: int = 0
    reason: str = ""
    ended_by: str = ""
    acked_at: float | None = None
    codec: str = ""
    findings: list[str] = field(default_factory=list)
    signalling: list[list[float | str]] = field(default_factory=list)
