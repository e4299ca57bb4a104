"""What a browser is told of its call, and what it may say beside the sound.

The messages are RTVI's, so that Pipecat's client libraries understand them too; Pipecat's own
processor and observer make them from the pipeline's frames.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from pipecat.processors.frame_processor import FrameProcessor
from pipecat.processors.frameworks.rtvi import RTVIObserverParams
from pipecat.processors.frameworks.rtvi import models as messages

from agent.conversation import LatencyTrace
from config.persona import Persona
from transports.call import CallTransport, EndReason

MESSAGE_DEADLINE_S = 0.5

logger = logging.getLogger("offhook.call")


class Messages:
    """Those of one call, where its wire carries any. One that doesn't go out costs the call nothing."""

    def __init__(self, call: CallTransport) -> None:
        self._call = call
        self._telling: set[asyncio.Task[None]] = set()

    async def tell(self, message: dict[str, Any]) -> None:
        if not self._call.carries_messages:
            return
        try:
            async with asyncio.timeout(MESSAGE_DEADLINE_S):
                await self._call.send_message(message)
        except TimeoutError:
            logger.warning("call %s: a message didn't go out in time", self._call.info.id)
        except Exception:
            logger.warning("call %s: a message didn't go out", self._call.info.id, exc_info=True)

    def tell_soon(self, message: dict[str, Any]) -> None:
        telling = asyncio.create_task(self.tell(message))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)


def observer_params(before_listener: list[FrameProcessor]) -> RTVIObserverParams:
    """Tell what was heard and said, but not an answer that may yet be withdrawn, nor the prompt.

    What is typed passes `before_listener` as a transcript, and comes out of the listener as another.
    """
    return RTVIObserverParams(
        ignored_sources=before_listener,
        bot_llm_enabled=False,
        bot_tts_enabled=False,
        user_llm_enabled=False,
        metrics_enabled=False,
    )


def latency_message(ledger: LatencyTrace) -> dict[str, Any]:
    """Where the time of an answer went: `parts` in milliseconds, in the order of the stages."""
    data = {
        "type": "latency",
        "voice_to_voice_ms": round(ledger.voice_to_voice_ms or 0.0, 1),
        "parts": {stage: round(ms, 1) for stage, ms in ledger.parts_ms().items()},
    }
    return messages.ServerMessage(data=data).model_dump()


def persona_message(persona: Persona) -> dict[str, Any]:
    """Who answers from now on, and in which language."""
    data = {"type": "persona", "name": persona.name, "language": persona.language}
    return messages.ServerMessage(data=data).model_dump()


def taken_back_message() -> dict[str, Any]:
    """The caller goes on with the turn that was answered last: it and its answer are none."""
    return messages.ServerMessage(data={"type": "taken-back"}).model_dump()


def ending_message(reason: EndReason) -> dict[str, Any]:
    """Why the call is about to end: the wire itself only tells which side ended it."""
    return messages.ServerMessage(data={"type": "ending", "reason": reason.value}).model_dump()
