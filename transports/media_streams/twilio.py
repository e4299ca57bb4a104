"""Twilio Media Streams: https://www.twilio.com/docs/voice/media-streams/websocket-messages"""

from __future__ import annotations

import json
from typing import ClassVar
from xml.sax.saxutils import quoteattr

from pipecat.serializers.twilio import TwilioFrameSerializer

from transports.media_streams import signatures
from transports.media_streams.carrier import AnsweringCarrier, Document, Message, Opened, part, text
from transports.media_streams.signatures import SignedRequest
from transports.media_streams.tickets import Ticket


class Twilio(AnsweringCarrier):
    """`account` is the Account SID, `secret` the Auth Token."""

    name = "twilio"
    codec = "PCMU/8000"
    api_url: ClassVar[str | None] = None  # Twilio's own

    def verify(self, request: SignedRequest, now: float) -> bool:
        return signatures.twilio(request, self.secret)

    def ticket(self, request: SignedRequest) -> Ticket:
        said = request.parameters()
        return Ticket(self.name, said.get("CallSid", ""), said.get("From", ""), said.get("To", ""))

    def answer(self, stream_url: str) -> Document:
        return Document(f"<Response><Connect><Stream url={quoteattr(stream_url)}/></Connect></Response>")

    def refuse(self) -> Document:
        return Document('<Response><Reject reason="busy"/></Response>')

    def open(self, message: Message) -> Opened | None:
        if message.get("event") != "start":
            return None
        start = part(message, "start")
        stream_id, call_id = text(start, "streamSid"), text(start, "callSid")
        hangs_up = bool(self.account)
        params = TwilioFrameSerializer.InputParams(sample_rate=8000, auto_hang_up=hangs_up)
        serializer = TwilioFrameSerializer(
            stream_id, call_id, self.account, self.secret, base_url=self.api_url, params=params
        )
        return Opened(stream_id, call_id, serializer)

    def mark(self, stream_id: str, name: str) -> str:
        return json.dumps({"event": "mark", "streamSid": stream_id, "mark": {"name": name}})

    def reached(self, message: Message) -> str | None:
        return part(message, "mark").get("name") if message.get("event") == "mark" else None
