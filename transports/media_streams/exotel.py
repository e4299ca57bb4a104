"""Exotel's Voicebot applet: https://developer.exotel.com/docs/agentstream/stream-voicebot-applet"""

from __future__ import annotations

import json

from pipecat.serializers.exotel import ExotelFrameSerializer

from transports.media_streams import signatures
from transports.media_streams.carrier import Document, Message, Opened, ProtocolError, part, text
from transports.media_streams.signatures import SignedRequest
from transports.media_streams.tickets import Ticket
from transports.media_streams.twilio_family import TwilioFamily


class Exotel(TwilioFamily):
    """Exotel signs nothing. `account` and `secret` are a user and password of your choice, put into the
    applet's URL, which Exotel sends as HTTP Basic.
    """

    name = "exotel"
    codec = "L16/8000"
    stream_key = "stream_sid"
    packet_ms = 100  # what it wants at least, in multiples of 320 bytes

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

    def start(self, message: Message, start: Message) -> Opened:
        stream_id, call_id = text(start, "stream_sid"), text(start, "call_sid")
        rate = str(part(start, "media_format").get("sample_rate", 8000))
        if rate not in ("8000", "16000"):
            raise ProtocolError("the stream's sample rate is neither 8000 nor 16000", 1003)
        params = ExotelFrameSerializer.InputParams(exotel_sample_rate=int(rate), sample_rate=int(rate))
        serializer = ExotelFrameSerializer(stream_id, call_id, params)
        return Opened(stream_id, call_id, serializer, int(rate))
