"""A call that comes as a carrier's media stream."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from types import SimpleNamespace
from typing import Any, Protocol, cast

import numpy as np
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InputDTMFFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputTransportMessageUrgentFrame,
)
from pipecat.processors.frame_processor import FrameProcessor, FrameProcessorSetup

from transports.call import CallGone, CallInfo, CallTransport, EndReason, MediaStats
from transports.media_streams.carrier import (
    Carrier,
    MalformedMessage,
    Message,
    Opened,
    ProtocolError,
    parse,
    part,
)
from transports.media_streams.inflow import Inflow
from transports.media_streams.order import MediaOrder
from transports.media_streams.pacer import LEAD_PACKETS, Pacer
from transports.pipecat_io import CallInput, CallOutput
from transports.playout import SAMPLE_RATE_HZ, Playout
from transports.resampler import Resampler

logger = logging.getLogger("offhook.media_streams")

GONE_S = 15.0  # a live stream carries sound, or at least pings, all the time
HANGUP_S = 5.0  # for the carrier's API
CLOSE_S = 2.0  # for the carrier to close what it was asked to close
PLAYED_S = 0.5  # beyond what is known to be unplayed
MALFORMED = 300  # in a row, until the stream is ended
STARVED_S = 0.2  # a pause longer than jitter explains
FILL_EVERY_S = 0.05
QUEUED = 100  # messages that a carrier may be late in taking

# RFC 6455 and IANA's registry of close codes.
NORMAL, POLICY, BUSY, TIMEOUT = 1000, 1008, 1013, 3008


class StreamSocket(Protocol):
    """The WebSocket, as far as a call needs it."""

    async def receive(self) -> str | bytes | None:
        """The next message; None when the peer has closed."""

    async def send(self, data: str | bytes) -> None: ...
    async def close(self, code: int, reason: str) -> None: ...


class MediaStreamCall(CallTransport):
    """Between a carrier's messages and the pipeline. `run` reads the stream to its end."""

    def __init__(
        self, info: CallInfo, carrier: Carrier, opened: Opened, socket: StreamSocket, gone_s: float = GONE_S
    ) -> None:
        super().__init__(info, Playout())
        self._carrier = carrier
        self._opened = opened
        self._serializer = opened.serializer
        self._socket = socket
        self._gone_s = gone_s
        self._loop = asyncio.get_running_loop()
        self._input = CallInput()
        self._output = CallOutput(self.playout)
        self._resampler = Resampler(opened.rate_hz, SAMPLE_RATE_HZ)
        self.sent_delay_s = LEAD_PACKETS * carrier.packet_ms / 1000  # the carrier holds so much
        self._pacer = Pacer(self.playout, opened.rate_hz, carrier.packet_ms)
        self._inflow = Inflow(self._loop.time())
        self._order = MediaOrder()
        self._heard_until = self._loop.time()
        self.malformed = 0  # messages that were skipped
        self._outgoing: asyncio.Queue[Frame | str] = asyncio.Queue(QUEUED)
        self._tick: asyncio.Handle | None = None
        self._due = 0.0
        self._played = asyncio.Event()
        self._marks = 0
        self._packets = 0
        self._reading: asyncio.Task[EndReason] | None = None
        self._reading_over = asyncio.Event()
        self._hanging_up: asyncio.Task[None] | None = None
        self._stopped: EndReason | None = None
        self.close_code = NORMAL
        self.close_reason = ""

    def input(self) -> FrameProcessor:
        return self._input

    def output(self) -> FrameProcessor:
        return self._output

    async def answer(self) -> None:
        """The carrier has answered already: sound begins to flow."""
        if self._stopped is not None:
            raise CallGone("The stream has ended.", self._stopped)
        self.playout.on_cut = self._cut
        self._due = self._loop.time()
        self._pace()
        await self.fire("on_dialin_connected")

    async def media_stats(self) -> MediaStats:
        """All that came: over TCP nothing is lost here, and what was before, the carrier doesn't tell."""
        return MediaStats(self._packets)

    async def hangup(self) -> None:
        if self._hanging_up is None:
            self._hanging_up = asyncio.create_task(self._hang_up(), name=f"hangup-{self.info.id}")
        await asyncio.wait({self._hanging_up})

    async def refuse(self, code: int, reason: str) -> None:
        """Close a stream whose call nobody takes."""
        self.close_code, self.close_reason = code, reason
        await self._socket.close(code, reason)

    async def run(self, first: str | bytes) -> None:
        """Read the stream until it ends, from the message that opened it on; then say why it did."""
        reason = EndReason.TRANSPORT_FAILURE
        # There is no pipeline around a serializer here, and of all that only the rate is read.
        setup = SimpleNamespace(audio_in_sample_rate=self._opened.rate_hz)
        await self._serializer.setup(cast(FrameProcessorSetup, setup))
        sending = asyncio.create_task(self._send_queued(), name=f"sends-{self.info.id}")
        reading = asyncio.create_task(self._read(first), name=f"reads-{self.info.id}")
        bridging = asyncio.create_task(self._bridge_pauses(), name=f"bridges-{self.info.id}")
        self._reading = reading
        try:
            await asyncio.wait({sending, reading}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and sending.exception():
                reason = EndReason.CALLER_GONE  # it takes nothing any more
                self.close_code, self.close_reason = TIMEOUT, "nothing was taken for too long"
            elif reading.done() and not reading.cancelled():
                reason = reading.result()
        except ProtocolError as error:
            self.close_code, self.close_reason = error.code, str(error)
            logger.warning("call %s: %s", self.info.id, error)
        finally:
            self._reading_over.set()
            tasks: tuple[asyncio.Task[Any], ...] = (sending, reading, bridging)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            if self.malformed:
                logger.warning("call %s: skipped %d malformed messages", self.info.id, self.malformed)
            if self._tick is not None:
                self._tick.cancel()
            self.playout.on_cut = None
            if self._hanging_up is not None:
                reason = EndReason.AGENT_HANGUP
            self._stopped = reason
            await self.fire("on_dialin_stopped", reason)

    async def _read(self, first: str | bytes) -> EndReason:
        data: str | bytes | None = first
        in_a_row = 0
        while data is not None:
            message = None
            try:
                message = parse(data) if isinstance(data, str) else None
                await self._take(data, message)
                in_a_row = 0
            except MalformedMessage:
                self._admit(0.0)
                self.malformed += 1
                in_a_row += 1
                if in_a_row > MALFORMED:
                    raise
            if message is not None and self._carrier.ended(message):
                return EndReason.CALLER_HANGUP
            try:
                async with asyncio.timeout(self._gone_s):
                    data = await self._socket.receive()
            except TimeoutError:
                self.close_code, self.close_reason = TIMEOUT, "nothing came for too long"
                return EndReason.CALLER_GONE
        return EndReason.CALLER_HANGUP

    async def _take(self, data: str | bytes, message: Message | None) -> None:
        try:
            frame = await self._serializer.deserialize(data)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise MalformedMessage("a message isn't what the carrier's protocol has") from error
        audio_ms = 0.0
        if isinstance(frame, InputAudioRawFrame):
            audio_ms = len(frame.audio) / 2 * 1000 / self._opened.rate_hz
        self._admit(audio_ms)
        if isinstance(frame, InputAudioRawFrame):
            self._packets += 1
            await self._hear(
                self._order.add(part(message or {}, "media"), frame.audio[: len(frame.audio) // 2 * 2])
            )
        elif isinstance(frame, InputDTMFFrame):
            await self._input.feed_dtmf(frame)
            await self.fire("on_dtmf_event", frame.button.value)
        elif isinstance(frame, OutputTransportMessageUrgentFrame):  # the protocol's own reply
            await self._send(frame)
        elif message is not None and self._carrier.reached(message) == str(self._marks):
            self._played.set()

    def _admit(self, audio_ms: float) -> None:
        if not self._inflow.admits(audio_ms, self._loop.time()):
            raise ProtocolError("the stream floods", POLICY)

    async def _hear(self, pcm: bytes) -> None:
        if pcm:
            self._heard_until = self._loop.time()
            await self._input.feed(self._resampler.process(np.frombuffer(pcm, np.int16)).tobytes())

    async def _bridge_pauses(self) -> None:
        """Silence where nothing comes, so that the listener's clock goes on and a turn finds its end."""
        while True:
            await asyncio.sleep(FILL_EVERY_S)
            now = self._loop.time()
            if now - self._heard_until < STARVED_S:
                continue
            if rest := self._order.give_up():
                await self._hear(rest)
                continue
            missing = int((now - STARVED_S + FILL_EVERY_S - self._heard_until) * SAMPLE_RATE_HZ)
            self._heard_until += missing / SAMPLE_RATE_HZ
            await self._input.feed(bytes(2 * missing))

    def _pace(self) -> None:
        now = self._loop.time()
        packet_s = self._carrier.packet_ms / 1000
        if now - self._due > 5 * packet_s:  # the loop stood still: no burst
            self._due = now
        with contextlib.suppress(asyncio.QueueFull):  # `_send_queued` gives up on who takes nothing
            for packet in self._pacer.packets(now):
                self._outgoing.put_nowait(OutputAudioRawFrame(packet, self._opened.rate_hz, 1))
        self._due += packet_s
        self._tick = self._loop.call_at(self._due, self._pace)

    def _cut(self) -> None:
        """Barge-in: the carrier drops what it holds, and the fade goes out at once, from there on."""
        now = self._loop.time()
        if self._tick is None or self._outgoing.full():
            return
        self._pacer.cut(now)
        self._outgoing.put_nowait(InterruptionFrame())
        self._tick.cancel()
        self._due = now
        self._tick = self._loop.call_soon(self._pace)

    async def _send_queued(self) -> None:
        while True:
            item = await self._outgoing.get()
            async with asyncio.timeout(self._gone_s):
                await self._send(item)

    async def _send(self, item: Frame | str) -> None:
        data = item if isinstance(item, str) else await self._serializer.serialize(item)
        if data is not None:
            await self._socket.send(data)

    async def _hang_up(self) -> None:
        try:
            await self._wait_until_played()
            async with asyncio.timeout(HANGUP_S):
                if not self._reading_over.is_set():
                    await self._send(EndFrame())  # by the carrier's API, where there are credentials
            if self._carrier.closes_itself:
                async with asyncio.timeout(CLOSE_S):
                    await self._reading_over.wait()
        except TimeoutError:
            logger.warning("call %s: the carrier was slow to hang up", self.info.id)
        finally:
            await self._socket.close(self.close_code, self.close_reason)
            if self._reading is not None:
                _, open_still = await asyncio.wait({self._reading}, timeout=CLOSE_S)
                for reading in open_still:  # the peer doesn't answer the close
                    reading.cancel()

    async def _wait_until_played(self) -> None:
        """Let the carrier play what it has: the end of a goodbye, most often."""
        ahead_ms = self._pacer.ahead_ms(self._loop.time())
        if ahead_ms == 0 or self._reading_over.is_set() or self._outgoing.full():
            return
        self._marks += 1
        self._played.clear()
        mark = self._carrier.mark(self._opened.stream_id, str(self._marks))
        if mark is not None:
            self._outgoing.put_nowait(mark)
        wait_s = ahead_ms / 1000 + (PLAYED_S if mark is not None else 0)
        over = [asyncio.ensure_future(event.wait()) for event in (self._played, self._reading_over)]
        await asyncio.wait(over, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        for waiting in over:
            waiting.cancel()
