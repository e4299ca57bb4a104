"""The two ends of a call's pipeline, the same on every wire.

`CallInput` takes what the wire received; `CallOutput` writes speech into the call's `Playout` and lets
words pass on to the conversation's context only when the wire has really sent them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from pipecat.frames.frames import (
    BotSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InputDTMFFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    StartFrame,
    SystemFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.utils.utils import obj_id

from transports.playout import SAMPLE_RATE_HZ, Playout

FRAME_MS = 20
FRAME_BYTES = SAMPLE_RATE_HZ * FRAME_MS // 1000 * 2
# Speech handed to the playout ahead of the wire: bridges a busy event loop, no more.
BACKLOG_MS = 120.0
DRAIN_DEADLINE_S = 30.0


class CallInput(BaseInputTransport):
    """Cuts what the wire received into 20 ms frames at 16 kHz.

    Frames go straight on: Pipecat's own input queue serves audio filters, and costs a task switch
    and a timer for each frame of each call. Nor are they announced to handlers and observers, of which
    none wants them.
    """

    def __init__(self) -> None:
        super().__init__(TransportParams(audio_in_enabled=True, audio_in_sample_rate=SAMPLE_RATE_HZ))
        self._rest = b""
        self._running = False
        self.on_audio: Callable[[bytes], None] | None = None  # is given what `feed` takes

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._running = True

    async def stop(self, frame: EndFrame) -> None:
        self._running = False
        await super().stop(frame)

    async def cancel(self, frame: CancelFrame) -> None:
        self._running = False
        await super().cancel(frame)

    async def feed(self, pcm: bytes) -> None:
        """Take received audio: s16le mono PCM at 16 kHz, any length. Dropped unless the pipeline runs."""
        if not self._running:
            return
        if self.on_audio:
            self.on_audio(pcm)
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % FRAME_BYTES
        self._rest = pcm[whole:]
        listener = self.next
        assert listener
        for start in range(0, whole, FRAME_BYTES):
            frame = InputAudioRawFrame(pcm[start : start + FRAME_BYTES], SAMPLE_RATE_HZ, 1)
            await listener.queue_frame(frame)

    async def feed_dtmf(self, frame: InputDTMFFrame) -> None:
        """Take a key press."""
        if self._running:
            await self.push_frame(frame)


class CallOutput(BaseOutputTransport):
    """Writes speech into a `Playout`, and pushes each frame on when the speech before it was heard."""

    def __init__(self, playout: Playout) -> None:
        super().__init__(
            TransportParams(
                audio_out_enabled=True,
                audio_out_sample_rate=SAMPLE_RATE_HZ,
                audio_out_10ms_chunks=2,
                audio_out_end_silence_secs=0,
                # A caller on hold, or one who speaks, may stop the playout for long; the session,
                # not a timer here, decides when such a call is over.
                audio_out_write_timeout_secs=24 * 3600,
            )
        )
        self._playout = playout
        self._cut_before = 0  # sound whose frame is older was interrupted
        self._pulled = asyncio.Event()
        self._heard: asyncio.Queue[Frame] = asyncio.Queue()
        self._heard_task: asyncio.Task[None] | None = None
        playout.on_pulled = self._pulled.set

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._heard_task = self.create_task(self._push_heard())
        await self.set_transport_ready(frame)

    async def stop(self, frame: EndFrame) -> None:
        await super().stop(frame)
        await self._drain()

    async def cleanup(self) -> None:
        await super().cleanup()
        if self._heard_task:
            await self.cancel_task(self._heard_task)
            self._heard_task = None
        self._playout.on_pulled = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if not isinstance(frame, InterruptionFrame):
            await super().process_frame(frame, direction)
            return
        # The base class still has speech queued until it has handled the frame: none of it may follow.
        self._cut_before = sys.maxsize
        self._playout.interrupt()
        self._pulled.set()
        try:
            await super().process_frame(frame, direction)
        finally:
            self._cut_before = obj_id()  # its task may still hold a piece of it, too

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if direction is FrameDirection.UPSTREAM or isinstance(frame, SystemFrame | EndFrame):
            await super().push_frame(frame, direction)
        else:
            self._playout.mark(
                lambda: self._heard.put_nowait(frame),
                word=isinstance(frame, TTSTextFrame),
                kept=not frame.interruptible,
            )

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        if frame.id >= self._cut_before:
            self._playout.write(frame.audio)
            await self._wait_until_below(BACKLOG_MS)
        return False  # not pushed on: nobody behind us wants the sound, and each would take it from a queue

    async def broadcast_frame(self, frame_cls: type[Frame], **kwargs: Any) -> None:
        """All but that the agent goes on speaking, which nobody wants to know five times a second."""
        if frame_cls is not BotSpeakingFrame:
            await super().broadcast_frame(frame_cls, **kwargs)

    async def _push_heard(self) -> None:
        while True:
            frame = await self._heard.get()
            await super().push_frame(frame, FrameDirection.DOWNSTREAM)
            self._heard.task_done()

    async def _wait_until_below(self, queued_ms: float) -> None:
        while self._playout.queued_ms > queued_ms:
            self._pulled.clear()
            await self._pulled.wait()

    async def _drain(self) -> None:
        """Let the caller hear the last words, then let them reach the context."""
        try:
            async with asyncio.timeout(DRAIN_DEADLINE_S):
                await self._wait_until_below(0)
                await self._heard.join()
        except TimeoutError:
            self._playout.interrupt()
