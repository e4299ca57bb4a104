"""A call as a browser makes it: an offer over HTTP, then Opus in SRTP over ICE, with a data channel.

What is measured: a packet of ours has left when aiortc has encrypted it and handed it to the socket. A
packet of the agent's has arrived when aiortc has taken it from the socket and decrypted it, before its
jitter buffer (whose 80 ms would be the caller's own) and before it is decoded. Asyncio gives no kernel
time stamps, so the scheduling of this process, which has little else to do, is part of the figure; and
so is Opus's own look-ahead of 6.5 ms in each direction, as it is for every browser.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import time
from typing import Any

import httpx2
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription

from bench.caller import opus, rtp
from bench.caller.api import api_headers
from bench.caller.impair import level_dbfs
from bench.caller.media import Media, Packet
from bench.caller.outcome import Outcome
from bench.caller.recording import ReceivedPacket
from bench.caller.script import Outgoing, Samples, Script
from transports.webrtc import aiortc_internals

OFFER = "/api/v1/webrtc/offer"
POLL_S = 0.02
SEND_TIMEOUT_S = 1.0
HTTP_TIMEOUT_S = 10.0


def call(script: Script, media: Media) -> Outcome:
    return asyncio.run(_Call(script, media).make())


class _Call:
    def __init__(self, script: Script, media: Media) -> None:
        self._script = script
        self._media = media
        self._outcome = Outcome()
        self._began = time.monotonic()
        self._settled = asyncio.Event()
        self._left = False

    async def make(self) -> Outcome:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peer.on("connectionstatechange", lambda: self._take_state(peer.connectionState))
        http = httpx2.AsyncClient(
            base_url=self._script.api,
            headers=api_headers(os.environ),
            trust_env=False,
            timeout=HTTP_TIMEOUT_S,
        )
        try:
            async with http:
                await self._over(peer, http)
        except httpx2.HTTPError as error:
            self._outcome.findings.append(f"the server can't be asked: {error or type(error).__name__}")
        finally:
            await asyncio.to_thread(self._media.stop)
            await peer.close()
        return self._outcome

    async def _over(self, peer: Any, http: httpx2.AsyncClient) -> None:
        transceiver = peer.addTransceiver("audio", direction="sendrecv")
        codecs = RTCRtpSender.getCapabilities("audio").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "audio/opus"])
        channel = peer.createDataChannel("rtvi", ordered=True)
        channel.on("message", self._take_message)
        await peer.setLocalDescription(await peer.createOffer())
        offer = {"sdp": peer.localDescription.sdp, "type": "offer"}
        asked = await http.post(OFFER, json={**offer, "request_data": {"called": self._script.user}})
        self._log("out", f"POST {OFFER}: {asked.status_code}")
        self._outcome.status = asked.status_code
        if asked.status_code != 200:
            self._outcome.outcome, self._outcome.ended_by = "refused", "refused"
            self._outcome.reason = _detail(asked)
            return
        answer = asked.json()
        payload_type = _opus_payload_type(answer["sdp"])
        aiortc_internals.tap(transceiver.receiver, _Incoming(self._media).take)
        try:
            await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
            if not await self._connected(peer):
                self._outcome.findings.append("no way was found for the media")
                return
            self._outcome.outcome, self._outcome.codec = "answered", "opus"
            self._outcome.acked_at = time.monotonic()
            self._media.start(_OpusWire(transceiver.sender, channel, payload_type))
            self._outcome.ended_by = await self._ended(peer)
        finally:
            # The one who left may be unknown already.
            with contextlib.suppress(httpx2.HTTPError):
                gone = await http.delete(f"{OFFER}/{answer['pc_id']}")
                self._log("out", f"DELETE {OFFER}: {gone.status_code}")

    async def _connected(self, peer: Any) -> bool:
        left_s = self._began + self._script.answer_timeout_s - time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await self._settled.wait()
        return bool(peer.connectionState == "connected")

    async def _ended(self, peer: Any) -> str:
        """Who ended it."""
        until = self._began + self._script.max_s
        while not self._media.finished.is_set() and time.monotonic() < until:
            if self._left or peer.connectionState in ("failed", "closed"):
                return "agent"
            await asyncio.sleep(POLL_S)
        return "caller"

    def _take_state(self, state: str) -> None:
        self._log("state", state)
        if state in ("connected", "failed", "closed"):
            self._settled.set()

    def _take_message(self, text: str | bytes) -> None:
        with contextlib.suppress(ValueError, AttributeError):
            if json.loads(text).get("message", {}).get("type") == "peerLeft":
                self._left = True
                self._log("in", "peerLeft")

    def _log(self, direction: str, what: str) -> None:
        self._outcome.signalling.append([time.monotonic(), direction, what])


class _OpusWire:
    """Sends RTP of our own making through aiortc's SRTP, so that what the line loses has a number too."""

    def __init__(self, sender: Any, channel: Any, payload_type: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._sender = sender
        self._channel = channel
        self._payload_type = payload_type
        self._encoder = opus.Encoder()
        self._stream = rtp.Stream(opus.PACKET_TICKS, aiortc_internals.ssrc(sender))

    def packet(self, samples: Samples, outgoing: Outgoing) -> Packet:
        sound = self._stream.next(self._payload_type) + self._encoder.encode(samples)
        if outgoing.digit and outgoing.digit_tick == 0:
            return sound, _pressed(outgoing.digit)
        return (sound,)

    def send(self, packet: Packet) -> float | None:
        """Called on the sending thread, which the loop's thread waits for at the end."""
        sending = asyncio.run_coroutine_threadsafe(self._send(packet), self._loop)
        try:
            return sending.result(SEND_TIMEOUT_S)
        except (ConnectionError, TimeoutError):
            sending.cancel()
            return None

    async def _send(self, packet: Packet) -> float:
        for part in packet:
            if isinstance(part, bytes):
                await aiortc_internals.send_rtp(self._sender, part)
            elif self._channel.readyState == "open":
                self._channel.send(part)
        return time.monotonic()


def _pressed(digit: str) -> str:
    """As offhook's page says it."""
    return json.dumps({"label": "rtvi-ai", "type": "dtmf", "id": "1", "data": {"buttons": [digit]}})


class _Incoming:
    """Takes each packet as it comes."""

    def __init__(self, media: Media) -> None:
        self._media = media
        self._decoder = opus.Decoder()
        self._clock = rtp.PlayClock(opus.CLOCK_HZ)

    def take(self, packet: Any) -> None:
        at = time.monotonic()
        try:
            samples = self._decoder.decode(packet.payload)
        except ValueError:
            self._media.recording.unreadable += 1
            return
        received = ReceivedPacket(
            at,
            packet.sequence_number,
            level_dbfs(samples),
            packet.timestamp,
            packet.ssrc,
            packet.payload_type,
        )
        self._media.hear(received, samples, self._clock.played_at(packet.ssrc, packet.timestamp, at))


def _opus_payload_type(sdp: str) -> int:
    """Raises ValueError if the answer has no Opus."""
    found = re.search(r"^a=rtpmap:(\d+) opus/48000", sdp, re.IGNORECASE | re.MULTILINE)
    if found is None:
        raise ValueError("the answer has no Opus")
    return int(found[1])


def _detail(response: httpx2.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return response.reason_phrase
