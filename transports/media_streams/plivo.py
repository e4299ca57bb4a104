"""Plivo audio streaming: https://www.plivo.com/docs/voice-agents/audio-streaming"""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

from pipecat.serializers.plivo import PlivoFrameSerializer

from transports.media_streams import signatures
from transports.media_streams.carrier import Document, Message, Opened, text
from transports.media_streams.signatures import SignedRequest
from transports.media_streams.twilio_family import TwilioFamily


class Plivo(TwilioFamily):
    """`account` is the Auth ID, `secret` the Auth Token."""

    name = "plivo"
    codec = "PCMU/8000"
    call_key = "CallUUID"

    def verify(self, request: SignedRequest, now: float) -> bool:
        return signatures.plivo(request, self.secret)

    def answer(self, stream_url: str) -> Document:
        return Document(
            '<Response><Stream bidirectional="true" keepCallAlive="true" '
            f'contentType="audio/x-mulaw;rate=8000">{escape(stream_url)}</Stream></Response>'
        )

    def refuse(self) -> Document:
        return Document('<Response><Hangup reason="busy"/></Response>')

    def start(self, message: Message, start: Message) -> Opened:
        stream_id, call_id = text(start, "streamId"), text(start, "callId")
        params = PlivoFrameSerializer.InputParams(sample_rate=8000, auto_hang_up=bool(self.account))
        serializer = PlivoFrameSerializer(stream_id, call_id, self.account, self.secret, params)
        return Opened(stream_id, call_id, serializer)

    def mark(self, stream_id: str, name: str) -> str:
        return json.dumps({"event": "checkpoint", "streamId": stream_id, "name": name})

    def reached(self, message: Message) -> str | None:
        return message.get("name") if message.get("event") == "playedStream" else None
