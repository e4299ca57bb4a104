"""A call from a browser."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from aiortc import RTCIceServer
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import (
    InputDTMFFrame,
    InputTransportMessageFrame,
    OutputTransportMessageFrame,
    OutputTransportMessageUrgentFrame,
)
from pipecat.processors.frame_processor import FrameProcessor
from pydantic_core import from_json

from transports.call import CallGone, CallInfo, CallTransport, EndReason, MediaStats
from transports.pipecat_io import CallInput, CallOutput
from transports.playout import Playout
from transports.reorder import VoicePacket
from transports.webrtc.audio import IncomingSpeech, SpeechTrack
from transports.webrtc.peer import OfferError, Peer

logger = logging.getLogger("offhook.webrtc")

MESSAGE_LABEL = "rtvi-ai"
# A browser whose packets stop has probably lost its network: what the agent still has to say waits for
# it to come back.
STALLED_S = 2.0
MAX_MESSAGE_BYTES = 16 * 1024
# Messages a browser may send in a second; the page's own keypad and text box come nowhere near.
MAX_MESSAGES_PER_S = 50


class WebRtcInput(CallInput):
    """Passes the browser's messages into the pipeline too, where Pipecat's RTVI processor takes them."""

    async def feed_message(self, message: dict[str, Any]) -> None:
        if self._running:
            await self.broadcast_frame(InputTransportMessageFrame, message=message)


class WebRtcOutput(CallOutput):
    """Sends the pipeline's messages through the data channel."""

    def __init__(self, call: WebRtcCall) -> None:
        super().__init__(call.playout)
        self._call = call

    async def send_message(
        self, frame: OutputTransportMessageFrame | OutputTransportMessageUrgentFrame
    ) -> None:
        await self._call.send_message(frame.message)


