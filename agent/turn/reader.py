"""What a turn asks of the language model before there is anything to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from agent.turn import words

DEADLINE_S = 1.0
Nothing = Coroutine[Any, Any, None]


class Reader:
    """One call's. Has the model read along, and asks it whether what was said is all."""

    def __init__(
        self,
        *,
        end_probability: Callable[[str], Coroutine[Any, Any, float | None]],
        read_ahead: Callable[[], Nothing],
        get_ready: Callable[[str], Nothing],
    ) -> None:
        self._end_probability = end_probability
        self._read_ahead = read_ahead
        self._get_ready = get_ready
        self._reading: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[float | None] | None = None
        self._asked: list[str] = []  # about these words

    def new_turn(self) -> None:
        """What was asked about the last one's words holds no more."""
        self._asked = []

    def read_ahead(self) -> None:
        """Let the model read the conversation."""
        self._read(self._read_ahead())

    def get_ready(self, text: str) -> None:
        """Let it do what comes before an answer to `text`."""
        self._read(self._get_ready(text))

    async def completeness(self, text: str) -> float | None:
        """That `text` is all; None where that isn't known in time.

        It isn't asked again for the same words. To be asked, the model reads them.
        """
        unknown = self._asking is None or (
            self._asking.done() and (self._asking.cancelled() or self._asking.result() is None)
        )
        if unknown or words.split(text) != self._asked:
            self._asked = words.split(text)
            if self._asking:
                self._asking.cancel()
            self._asking = asyncio.create_task(self._end_probability(text), name="completeness")
        assert self._asking is not None
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await asyncio.shield(self._asking)
        except TimeoutError:
            return None

    async def stop(self) -> None:
        tasks = [task for task in (self._reading, self._asking) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _read(self, reading: Nothing) -> None:
        if self._reading:
            self._reading.cancel()
        self._reading = asyncio.create_task(reading, name="read-ahead")
