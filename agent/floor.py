"""Who has a call's floor besides the caller and the model: what is done with it, one thing at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from pipecat.frames.frames import ControlFrame, InterruptionFrame, TTSSpeakFrame
from pipecat.pipeline.worker import PipelineWorker

from agent.conversation import Doing
from agent.pipeline import CallPipeline
from transports.call import TransferFailed

SAY_DEADLINE_S = 15.0  # for a sentence or two, with what a busy voice takes
T = TypeVar("T")
logger = logging.getLogger("offhook.call")


class CantBeDone(Exception):
    """Not with this call, or not now; the message is a sentence."""


@dataclass
class Heard(ControlFrame):
    """Comes to the end of the pipeline when what was said before it has been heard."""

    then: Callable[[], None] = lambda: None


class Floor:
    """Of one call. Who wants it while it is taken is told so by CantBeDone."""

    def __init__(self, call_id: str, pipeline: CallPipeline) -> None:
        self._call_id = call_id
        self._pipeline = pipeline
        self.doing: Doing | None = None
        self._muted: frozenset[str] = frozenset()  # why the caller isn't heard
        self._tasks: set[asyncio.Task[Any]] = set()
        self._interruptions = 0
        pipeline.worker.add_reached_downstream_filter((Heard, InterruptionFrame))
        pipeline.worker.add_event_handler("on_frame_reached_downstream", self._on_end)

    def take(self, doing: Doing) -> None:
        """Raises CantBeDone."""
        self.require_free()
        self.doing = doing

    def require_free(self) -> None:
        """Raises CantBeDone."""
        if self._pipeline.user is None:
            raise CantBeDone("This call tests the line.")
        if self.doing is not None:
            raise CantBeDone(f"The call is {self.doing}.")

    def give_back(self) -> None:
        """The caller is heard again."""
        self.mute("doing", False)
        self.doing = None

    async def pause(self) -> None:
        """Whatever is being said or answered is over; the caller isn't heard."""
        self.mute("doing", True)
        self._pipeline.listener.answer_lost()
        await self._pipeline.worker.queue_frame(InterruptionFrame())

    def mute(self, why: str, muted: bool) -> None:
        """The caller isn't heard as long as there is a reason."""
        self._muted = self._muted | {why} if muted else self._muted - {why}
        self._pipeline.listener.mute(bool(self._muted))

    async def queue(self, text: str) -> None:
        """Have it said behind what is being said."""
        if text:
            await self._pipeline.worker.queue_frame(TTSSpeakFrame(text))

    async def say(self, text: str) -> None:
        """Returns when the caller has heard it, or never will."""
        if not text or self._pipeline.worker.has_finished():
            return
        await self.queue(text)
        await self.heard()

    async def heard(self, deadline_s: float = SAY_DEADLINE_S) -> bool:
        """Returns when all that is being said has been heard, or won't be; whether it has."""
        heard = asyncio.Event()
        await self._pipeline.worker.queue_frame(Heard(heard.set))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(heard.wait(), deadline_s)
        return heard.is_set()

    async def within_call(self, work: Coroutine[Any, Any, T]) -> T:
        """Whoever asks for it, it ends with the call. Raises CantBeDone then."""
        task = asyncio.create_task(work, name=f"call-control-{self._call_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait({task})
        if task.cancelled():
            raise CantBeDone("The call is over.")
        return task.result()

    def start(self, work: Callable[[], Awaitable[object]], *, behind_words: bool = False) -> None:
        """Nobody waits for it; it ends with the call.

        `behind_words`: what is being said is heard first; who interrupts that is listened to instead.
        """

        async def do() -> None:
            before = self._interruptions
            try:
                if behind_words and not await self.heard() and self._interruptions > before:
                    logger.info("call %s: the caller spoke up before what was to be done", self._call_id)
                    return
                await work()
            except (CantBeDone, TransferFailed):  # the caller has been told
                pass
            except Exception:  # as a call that fails
                logger.exception("call %s: what was to be done with it failed", self._call_id)

        task = asyncio.create_task(do(), name=f"call-control-{self._call_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """The call is over."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _on_end(self, _: PipelineWorker, frame: Heard | InterruptionFrame) -> None:
        if isinstance(frame, Heard):
            frame.then()
        else:
            self._interruptions += 1
