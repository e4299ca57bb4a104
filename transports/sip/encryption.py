"""How a call's media are encrypted: chosen from the offer, by policy. No I/O.

The keys are in the SDP (SDES, RFC 4568), as open as the signalling that carries them, or they are agreed on
in the media, between certificates whose fingerprints are in the SDP (DTLS-SRTP, RFC 5763).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from enum import StrEnum

from config.sip import MediaEncryption
from transports.sip.sdp import Ip, NotAcceptable, address_of, audio_of, port_of, sections, text_of

# Bytes of master key and salt of the suites that the stack knows, as SDP names them.
KEY_BYTES = {
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
    "AEAD_AES_128_GCM": 28,
    "AEAD_AES_256_GCM": 44,
}
# Of the key's lifetime nothing is kept; a key with an identifier (1:4) marks each packet with it.
_CRYPTO = re.compile(r"a=crypto:(\d{1,9})\s+(\S+)\s+inline:([A-Za-z0-9+/=]+)(?:\|[^\s:;|]+)?((?:\s+\S+)*)")
_CRYPTO_LINE = re.compile(rb"^a=crypto:[^\r\n]*\r?\n", re.MULTILINE)
_HINT = re.compile(r"WSH=\d+", re.IGNORECASE)
_PLAIN = {"RTP/AVP", "RTP/AVPF"}
_SDES = {*_PLAIN, "RTP/SAVP", "RTP/SAVPF"}  # RFC 8643 has keys in a profile that doesn't demand them
_DTLS = {"RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF"}
_AUDIO_LINE = re.compile(rb"^(m=audio [1-9]\d*) RTP/AVP ", re.MULTILINE)
_FINGERPRINT, _SETUP = "a=fingerprint:", "a=setup:"


class Encryption(StrEnum):
    NONE = ""
    SDES = "sdes"
    DTLS = "dtls-srtp"

    @property
    def mediaenc(self) -> str | None:
        """What the stack has to be told before it makes a call that answers so."""
        return {Encryption.SDES: "srtp", Encryption.DTLS: "dtls_srtp"}.get(self)


@dataclass(frozen=True, slots=True)
class Key:
    """An SRTP master key and its salt, for one direction."""

    suite: str  # one of KEY_BYTES
    raw: bytes


@dataclass(frozen=True, slots=True)
class Secured:
    """What an offer and its answer make of a call's media."""

    encryption: Encryption
    passive: bool = False  # the peer begins the DTLS handshake
    feedback: bool = False  # offered as RTP/AVPF, which the stack only knows with keys


def mediaenc_of_offer(policy: MediaEncryption, *, private: bool) -> str | None:
    """What the stack has to be told before it offers; `private` if nobody can read the keys on their way."""
    if policy == "required":
        return "srtp-mand"
    return "srtp" if policy == "optional" and private else None


def key_of(crypto: str) -> Key | None:
    """Of an `a=crypto:` line that the stack can follow to the letter."""
    found = _CRYPTO.fullmatch(crypto)
    # RFC 4568 6.3.8: with a parameter that isn't understood it mustn't be taken.
    if not found or not all(_HINT.fullmatch(one) for one in found[4].split()):
        return None
    try:
        raw = base64.b64decode(found[3], validate=True)
    except binascii.Error:
        return None
    suite = found[2].upper()
    return Key(suite, raw) if len(raw) == KEY_BYTES.get(suite) else None


def secured(sdp: bytes, policy: MediaEncryption, before: Secured | None, source: Ip) -> tuple[bytes, Secured]:
    """A description, offer or answer, that leaves the stack one way to encrypt its audio, and which that is.

    `source` is where it came from. A call goes on as it began: `before` is what was agreed on first. Raises
    NotAcceptable.
    """
    session, media = sections(sdp)
    audio = audio_of(media)
    if audio is None or port_of(audio[0]) == 0:
        return sdp, before or Secured(Encryption.NONE)
    profile = (audio[0].split() + [""] * 3)[2]
    keys = [line for line in audio if key_of(line)]
    everything = (*audio, *session)
    dtls = any(line.lower().startswith(_FINGERPRINT + "sha-256 ") for line in everything)
    if policy != "off" and keys and profile in _SDES:
        chosen = Encryption.SDES
    elif policy != "off" and dtls and profile in _DTLS:
        chosen = Encryption.DTLS
    elif policy != "required" and profile in _PLAIN:
        chosen = Encryption.NONE
    else:
        raise NotAcceptable
    if before and chosen is not before.encryption:
        raise NotAcceptable
    # The stack would take a key with parameters that it doesn't know, and the first fingerprint of any hash.
    kept = keys[:1] if chosen is Encryption.SDES else []
    for section in (session, audio):
        section[:] = [line for line in section if _belongs(line, kept, chosen)]
    feedback = chosen is Encryption.NONE and profile == "RTP/AVPF"
    if feedback:
        audio[0] = audio[0].replace("RTP/AVPF", "RTP/AVP", 1)
    if chosen is not Encryption.DTLS:
        return text_of([session, *media]), Secured(chosen, feedback=feedback)
    setup = next((line[len(_SETUP) :].strip().lower() for line in everything if line.startswith(_SETUP)), "")
    if before:
        passive = before.passive
    else:
        # From behind a NAT the peer has to begin: what we sent to the address in its SDP wouldn't reach it.
        away = address_of([*session, *audio]) != str(source)
        passive = setup == "active" or (setup == "actpass" and away)
    if passive:
        for section in (session, audio):
            section[:] = [line for line in section if not line.startswith(_SETUP)]
        audio.append(_SETUP + "active")
    return text_of([session, *media]), Secured(chosen, passive)


def answering(sdp: bytes, agreed: Secured) -> bytes:
    """The stack's answer, which says that it begins the DTLS handshake also where it waits for the peer's.

    And in the offer's profile, without which Linphone doesn't take it.
    """
    if agreed.feedback:
        sdp = _AUDIO_LINE.sub(rb"\1 RTP/AVPF ", sdp, count=1)
    return sdp.replace(b"a=setup:active", b"a=setup:passive") if agreed.passive else sdp


def keyless(sdp: bytes) -> bytes:
    """An offer of ours that only could be answered with keys, without them."""
    return _CRYPTO_LINE.sub(b"", sdp)


def _belongs(line: str, keys: list[str], chosen: Encryption) -> bool:
    lower = line.lower()
    if lower.startswith("a=crypto:"):
        return line in keys
    if lower.startswith(_FINGERPRINT):
        return chosen is Encryption.DTLS and lower.startswith(_FINGERPRINT + "sha-256 ")
    return chosen is Encryption.DTLS or not lower.startswith(_SETUP)
