"""A caller enters something with keys, which a persona asks for in its `keypad`."""

from __future__ import annotations

import asyncio
import logging
import uuid
from functools import partial

from pipecat.frames.frames import InterruptionFrame, TranscriptionFrame
from pipecat.utils.time import time_now_iso8601

from agent.answering import Answering
from agent.floor import CantBeDone, Floor
from agent.pipeline import CallPipeline, Keys
from agent.recordings.monitor import Monitor
from agent.webhook import Webhook, WebhookFailed
from config.keypad import Keypad

SECRET = "***"  # in the place of what was entered, however long

logger = logging.getLogger("offhook.call")


class KeyEntry:
    """Of one call."""

    def __init__(
        self,
        call_id: str,
        floor: Floor,
        pipeline: CallPipeline,
        *,
        answering: Answering,
        webhook: Webhook,
        monitor: Monitor,
    ) -> None:
        self._call_id = call_id
        self._floor = floor
        self._pipeline = pipeline
        self._answering = answering
        self._webhook = webhook
        self._monitor = monitor

    async def ask(self, name: str) -> str | None:
        """Have the caller enter it; None where they don't, or where it is secret. Raises CantBeDone."""
        persona = self._answering.persona
        asks = next((one for one in persona.keypad if one.name == name), None)
        keys = self._pipeline.keys
        if asks is None or keys is None:
            raise CantBeDone(f"The persona {persona.name} has no {name[:60]!r} in its keypad.")
        self._floor.take("entering")
        if asks.secret:
            self._monitor.hide()
        pressed: asyncio.Queue[str] = asyncio.Queue()
        keys.taken_by = pressed.put_nowait
        try:
            await self._floor.pause()
            sequence = await self._collect(asks, pressed)
        finally:
            keys.taken_by = None
            self._floor.give_back()
            if asks.secret:
                self._floor.start(partial(self._show_again, keys))
        keys.late = "" if sequence.endswith(asks.terminator) else asks.terminator
        if asks.secret and not (asks.terminator and sequence.endswith(asks.terminator)):
            keys.drop_rest(asks.between_keys_s if asks.complete(sequence) else asks.first_key_s)
        entered = asks.entered(sequence)
        if entered is not None and asks.secret:
            entered = await self._pass_on(name, entered)
        if entered is None:
            await self._floor.queue(persona.says.not_entered)
            return None
        await self._pipeline.worker.queue_frame(
            TranscriptionFrame(f"DTMF: {entered}", "", time_now_iso8601(), finalized=True)
        )
        return None if asks.secret else entered

    async def _show_again(self, keys: Keys) -> None:
        """Once no key can belong to the secret any more."""
        while (left_s := keys.rest_s) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left_s)
        self._monitor.show()

    async def _pass_on(self, name: str, entered: str) -> str | None:
        """Post what is secret. Returns what the model is told of it, None where it wasn't taken."""
        call_id = self._call_id
        posted = {"call": call_id, "name": name, "keys": entered}
        try:
            await self._webhook.post("keypad", uuid.uuid4().hex, posted)
        except WebhookFailed as failed:
            logger.warning("call %s: what was entered isn't passed on: %s", call_id, failed)
            return None
        return SECRET

    async def _collect(self, asks: Keypad, pressed: asyncio.Queue[str]) -> str:
        """What is pressed from the prompt on. Who presses needn't hear the rest of it."""
        saying = asyncio.create_task(self._floor.say(asks.prompt))
        first = asyncio.create_task(pressed.get())
        keys = ""
        try:
            await asyncio.wait({saying, first}, return_when=asyncio.FIRST_COMPLETED)
            if first.done():
                await self._pipeline.worker.queue_frame(InterruptionFrame())
            keys = await asyncio.wait_for(first, asks.first_key_s)
            while not asks.complete(keys):
                keys += await asyncio.wait_for(pressed.get(), asks.between_keys_s)
        except TimeoutError:
            pass
        finally:
            for task in (saying, first):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        return keys
