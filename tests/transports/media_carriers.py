"""The carriers' side: how each signs, asks, and speaks on its stream, as their documentation has it."""

from __future__ import annotations

import abc
import base64
import hashlib
import hmac
import json
import time
import uuid
import warnings
from typing import Any, ClassVar
from urllib.parse import urlencode

import numpy as np
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

PUBLIC = "https://phone.example"
Headers = dict[str, str]
Wire = str | bytes

_TELNYX_KEY = Ed25519PrivateKey.generate()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class FakeCarrier(abc.ABC):
    """One call, from the carrier's side. PCM is s16le at `rate_hz`."""

    name: ClassVar[str]
    account: ClassVar[str] = "account"
    secret: ClassVar[str] = "secret"
    rate_hz: ClassVar[int] = 8000
    packet_ms: ClassVar[int] = 20

    def __init__(self) -> None:
        self.call_id = uuid.uuid4().hex
        self.stream_id = uuid.uuid4().hex
        self.sequence = 0
        self.chunk = 0

    # The request about a call.
    form: ClassVar[dict[str, str]] = {"From": "+15550100", "To": "+15550199"}
    call_key: ClassVar[str] = "CallSid"

    def request(self) -> tuple[Headers, bytes]:
        """Headers and body of the signed request."""
        fields = self.form | {self.call_key: self.call_id}
        body = urlencode(fields).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return headers | self.sign(fields, body), body

    @abc.abstractmethod
    def sign(self, fields: dict[str, str], body: bytes) -> Headers: ...

    @property
    def answer_url(self) -> str:
        return f"{PUBLIC}/api/v1/carriers/{self.name}/answer"

    @staticmethod
    def stream_path(document: str) -> str:
        """The stream's path in the answer document."""
        start = document.index("wss://phone.example") + len("wss://phone.example")
        end = next(at for at in range(start, len(document)) if document[at] in "\"'<")
        return document[start:end]

    # The stream.
    @abc.abstractmethod
    def opening(self) -> list[Wire]: ...
    @abc.abstractmethod
    def media(self, pcm: bytes) -> Wire: ...
    @abc.abstractmethod
    def dtmf(self, digit: str) -> Wire: ...
    def stop(self) -> Wire | None:
        """None where the carrier just closes."""
        return self.message("stop", stop={})

    @abc.abstractmethod
    def heard(self, data: Wire) -> tuple[str, Any]:
        """What the server sent: ("audio", pcm), ("clear", None), ("mark", reply) or ("other", message)."""

    def place(self) -> dict[str, str]:
        """Of the next media among the others."""
        self.chunk += 1
        return {"chunk": str(self.chunk), "timestamp": str(self.chunk * self.packet_ms)}

    def message(self, event: str, **more: Any) -> str:
        self.sequence += 1
        return json.dumps({"event": event, "sequenceNumber": str(self.sequence), **more})


class TwilioSide(FakeCarrier):
    name = "twilio"

    def sign(self, fields: dict[str, str], body: bytes) -> Headers:
        signed = self.answer_url + "".join(key + fields[key] for key in sorted(fields))
        digest = hmac.new(self.secret.encode(), signed.encode(), hashlib.sha1).digest()
        return {"X-Twilio-Signature": b64(digest)}

    def opening(self) -> list[Wire]:
        start = {
            "accountSid": "AC1",
            "streamSid": self.stream_id,
            "callSid": self.call_id,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {},
        }
        connected = json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        return [connected, self.message("start", start=start, streamSid=self.stream_id)]

    def media(self, pcm: bytes) -> Wire:
        payload = b64(audioop.lin2ulaw(pcm, 2))
        media = {"track": "inbound", **self.place(), "payload": payload}
        return self.message("media", media=media, streamSid=self.stream_id)

    def dtmf(self, digit: str) -> Wire:
        dtmf = {"track": "inbound_track", "digit": digit}
        return self.message("dtmf", dtmf=dtmf, streamSid=self.stream_id)

    def heard(self, data: Wire) -> tuple[str, Any]:
        message = json.loads(data)
        assert message["streamSid"] == self.stream_id
        if message["event"] == "media":
            return "audio", audioop.ulaw2lin(base64.b64decode(message["media"]["payload"]), 2)
        if message["event"] == "mark":
            return "mark", json.dumps(message)
        return message["event"], None


