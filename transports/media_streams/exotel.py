"""Exotel's Voicebot applet: https://developer.exotel.com/docs/agentstream/stream-voicebot-applet"""

from __future__ import annotations

import json

from pipecat.serializers.exotel import ExotelFrameSerializer

from transports.media_streams import signatures
from transports.media_streams.carrier import (
    AnsweringCarrier,
    Document,
    Message,
    Opened,
    ProtocolError,
    part,
    text,
)
from transports.media_streams.signatures import SignedRequest
from transports.media_streams.tickets import Ticket


class Exotel(AnsweringCarrier):
    """Exotel signs nothing. `account` and `secret` are a user and password of your choice, put into the
    applet's URL, which Exotel sends as HTTP Basic.
    """

    name = "exotel"
    codec = "L16/8000"
    packet_ms = 100  # it wants 3,200 bytes at least, in multiples of 320

    def verify(self, request: SignedRequest, now: float) -> bool:
        return signatures.basic(request, self.account, self.secret)

    def ticket(self, request: SignedRequest) -> Ticket:
        said = request.parameters()
        caller = said.get("CallFrom", said.get("From", ""))
        called = said.get("CallTo", said.get("To", ""))
        return Ticket(self.name, said.get("CallSid", ""), caller, called)

    def answer(self, stream_url: str) -> Document:
        return Document(json.dumps({"url": stream_url}), "application/json")

    def refuse(self) -> None:
        return None

    def open(self, message: Message) -> Opened | None:
        if message.get("event") != "start":
            return None
        start = part(message, "start")
        stream_id, call_id = text(start, "stream_sid"), text(start, "call_sid")
        rate = str(part(start, "media_format").get("sample_rate", 8000))
        if rate not in ("8000", "16000"):
            raise ProtocolError("the stream's sample rate is neither 8000 nor 16000", 1003)
        params = ExotelFrameSerializer.InputParams(exotel_sample_rate=int(rate), sample_rate=int(rate))
        serializer = ExotelFrameSerializer(stream_id, call_id, params)
        return Opened(stream_id, call_id, serializer, int(rate))

    def mark(self, stream_id: str, name: str) -> str:
        return json.dumps({"event": "mark", "stream_sid": stream_id, "mark": {"name": name}})

    def reached(self, message: Message) -> str | None:
        return part(message, "mark").get("name") if message.get("event") == "mark" else None
