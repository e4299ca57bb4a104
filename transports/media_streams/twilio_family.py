"""Twilio's way of asking and streaming, which Telnyx, Plivo and Exotel took over, each with changes."""

from __future__ import annotations

import abc
import json
from typing import ClassVar

from transports.media_streams.carrier import AnsweringCarrier, Document, Message, Opened, part
from transports.media_streams.signatures import SignedRequest
from transports.media_streams.tickets import Ticket

REJECT_BUSY = Document('<Response><Reject reason="busy"/></Response>')


class TwilioFamily(AnsweringCarrier):
    """Asks with a form; streams JSON objects with an `event`, of which `start` is the one that counts."""

    call_key: ClassVar[str] = "CallSid"  # of the form
    stream_key: ClassVar[str | None] = None  # of the messages to the carrier, where they name their stream

    def ticket(self, request: SignedRequest) -> Ticket:
        said = request.parameters()
        return Ticket(self.name, said.get(self.call_key, ""), said.get("From", ""), said.get("To", ""))

    def open(self, message: Message) -> Opened | None:
        if message.get("event") != "start":
            return None
        return self.start(message, part(message, "start"))

    @abc.abstractmethod
    def start(self, message: Message, start: Message) -> Opened:
        """What the `start` message says; `start` is its part of that name. Raises ProtocolError."""

    def mark(self, stream_id: str, name: str) -> str:
        stream = {self.stream_key: stream_id} if self.stream_key else {}
        return json.dumps({"event": "mark", **stream, "mark": {"name": name}})

    def reached(self, message: Message) -> str | None:
        return part(message, "mark").get("name") if message.get("event") == "mark" else None