class TelnyxSide(FakeCarrier):
    name = "telnyx"
    account = b64(
        _TELNYX_KEY.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    )
    secret = ""

    def sign(self, fields: dict[str, str], body: bytes) -> Headers:
        timestamp = str(int(time.time()))
        signature = _TELNYX_KEY.sign(timestamp.encode() + b"|" + body)
        return {"telnyx-timestamp": timestamp, "telnyx-signature-ed25519": b64(signature)}

    def opening(self) -> list[Wire]:
        start = {
            "user_id": "1",
            "call_control_id": self.call_id,
            "client_state": "",
            "media_format": {"encoding": "PCMA", "sample_rate": 8000, "channels": 1},
        }
        return [
            json.dumps({"event": "connected", "version": "1.0.0"}),
            self.message("start", start=start, stream_id=self.stream_id),
        ]

    def media(self, pcm: bytes) -> Wire:
        media = {
            "track": "inbound",
            **self.place(),
            "payload": b64(audioop.lin2alaw(pcm, 2)),
        }
        return self.message("media", media=media, stream_id=self.stream_id)

    def dtmf(self, digit: str) -> Wire:
        return self.message("dtmf", dtmf={"digit": digit}, stream_id=self.stream_id)

    def heard(self, data: Wire) -> tuple[str, Any]:
        message = json.loads(data)
        if message["event"] == "media":
            return "audio", audioop.ulaw2lin(base64.b64decode(message["media"]["payload"]), 2)
        if message["event"] == "mark":
            return "mark", json.dumps(message)
        return message["event"], None


class PlivoSide(FakeCarrier):
    name = "plivo"
    call_key = "CallUUID"

    def sign(self, fields: dict[str, str], body: bytes) -> Headers:
        nonce = uuid.uuid4().hex
        signed = self.answer_url + "?" + "".join(key + fields[key] for key in sorted(fields)) + "." + nonce
        digest = hmac.new(self.secret.encode(), signed.encode(), hashlib.sha256).digest()
        return {"X-Plivo-Signature-V3": b64(digest), "X-Plivo-Signature-V3-Nonce": nonce}

    def opening(self) -> list[Wire]:
        start = {
            "callId": self.call_id,
            "streamId": self.stream_id,
            "accountId": "MA1",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
        }
        return [self.message("start", start=start, extra_headers="")]

    def media(self, pcm: bytes) -> Wire:
        payload = b64(audioop.lin2ulaw(pcm, 2))
        media = {"track": "inbound", **self.place(), "payload": payload}
        return self.message("media", media=media, streamId=self.stream_id)

    def dtmf(self, digit: str) -> Wire:
        dtmf = {"track": "inbound", "digit": digit, "timestamp": "1705312200000"}
        return self.message("dtmf", dtmf=dtmf, streamId=self.stream_id)

    def stop(self) -> Wire | None:
        return None

    def heard(self, data: Wire) -> tuple[str, Any]:
        message = json.loads(data)
        assert message["streamId"] == self.stream_id
        if message["event"] == "playAudio":
            assert message["media"]["contentType"] == "audio/x-mulaw"
            return "audio", audioop.ulaw2lin(base64.b64decode(message["media"]["payload"]), 2)
        if message["event"] == "checkpoint":
            played = {"event": "playedStream", "streamId": self.stream_id, "name": message["name"]}
            return "mark", json.dumps(played)
        return {"clearAudio": "clear"}.get(message["event"], message["event"]), None


class ExotelSide(FakeCarrier):
    name = "exotel"
    packet_ms = 100

    def sign(self, fields: dict[str, str], body: bytes) -> Headers:
        return {"Authorization": f"Basic {b64(f'{self.account}:{self.secret}'.encode())}"}

    def opening(self) -> list[Wire]:
        start = {
            "stream_sid": self.stream_id,
            "call_sid": self.call_id,
            "account_sid": "a",
            "from": "+15550100",
            "to": "+15550199",
            "custom_parameters": {},
            "media_format": {"encoding": "base64", "sample_rate": "8000", "bit_rate": "128kbps"},
        }
        return [
            json.dumps({"event": "connected"}),
            self.message("start", start=start, stream_sid=self.stream_id),
        ]

    def media(self, pcm: bytes) -> Wire:
        media = {**self.place(), "payload": b64(pcm)}
        return self.message("media", media=media, stream_sid=self.stream_id)

    def dtmf(self, digit: str) -> Wire:
        dtmf = {"duration": "100", "digit": digit}
        return self.message("dtmf", dtmf=dtmf, stream_sid=self.stream_id)

    def heard(self, data: Wire) -> tuple[str, Any]:
        message = json.loads(data)
        assert message["stream_sid"] == self.stream_id
        if message["event"] == "media":
            pcm = base64.b64decode(message["media"]["payload"])
            assert len(pcm) % 320 == 0
            return "audio", pcm
        if message["event"] == "mark":
            return "mark", json.dumps(message)
        return message["event"], None