class WebRtcCall(CallTransport):
    """A browser's call, through as many peer connections as its network makes necessary.

    The call outlives its connection for `gone_s` after the last packet or message that came; a
    browser that comes back within that time goes on where it was.
    """

    carries_messages = True

    def __init__(
        self, info: CallInfo, offer: str, ice_servers: Callable[[], list[RTCIceServer]], gone_s: float
    ) -> None:
        """`ice_servers` is asked for each connection: a TURN server's credentials end before a long call."""
        super().__init__(info, Playout())
        self._offer = offer
        self._ice_servers = ice_servers
        self._gone_s = gone_s
        self._input = WebRtcInput()
        self._output = WebRtcOutput(self)
        self._peer: Peer | None = None
        self._speech = IncomingSpeech()
        self._received: asyncio.Queue[bytes | dict[str, Any]] = asyncio.Queue(maxsize=200)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._heard_at = time.monotonic()
        self._messages_in_second = (0, 0)
        self._connected_once = False
        self._ending: asyncio.Task[None] | None = None
        self.answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def input(self) -> FrameProcessor:
        return self._input

    def output(self) -> FrameProcessor:
        return self._output

    @property
    def over(self) -> bool:
        return self._ending is not None

    async def answer(self) -> None:
        if self.over:
            raise CallGone("The browser has left.")
        try:
            answer = await self._connect(self._offer)
        except OfferError as exc:
            if not self.answered.done():
                self.answered.set_exception(exc)
            await self._end(EndReason.TRANSPORT_FAILURE)
            raise CallGone(str(exc), EndReason.TRANSPORT_FAILURE) from exc
        self._heard_at = time.monotonic()
        self._start(self._watch())
        self._start(self._deliver())
        if self.answered.done():  # whoever asked has stopped waiting
            await self._end(EndReason.CALLER_CANCELLED)
            raise CallGone("The browser has left.")
        self.answered.set_result(answer)

    async def reconnect(self, offer: str, *, restart: bool) -> str:
        """Go on over a new connection, or renegotiate the one there is. Returns the answer.

        Raises OfferError, or CallGone if the call is over.
        """
        if self.over or self._peer is None:
            raise CallGone("The call is over.")
        if self._peer.knows(offer) and not restart:
            return await self._peer.accept(offer)
        answer = await self._connect(offer)
        self._heard_at = time.monotonic()
        return answer

    async def add_candidate(self, candidate: str, sdp_mid: str, sdp_mline_index: int) -> None:
        """Raises OfferError."""
        if self._peer is not None:
            await self._peer.add_candidate(candidate, sdp_mid, sdp_mline_index)

    async def send_message(self, message: dict[str, Any]) -> None:
        if self._peer is not None:
            self._peer.send(message)

    async def media_stats(self) -> MediaStats:
        return await self._peer.stats() if self._peer else MediaStats()

    async def hangup(self) -> None:
        await self._end(EndReason.AGENT_HANGUP)

    async def hung_up(self) -> None:
        """The browser said goodbye."""
        await self._end(EndReason.CALLER_HANGUP)

    async def _connect(self, offer: str) -> str:
        """Raises OfferError, or CallGone if the call is over by then."""
        track = SpeechTrack(lambda samples: self._pull(peer, samples))
        peer = Peer(
            self._ice_servers(),
            track,
            on_packet=self._take_packet,
            on_message=self._take_message,
            on_state=self._take_state,
        )
        try:
            answer = await peer.accept(offer)
            if self.over:
                raise CallGone("The call is over.")
        except BaseException:
            await peer.close()
            raise
        old, self._peer = self._peer, peer
        self._speech = IncomingSpeech()
        if old is not None:
            closing = asyncio.create_task(old.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        return answer

    def _pull(self, peer: Peer, samples: int) -> bytes:
        if peer is not self._peer:  # it closes, and nobody is behind it any more
            return bytes(samples * 2)
        now = time.monotonic()
        if silence := self._speech.fill(now):
            self._queue(silence)
        if now - self._heard_at > STALLED_S:
            return bytes(samples * 2)
        return self.playout.pull(samples)

    def _take_packet(self, peer: Peer, packet: VoicePacket) -> None:
        if peer is self._peer:
            self._heard_at = now = time.monotonic()
            if pcm := self._speech.receive(packet, now):
                self._queue(pcm)

    def _take_message(self, peer: Peer, text: str | bytes) -> None:
        if peer is not self._peer:
            return
        self._heard_at = now = time.monotonic()
        second, count = self._messages_in_second
        self._messages_in_second = (int(now), count + 1 if second == int(now) else 1)
        if self._messages_in_second[1] > MAX_MESSAGES_PER_S:
            if not self.over:
                logger.warning("call %s: the browser floods its data channel", self.info.id)
                self._start(self._end(EndReason.TRANSPORT_FAILURE))
            return
        if isinstance(text, bytes) or len(text) > MAX_MESSAGE_BYTES or text.startswith("ping"):
            return
        try:
            message = from_json(text)  # of whole characters only, and not nested without end
        except ValueError:
            return
        if isinstance(message, dict):
            self._queue(message)

    def _take_state(self, peer: Peer, state: str) -> None:
        if peer is self._peer and state == "connected":
            self._heard_at = time.monotonic()
            if not self._connected_once:
                self._connected_once = True
                self._start(self.fire("on_dialin_connected"))

    def _queue(self, item: bytes | dict[str, Any]) -> None:
        # A pipeline that is this far behind (4 s) has failed; the caller's newest words are worth more.
        if self._received.full():
            self._received.get_nowait()
        self._received.put_nowait(item)

    async def _deliver(self) -> None:
        """Bring what came to the pipeline, in order."""
        while True:
            item = await self._received.get()
            if isinstance(item, bytes):
                await self._input.feed(item)
            else:
                await self._obey(item)

    async def _obey(self, message: dict[str, Any]) -> None:
        rtvi = message.get("label") == MESSAGE_LABEL
        if rtvi and message.get("type") == "disconnect-bot":
            self._start(self.hung_up())
        elif rtvi and message.get("type") == "dtmf":
            for key in _keys(message.get("data")):
                await self._input.feed_dtmf(InputDTMFFrame(button=key))
                await self.fire("on_dtmf_event", key.value)
        elif rtvi:
            await self.fire("on_message", message)
            await self._input.feed_message(message)

    async def _watch(self) -> None:
        """End the call once nothing has come from the browser for too long."""
        while True:
            left_s = self._gone_s - (time.monotonic() - self._heard_at)
            if left_s <= 0:
                break
            await asyncio.sleep(left_s)
        self._start(self._end(EndReason.CALLER_GONE))

    def _start(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self, reason: EndReason) -> None:
        if self._ending is None:
            self._ending = asyncio.create_task(self._close(reason))
        await asyncio.shield(self._ending)

    async def _close(self, reason: EndReason) -> None:
        if not self.answered.done():
            self.answered.cancel()
        if self._peer is not None:
            self._peer.send({"type": "signalling", "message": {"type": "peerLeft", "reason": reason}})
            await self._peer.close()
        await self.fire("on_dialin_stopped", reason)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._closing, return_exceptions=True)


def _keys(data: Any) -> list[KeypadEntry]:
    """The keys of an RTVI `dtmf` message, those that exist."""
    buttons = data.get("buttons") if isinstance(data, dict) else None
    if not isinstance(buttons, list):
        return []
    keys = {entry.value: entry for entry in KeypadEntry}
    return [keys[b] for b in buttons[:32] if isinstance(b, str) and b in keys]
