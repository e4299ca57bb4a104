"""Genesys AudioHook, as Genesys Cloud's bot connectors use it: https://developer.genesys.cloud/devapps/audiohook"""

from __future__ import annotations

from loguru import logger as loguru_logger
from pipecat.serializers.genesys import GenesysAudioHookSerializer

from config.carriers import CarrierCredentials
from transports.media_streams import signatures
from transports.media_streams.carrier import Carrier, Message, Opened, ProtocolError, part, text
from transports.media_streams.signatures import SignedRequest
from transports.media_streams.tickets import Nonces

# It logs callers' numbers.
loguru_logger.disable("pipecat.serializers.genesys")

_PROBE = "00000000-0000-0000-0000-000000000000"


class Genesys(Carrier):
    """`account` is the API key, `secret` the client secret (base64).

    There is no request before the stream: the signed handshake, good once, is the token.
    """

    name = "genesys"
    codec = "PCMU/8000"
    packet_ms = 100  # it counts messages, and ends streams that send too many
    closes_itself = True

    def __init__(self, credentials: CarrierCredentials) -> None:
        super().__init__(credentials)
        self._nonces = Nonces()

    def verify(self, request: SignedRequest, now: float) -> bool:
        nonce = signatures.genesys(request, self.account, self.secret, now)
        return nonce is not None and self._nonces.take(nonce, now)

    def open(self, message: Message) -> Opened | None:
        if message.get("type") != "open":
            return None
        parameters = part(message, "parameters")
        participant = part(parameters, "participant")
        media = parameters.get("media")
        offered = [entry for entry in media if isinstance(entry, dict)] if isinstance(media, list) else []
        if not any(entry.get("format") == "PCMU" and entry.get("rate") == 8000 for entry in offered):
            raise ProtocolError("the stream doesn't offer PCMU at 8000 Hz", 1003)
        stream_id, call_id = text(message, "id"), text(parameters, "conversationId")
        serializer = GenesysAudioHookSerializer(GenesysAudioHookSerializer.InputParams(sample_rate=8000))
        return Opened(
            stream_id,
            call_id,
            serializer,
            caller=str(participant.get("ani", "")),
            called=str(participant.get("dnis", "")),
            probe=call_id == _PROBE,
        )

    def mark(self, stream_id: str, name: str) -> None:
        return None

    def reached(self, message: Message) -> None:
        return None

    def ended(self, message: Message) -> bool:
        return message.get("type") == "close"