class VonageSide(FakeCarrier):
    name = "vonage"
    rate_hz = 16_000

    def request(self) -> tuple[Headers, bytes]:
        body = json.dumps({"from": "15550100", "to": "15550199", "uuid": self.call_id}).encode()
        return {"Content-Type": "application/json"} | self.sign({}, body), body

    def sign(self, fields: dict[str, str], body: bytes) -> Headers:
        def part(value: dict[str, Any]) -> str:
            return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

        claims = {
            "iat": int(time.time()),
            "api_key": self.account,
            "payload_hash": hashlib.sha256(body).hexdigest(),
        }
        head = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
        digest = hmac.new(self.secret.encode(), head.encode(), hashlib.sha256).digest()
        return {"Authorization": f"Bearer {head}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"}

    def opening(self) -> list[Wire]:
        return [json.dumps({"event": "websocket:connected", "content-type": "audio/l16;rate=16000"})]

    def media(self, pcm: bytes) -> Wire:
        return pcm

    def dtmf(self, digit: str) -> Wire:
        return json.dumps({"event": "websocket:dtmf", "digit": digit, "duration": 260})

    def stop(self) -> Wire | None:
        return None

    def heard(self, data: Wire) -> tuple[str, Any]:
        if isinstance(data, bytes):
            assert len(data) == 640
            return "audio", data
        message = json.loads(data)
        if message["action"] == "notify":
            return "mark", json.dumps({"event": "websocket:notify", "payload": message["payload"]})
        return message["action"], None


class GenesysSide(FakeCarrier):
    name = "genesys"
    account = "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh"
    secret = b64(b"MySuperSecretKey")
    packet_ms = 100

    def sign(self, fields: dict[str, str], body: bytes) -> Headers:
        """Of the handshake itself: there is no request before it."""
        path = "/api/v1/carriers/genesys/stream"
        headers = {
            "audiohook-organization-id": "d7934305-0972-4844-938e-9060eef73d05",
            "audiohook-session-id": self.stream_id,
            "audiohook-correlation-id": uuid.uuid4().hex,
            "x-api-key": self.account,
        }
        now = int(time.time())
        names = ["@request-target", "@authority", *headers]
        listed = " ".join(f'"{name}"' for name in names)
        parameters = (
            f'({listed});keyid="{self.account}";nonce="{uuid.uuid4().hex}";alg="hmac-sha256";'
            f"created={now};expires={now + 10}"
        )
        values = {"@request-target": path, "@authority": "phone.example"} | headers
        base = "\n".join(
            [*(f'"{name}": {values[name]}' for name in names), f'"@signature-params": {parameters}']
        )
        digest = hmac.new(base64.b64decode(self.secret), base.encode(), hashlib.sha256).digest()
        return headers | {"Signature-Input": f"sig1={parameters}", "Signature": f"sig1=:{b64(digest)}:"}

    def _client(self, kind: str, **parameters: Any) -> str:
        self.sequence += 1
        return json.dumps(
            {
                "version": "2",
                "type": kind,
                "seq": self.sequence,
                "serverseq": 0,
                "id": self.stream_id,
                "position": "PT0S",
                "parameters": parameters,
            }
        )

    def opening(self) -> list[Wire]:
        media = [{"type": "audio", "format": "PCMU", "channels": ["external"], "rate": 8000}]
        participant = {"id": "p", "ani": "+15550100", "aniName": "", "dnis": "+15550199"}
        return [
            self._client(
                "open",
                organizationId="o",
                conversationId=self.call_id,
                participant=participant,
                media=media,
            )
        ]

    def media(self, pcm: bytes) -> Wire:
        return audioop.lin2ulaw(pcm, 2)

    def dtmf(self, digit: str) -> Wire:
        return self._client("dtmf", digit=digit)

    def ping(self) -> Wire:
        return self._client("ping", rtt="PT0.1S")

    def stop(self) -> Wire | None:
        return self._client("close", reason="end")

    def heard(self, data: Wire) -> tuple[str, Any]:
        if isinstance(data, bytes):
            return "audio", audioop.ulaw2lin(data, 2)
        message = json.loads(data)
        if message["type"] == "event":
            assert message["parameters"]["entities"][0]["type"] == "barge_in"
            return "clear", None
        if message["type"] == "disconnect":
            return "mark", self.stop()
        return message["type"], message


SIDES: list[type[FakeCarrier]] = [TwilioSide, TelnyxSide, PlivoSide, ExotelSide, VonageSide, GenesysSide]


def loudness(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, np.int16).astype(float)
    return float(np.sqrt((samples**2).mean())) if len(samples) else 0.0
