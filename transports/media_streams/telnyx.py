"""Telnyx media streaming: https://developers.telnyx.com/docs/voice/programmable-voice/media-streaming"""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from pipecat.serializers.telnyx import TelnyxFrameSerializer

from transports.media_streams import signatures
from transports.media_streams.carrier import Document, Message, Opened, ProtocolError, part, text
from transports.media_streams.signatures import SignedRequest
from transports.media_streams.twilio_family import REJECT_BUSY, TwilioFamily


class Telnyx(TwilioFamily):
    """`account` is the public key of its webhooks, `secret` an API key, with which calls are hung up."""

    name = "telnyx"
    codec = "PCMU/8000"

    def verify(self, request: SignedRequest, now: float) -> bool:
        return signatures.telnyx(request, self.account, now)

    def answer(self, stream_url: str) -> Document:
        return Document(
            f"<Response><Connect><Stream url={quoteattr(stream_url)} "
            'codec="PCMU" bidirectionalMode="rtp" bidirectionalCodec="PCMU"/></Connect></Response>'
        )

    def refuse(self) -> Document:
        return REJECT_BUSY

    def start(self, message: Message, start: Message) -> Opened:
        stream_id, call_id = text(message, "stream_id"), text(start, "call_control_id")
        encoding = part(start, "media_format").get("encoding", "PCMU")
        if encoding not in ("PCMU", "PCMA"):
            raise ProtocolError("the stream's codec is neither PCMU nor PCMA", 1003)
        serializer = TelnyxFrameSerializer(
            stream_id,
            outbound_encoding=encoding,  # as Telnyx sends
            inbound_encoding="PCMU",  # as Telnyx was told it gets
            call_control_id=call_id,
            api_key=self.secret,
            params=TelnyxFrameSerializer.InputParams(sample_rate=8000, auto_hang_up=bool(self.secret)),
        )
        return Opened(stream_id, call_id, serializer)
