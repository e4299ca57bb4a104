"""How each carrier signs its requests. Pure: the request and the time in, a verdict out.

Signatures that state their time raise WrongClock where they are right but not of now.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOLERANCE_S = 300.0


class WrongClock(Exception):
    """The signature is right, but of another time: a clock is wrong, or somebody repeats a request."""

    def __init__(self, signed_at: float, now: float) -> None:
        away = f"{abs(now - signed_at):.0f} s {'before' if signed_at < now else 'after'}"
        super().__init__(
            f"The signature is right, but it was made {away} what this machine's clock says ({_utc(now)}). "
            "Set the clock, with NTP; if it is right, somebody repeats an old request."
        )


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@dataclass(frozen=True)
class SignedRequest:
    """A request as the carrier sent it: `url` is the public one, `headers` have lower-case names."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    form: Sequence[tuple[str, str]] = field(default=())

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.url).query, keep_blank_values=True)

    def parameters(self) -> dict[str, str]:
        """What the request says, wherever it says it."""
        return dict(self.query) | dict(self.form)


def twilio(request: SignedRequest, auth_token: str) -> bool:
    """X-Twilio-Signature: HMAC-SHA1 over the URL and the sorted form.

    Source: https://www.twilio.com/docs/usage/security
    """
    given = request.headers.get("x-twilio-signature", "")
    signed = request.url + "".join(name + value for name, value in sorted(set(request.form)))
    return _same(given, _hmac(auth_token.encode(), signed.encode(), hashlib.sha1))


def plivo(request: SignedRequest, auth_token: str) -> bool:
    """X-Plivo-Signature-V3: HMAC-SHA256 over the URL with its query sorted, the sorted form and a nonce.

    Source: https://www.plivo.com/docs/voice/concepts/signature-validation
    """
    nonce = request.headers.get("x-plivo-signature-v3-nonce", "")
    given = request.headers.get("x-plivo-signature-v3", "")
    if not nonce:
        return False
    query = "&".join(f"{name}={value}" for name, value in sorted(request.query))
    form = "".join(name + value for name, value in sorted(request.form))
    signed = urlsplit(request.url)._replace(query="", fragment="").geturl()
    if query or form:
        signed += f"?{query}"
    if query and form:
        signed += "."
    expected = _hmac(auth_token.encode(), f"{signed}{form}.{nonce}".encode(), hashlib.sha256)
    return any(_same(part.strip(), expected) for part in given.split(","))


def telnyx(request: SignedRequest, public_key: str, now: float) -> bool:
    """telnyx-signature-ed25519: Ed25519 over the timestamp, a bar and the body.

    Source: https://developers.telnyx.com/docs/messaging/messages/webhooks (webhook signing)
    """
    timestamp = request.headers.get("telnyx-timestamp", "")
    try:
        signature = base64.b64decode(request.headers.get("telnyx-signature-ed25519", ""), validate=True)
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(signature, timestamp.encode() + b"|" + request.body)
    except (InvalidSignature, ValueError):
        return False
    return _of_now(timestamp, now)


def vonage(request: SignedRequest, signature_secret: str, api_key: str, now: float) -> bool:
    """Authorization: a JWT (HS256) with the API key, the time, and the hash of a posted body.

    Source: https://developer.vonage.com/en/getting-started/concepts/webhooks#signed-webhooks
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    head, _, signature = token.strip().rpartition(".")
    if scheme.lower() != "bearer" or not head:
        return False
    expected = hmac.new(signature_secret.encode(), head.encode(), hashlib.sha256).digest()
    header, _, payload = head.partition(".")
    try:
        if not hmac.compare_digest(_unpadded(signature), expected):
            return False
        algorithm = _json(header).get("alg")
        claims = _json(payload)
    except ValueError:
        return False
    if algorithm != "HS256" or not _of_now(str(claims.get("iat", "")), now):
        return False
    if api_key and not _same(str(claims.get("api_key", "")), api_key):
        return False
    if request.body:
        return _same(str(claims.get("payload_hash", "")), hashlib.sha256(request.body).hexdigest())
    return True


def basic(request: SignedRequest, user: str, password: str) -> bool:
    """HTTP Basic, which is all that Exotel offers.

    Source: https://developer.exotel.com/docs/agentstream/stream-voicebot-applet
    """
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    expected = base64.b64encode(f"{user}:{password}".encode()).decode()
    return scheme.lower() == "basic" and _same(given.strip(), expected)


_GENESYS_COVERED = (
    "@request-target",
    "@authority",
    "audiohook-organization-id",
    "audiohook-session-id",
    "audiohook-correlation-id",
    "x-api-key",
)


def genesys(request: SignedRequest, api_key: str, client_secret: str, now: float) -> str | None:
    """An HTTP message signature (HMAC-SHA256) over the handshake. Returns its nonce if it holds.

    Source: https://developer.genesys.cloud/devapps/audiohook/security
    """
    label, _, parameters = request.headers.get("signature-input", "").partition("=")
    covered = re.match(r"\(([^)]*)\)", parameters)
    signature = re.fullmatch(re.escape(label) + r"=:([^:]+):", request.headers.get("signature", "").strip())
    if not label or covered is None or signature is None:
        return None
    names = re.findall(r'"([^"]+)"', covered[1])
    if not set(_GENESYS_COVERED) <= set(names):
        return None
    target = urlsplit(request.url)
    values = dict(request.headers) | {
        "@request-target": target.path + (f"?{target.query}" if target.query else ""),
        "@authority": target.netloc,
    }
    lines = [f'"{name}": {values.get(name, "")}' for name in names]
    signed = "\n".join([*lines, f'"@signature-params": {parameters}'])
    try:
        secret = base64.b64decode(client_secret, validate=True)
    except ValueError:
        return None
    if not _same(signature[1], _hmac(secret, signed.encode(), hashlib.sha256)):
        return None
    said = dict(re.findall(r';\s*(\w+)="?([^";]+)"?', parameters[covered.end() :]))
    created, expires = said.get("created", ""), said.get("expires", "")
    if not (_whole(created) and _whole(expires)):
        return None
    if not int(created) - TOLERANCE_S <= now <= int(expires):
        raise WrongClock(int(created), now)
    if said.get("alg") != "hmac-sha256" or not _same(values.get("x-api-key", ""), api_key):
        return None
    return said.get("nonce")


def _hmac(key: bytes, message: bytes, digest: Any) -> str:
    return base64.b64encode(hmac.new(key, message, digest).digest()).decode()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _of_now(timestamp: str, now: float) -> bool:
    if not _whole(timestamp):
        return False
    if abs(now - int(timestamp)) > TOLERANCE_S:
        raise WrongClock(int(timestamp), now)
    return True


def _whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12


def _unpadded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64") from error


def _json(part: str) -> dict[str, Any]:
    value = json.loads(_unpadded(part))
    return value if isinstance(value, dict) else {}
