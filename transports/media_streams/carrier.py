"""What a carrier is to us: how it asks, how it is answered, and how its stream speaks."""

from __future__ import annotations

import abc
import json
from dataclasses import dataclass
from typing import Any, ClassVar

from pipecat.serializers.base_serializer import FrameSerializer

from config.carriers import CarrierCredentials
from transports.media_streams.signatures import SignedRequest
from transports.media_streams.tickets import Ticket

Message = dict[str, Any]


class ProtocolError(Exception):
    """The stream sent what its protocol doesn't allow; `code` is the close code that says so."""

    def __init__(self, reason: str, code: int = 1002) -> None:
        super().__init__(reason)
        self.code = code


class MalformedMessage(ProtocolError):
    """One message can't be read; the stream may go on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, 1007)


@dataclass(frozen=True)
class Document:
    """What a carrier is answered."""

    body: str
    media_type: str = "application/xml"


@dataclass(frozen=True)
class Opened:
    """What the stream's first messages say."""

    stream_id: str
    call_id: str
    serializer: FrameSerializer
    rate_hz: int = 8000
    caller: str = ""
    called: str = ""
    probe: bool = False  # a trial connection, without a caller


class Carrier(abc.ABC):
    """One carrier. Its streams' frames are put into messages by Pipecat's serializer for it.

    The serializers run at the wire's own rate: their resampler hands out 8 kHz sound in bursts of
    about 100 ms, measured, so the rate is changed outside.
    """

    name: ClassVar[str]
    codec: ClassVar[str]
    packet_ms: ClassVar[int] = 20
    # Whether the stream's end comes from the carrier, after it was asked for.
    closes_itself: ClassVar[bool] = False

    def __init__(self, credentials: CarrierCredentials) -> None:
        self.account = credentials.account
        self.secret = credentials.secret.get_secret_value() if credentials.secret else ""

    @abc.abstractmethod
    def verify(self, request: SignedRequest, now: float) -> bool:
        """Whether the carrier itself sent this request; `now` is Unix time. Raises WrongClock."""

    @abc.abstractmethod
    def open(self, message: Message) -> Opened | None:
        """What the message says of the stream; None if it isn't the one that starts it.

        Raises ProtocolError.
        """

    @abc.abstractmethod
    def mark(self, stream_id: str, name: str) -> str | None:
        """Asks to be told when everything sent so far was played; None if the carrier can't."""

    @abc.abstractmethod
    def reached(self, message: Message) -> str | None:
        """The name of the mark that this message says was reached."""

    def ended(self, message: Message) -> bool:
        """Whether this message ends the stream."""
        return message.get("event") == "stop"


class AnsweringCarrier(Carrier):
    """A carrier that first asks what to do with a call."""

    @abc.abstractmethod
    def ticket(self, request: SignedRequest) -> Ticket:
        """Whose call the request is about."""

    @abc.abstractmethod
    def answer(self, stream_url: str) -> Document:
        """Has the carrier open a stream to `stream_url` (wss://...)."""

    @abc.abstractmethod
    def refuse(self) -> Document | None:
        """Has the carrier tell its caller that the line is busy; None if it only knows HTTP's 503."""


def parse(data: str | bytes) -> Message:
    """A text message of the stream. Raises MalformedMessage."""
    try:
        message = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage("a message isn't JSON") from error
    if not isinstance(message, dict):
        raise MalformedMessage("a message isn't a JSON object")
    return message


def part(message: Message, name: str) -> Message:
    """An object inside the message, empty if it isn't there."""
    value = message.get(name)
    return value if isinstance(value, dict) else {}


def text(message: Message, name: str) -> str:
    """A string inside the message. Raises ProtocolError if it isn't there."""
    value = message.get(name)
    if not isinstance(value, str) or not value or len(value) > 200:
        raise ProtocolError(f"'{name}' is missing where the stream starts")
    return value
