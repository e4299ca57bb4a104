"""One peer connection with a browser: its media, its data channel, its signs of life."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
from collections.abc import Callable
from typing import Any

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcconfiguration import RTCBundlePolicy
from aiortc.sdp import SessionDescription, candidate_from_sdp

from transports.call import MediaStats
from transports.decoders import OPUS_RATE_HZ
from transports.reorder import VoicePacket
from transports.webrtc import aiortc_internals
from transports.webrtc.audio import SpeechTrack

logger = logging.getLogger("offhook.webrtc")

CLOSE_DEADLINE_S = 2.0
FLUSH_DEADLINE_S = 0.3
MAX_BACKLOG_BYTES = 256 * 1024
MAX_CANDIDATES = 100

_closing: set[asyncio.Task[None]] = set()  # the loop holds its tasks weakly


class OfferError(ValueError):
    """The browser's offer or candidate can't be used; the message says why."""


def check_offer(offer: str) -> None:
    """Raises OfferError unless `offer` is an SDP with Opus audio and ICE and DTLS parameters."""
    try:
        media = SessionDescription.parse(offer).media
    except Exception as exc:  # aiortc's parser raises whatever it stumbles over
        raise OfferError("The offer isn't a session description.") from exc
    audio = [m for m in media if m.kind == "audio"]
    if len(audio) != 1:
        raise OfferError("The offer must have exactly one audio section.")
    if not any(codec.mimeType.lower() == "audio/opus" for codec in audio[0].rtp.codecs):
        raise OfferError("The offer must have Opus audio.")
    if audio[0].direction in ("sendonly", "inactive"):
        raise OfferError(f"The offer is {audio[0].direction}, so that nobody would hear the agent.")
    dtls, ice = audio[0].dtls, audio[0].ice
    if dtls is None or not dtls.fingerprints or ice is None or ice.usernameFragment is None:
        raise OfferError("The offer has no DTLS fingerprint or no ICE credentials.")
    if sum(len(m.ice_candidates) for m in media) > MAX_CANDIDATES:
        raise OfferError("Too many ICE candidates.")


class Peer:
    """An aiortc peer connection in the answering role. Calls back on the event loop."""

    def __init__(
        self,
        ice_servers: list[RTCIceServer],
        track: SpeechTrack,
        *,
        on_packet: Callable[[Peer, VoicePacket], None],
        on_message: Callable[[Peer, str | bytes], None],
        on_state: Callable[[Peer, str], None],
    ) -> None:
        self._pc = RTCPeerConnection(
            RTCConfiguration(iceServers=ice_servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._track = track
        self._on_packet = on_packet
        self._on_message = on_message
        self._channel: Any = None
        self._unsent: list[str] = []
        self._candidates = 0
        self._credentials: set[str] = set()
        self._pc.on("connectionstatechange", lambda: on_state(self, self._pc.connectionState))
        self._pc.on("datachannel", self._take_channel)

    @property
    def connected(self) -> bool:
        return bool(self._pc.connectionState == "connected")

    def knows(self, offer: str) -> bool:
        """Whether the offer continues this connection, and doesn't begin another."""
        return self.connected and self._credentials == _credentials(offer)

    async def accept(self, offer: str) -> str:
        """Take the offer (again, to renegotiate); returns the answer. Raises OfferError."""
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(_with_addresses(offer), "offer"))
            for transceiver in self._pc.getTransceivers():
                if transceiver.kind == "audio":
                    if transceiver.sender.track is not self._track:
                        self._tap(transceiver.receiver)
                        transceiver.sender.replaceTrack(self._track)
                    aiortc_internals.keep_opus(transceiver)
                    transceiver.direction = "sendrecv"
                else:
                    transceiver.direction = "inactive"
            await self._pc.setLocalDescription(await self._pc.createAnswer())
        except Exception as exc:  # the offer is a stranger's; whatever it breaks, the call is refused
            raise OfferError("The offer can't be answered.") from exc
        self._credentials = _credentials(offer)
        return str(self._pc.localDescription.sdp)

    async def add_candidate(self, candidate: str, sdp_mid: str, sdp_mline_index: int) -> None:
        """Take a trickled candidate. Raises OfferError.

        An empty one, which says that there are no more, is passed over: aioice gives up for good then where
        those before it were names.
        """
        self._candidates += 1
        if self._candidates > MAX_CANDIDATES:
            raise OfferError("Too many ICE candidates.")
        if not candidate:
            return
        try:
            parsed = candidate_from_sdp(candidate.removeprefix("candidate:"))
        except (ValueError, AssertionError, IndexError) as exc:
            raise OfferError("The ICE candidate can't be read.") from exc
        if not _is_address(parsed.ip):
            return
        parsed.sdpMid = sdp_mid
        parsed.sdpMLineIndex = sdp_mline_index
        await self._pc.addIceCandidate(parsed)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message, or keep it until the channel opens. Dropped if the browser stopped reading."""
        text = json.dumps(message, ensure_ascii=False)
        if self._channel is None:
            if sum(map(len, self._unsent)) < MAX_BACKLOG_BYTES:
                self._unsent.append(text)
        elif self._channel.readyState == "open" and self._channel.bufferedAmount < MAX_BACKLOG_BYTES:
            self._channel.send(text)

    async def stats(self) -> MediaStats:
        """Counted since this connection began."""
        stats = await self._pc.getStats()
        inbound = next((one for one in stats.values() if one.type == "inbound-rtp"), None)
        reported = next((one for one in stats.values() if one.type == "remote-inbound-rtp"), None)
        round_trip_s = reported.roundTripTime if reported else None
        return MediaStats(
            packets_received=inbound.packetsReceived if inbound else None,
            packets_lost=max(0, inbound.packetsLost) if inbound else None,
            jitter_ms=inbound.jitter * 1000 / OPUS_RATE_HZ if inbound else None,
            round_trip_ms=None if round_trip_s is None else max(0.0, round_trip_s * 1000),
        )

    async def close(self) -> None:
        """Send what is left in the channel, if that is quick, and close. Never raises."""
        if self.connected and self._channel is not None and self._channel.bufferedAmount:
            sent = asyncio.Event()
            self._channel.on("bufferedamountlow", sent.set)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(sent.wait(), FLUSH_DEADLINE_S)
        closing = asyncio.create_task(self._pc.close())
        _closing.add(closing)
        closing.add_done_callback(_closed)
        # A TURN server that doesn't answer takes longer, and half closed it would leave tasks behind.
        await asyncio.wait({closing}, timeout=CLOSE_DEADLINE_S)
        self._track.stop()

    def _tap(self, receiver: Any) -> None:
        def take(packet: Any) -> None:
            voice = VoicePacket(packet.sequence_number, packet.timestamp, packet.payload)
            self._on_packet(self, voice)

        aiortc_internals.tap(receiver, take)

    def _take_channel(self, channel: Any) -> None:
        if self._channel is not None:
            channel.close()
            return
        self._channel = channel
        channel.on("message", lambda message: self._on_message(self, message))
        unsent, self._unsent = self._unsent, []
        for text in unsent:
            channel.send(text)


def _closed(closing: asyncio.Task[None]) -> None:
    _closing.discard(closing)
    if not closing.cancelled() and (error := closing.exception()):
        logger.debug("a connection closed badly: %r", error)


def _credentials(offer: str) -> set[str]:
    return {line for line in offer.splitlines() if line.startswith("a=ice-ufrag:")}


def _with_addresses(offer: str) -> str:
    """The offer less candidates that are names, which resolving would ask the network for (mDNS).

    Also less the word that these were all: see `Peer.add_candidate`.
    """
    lines = offer.splitlines()
    kept = [
        line
        for line in lines
        if line != "a=end-of-candidates"
        and (
            not line.startswith("a=candidate:") or (len(parts := line.split()) > 4 and _is_address(parts[4]))
        )
    ]
    return "\r\n".join(kept) + "\r\n"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
