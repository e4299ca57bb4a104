"""What bridges an answer that takes long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.answering import Answering
from agent.turn.foresight import Mind


class Filler:
    """One call's; `wanted` tells whether the caller still waits."""

    def __init__(self, answering: Answering, mind: Mind, wanted: Callable[[], bool]) -> None:
        self._answering = answering
        self._mind = mind
        self._wanted = wanted

    async def bridge(self) -> None:
        """Say the filler, if there is one, once the answer has taken too long."""
        turn = self._answering.turn
        if turn.filler:
            await asyncio.sleep(turn.filler_after_ms / 1000)
            if self._wanted():
                await self._mind.fill(turn.filler)
