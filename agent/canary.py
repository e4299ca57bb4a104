"""Says something to itself now and then: a model that hangs or fails is found before a caller finds it.

The language model has a watch of its own, which asks each endpoint.
"""

from __future__ import annotations

import asyncio
import logging
import time

from agent.conversation import LatencyTrace
from agent.observer import Observed, Observer
from config.persona import Persona
from models.errors import ModelError
from models.lanes import Priority
from models.pool import ComponentHealth, ModelPool
from transports.call import EndReason, MediaStats

# Together below 15 s, within which what hangs is to be known.
EVERY_S = 6.0
DEADLINE_S = 8.0  # queueing behind calls included
TEXT = "One, two, three."  # which no persona says, so that it isn't kept
_ID = "canary"
# Not BULK, of which every piece may be held for seconds while calls are on, as if a model hung.
_BEHIND_CALLS = Priority.TEXT
_REMEDY = "It is tried again every few seconds. If it stays, look into the log, and start offhook again."

logger = logging.getLogger("offhook.canary")


class Silent(Exception):
    """Nothing was heard of what was said."""


class Canary(Observer):
    """Calls that are answered prove the same, and save it the work."""

    def __init__(self, pool: ModelPool, persona: Persona) -> None:
        self._pool = pool
        self._persona = persona
        self._proved_at = float("-inf")
        self._error: str | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when it was tried once."""
        await self._try()
        self._task = asyncio.create_task(self._run(), name="canary")

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def answered(self, call: Observed, trace: LatencyTrace) -> None:
        self._proved_at = time.monotonic()
        self._error = None

    def ended(self, call: Observed, reason: EndReason, stats: MediaStats) -> None:
        if reason is EndReason.MODEL_FAILURE:
            self._proved_at = float("-inf")

    def health(self) -> ComponentHealth:
        state = "down" if self._error else "ready"
        return ComponentHealth(_ID, state, "", "", self._error, 0, remedy=_REMEDY if self._error else None)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            if time.monotonic() - self._proved_at >= EVERY_S:
                await self._try()

    async def _try(self) -> None:
        error = await self._said_and_heard()
        if error and not self._error:
            logger.error("%s", error)
        elif self._error and not error:
            logger.info("said and heard something again")
        self._error = error

    async def _said_and_heard(self) -> str | None:
        """What is wrong, in a sentence."""
        part = "Text-to-speech"
        try:
            async with asyncio.timeout(DEADLINE_S):
                pcm = await self._say()
                part = "Speech-to-text"
                await self._hear(pcm)
        except TimeoutError:
            return (
                f"{part} didn't do its part of a trial in {DEADLINE_S:g} s: it hangs, or has too much to do."
            )
        except Silent:
            return "Speech-to-text heard nothing of what text-to-speech said in a trial. Check stt and tts."
        except ModelError as error:
            return f"{part} failed in a trial: {error}"
        except Exception as error:
            logger.exception("the trial failed")
            return f"{part} failed in a trial: {type(error).__name__}. The log has more."
        return None

    async def _say(self) -> bytes:
        persona = self._persona
        said = b""
        async for speech in self._pool.voices.stream(
            TEXT, voice=persona.voice, call_id=_ID, language=persona.language, priority=_BEHIND_CALLS
        ):
            said += speech.pcm
        return said

    async def _hear(self, pcm: bytes) -> None:
        heard = await self._pool.recognizer.transcribe(
            pcm, call_id=_ID, language=self._persona.language, priority=_BEHIND_CALLS
        )
        if not heard.text:
            raise Silent
