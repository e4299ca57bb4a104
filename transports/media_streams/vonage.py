"""Vonage Voice over WebSockets: https://developer.vonage.com/en/voice/voice-api/guides/websockets"""

from __future__ import annotations

import contextlib
import json

from pipecat.serializers.vonage import VonageFrameSerializer

from transports.media_streams import signatures
from transports.media_streams.carrier import AnsweringCarrier, Document, Message, Opened, part
from transports.media_streams.signatures import SignedRequest
from transports.media_streams.tickets import Ticket

_RATE_HZ = 16_000


class Vonage(AnsweringCarrier):
    """`account` is the API key, `secret` the signature secret.

    When the stream is closed the NCCO has nothing left to do, which hangs up.
    """

    name = "vonage"
    codec = "L16/16000"

    def verify(self, request: SignedRequest, now: float) -> bool:
        return signatures.vonage(request, self.secret, self.account, now)

    def ticket(self, request: SignedRequest) -> Ticket:
        said = request.parameters()
        if request.body and not request.form:
            with contextlib.suppress(ValueError, AttributeError):  # signed by Vonage, so only unhelpful
                said |= {name: str(value) for name, value in json.loads(request.body).items()}
        return Ticket(self.name, said.get("uuid", ""), said.get("from", ""), said.get("to", ""))

    def answer(self, stream_url: str) -> Document:
        endpoint = {"type": "websocket", "uri": stream_url, "content-type": f"audio/l16;rate={_RATE_HZ}"}
        ncco = [{"action": "connect", "endpoint": [endpoint]}]
        return Document(json.dumps(ncco), "application/json")

    def refuse(self) -> None:
        return None

    def open(self, message: Message) -> Opened | None:
        if message.get("event") != "websocket:connected":
            return None
        params = VonageFrameSerializer.InputParams(vonage_sample_rate=_RATE_HZ, sample_rate=_RATE_HZ)
        # Its messages name neither the stream nor the call: the token alone does.
        return Opened("", "", VonageFrameSerializer(params), _RATE_HZ)

    def mark(self, stream_id: str, name: str) -> str:
        return json.dumps({"action": "notify", "payload": {"name": name}})

    def reached(self, message: Message) -> str | None:
        return part(message, "payload").get("name") if message.get("event") == "websocket:notify" else None
