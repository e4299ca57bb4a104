"""Twilio Media Streams: https://www.twilio.com/docs/voice/media-streams/websocket-messages"""

from __future__ import annotations

from typing import ClassVar
from xml.sax.saxutils import quoteattr

from pipecat.serializers.twilio import TwilioFrameSerializer

from transports.media_streams import signatures
from transports.media_streams.carrier import Document, Message, Opened, text
from transports.media_streams.signatures import SignedRequest
from transports.media_streams.twilio_family import REJECT_BUSY, TwilioFamily


class Twilio(TwilioFamily):
    """`account` is the Account SID, `secret` the Auth Token."""

    name = "twilio"
    codec = "PCMU/8000"
    stream_key = "streamSid"
    api_url: ClassVar[str | None] = None  # Twilio's own

    def verify(self, request: SignedRequest, now: float) -> bool:
        return signatures.twilio(request, self.secret)

    def answer(self, stream_url: str) -> Document:
        return Document(f"<Response><Connect><Stream url={quoteattr(stream_url)}/></Connect></Response>")

    def refuse(self) -> Document:
        return REJECT_BUSY

    def start(self, message: Message, start: Message) -> Opened:
        stream_id, call_id = text(start, "streamSid"), text(start, "callSid")
        hangs_up = bool(self.account)
        params = TwilioFrameSerializer.InputParams(sample_rate=8000, auto_hang_up=hangs_up)
        serializer = TwilioFrameSerializer(
            stream_id, call_id, self.account, self.secret, base_url=self.api_url, params=params
        )
        return Opened(stream_id, call_id, serializer)
