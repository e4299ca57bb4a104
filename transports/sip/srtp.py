"""Takes the encryption off what comes from a call's peer: no I/O, no clock."""

from __future__ import annotations

from pylibsrtp import Error, Policy, Session

from transports.sip.encryption import Key

_PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    "AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "AEAD_AES_256_GCM": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}


class Decryption:
    """Of one direction of an encrypted stream; nothing passes until its key is known."""

    def __init__(self, key: Key | None) -> None:
        self._key: Key | None = None
        self._session: Session | None = None
        self.use(key)

    def use(self, key: Key | None) -> None:
        """Go on with another key. One that isn't known yet, or no longer told, changes nothing."""
        if key is None or key == self._key:
            return
        self._key = key
        self._session = Session(
            Policy(key.raw, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=_PROFILES[key.suite])
        )

    def rtp(self, packet: bytes) -> bytes | None:
        """A packet as it was before it was encrypted; None if it isn't the peer's, or came before."""
        if self._session is None:
            return None
        try:
            return bytes(self._session.unprotect(packet))
        except (Error, TypeError, ValueError):
            return None


def is_dtls(packet: bytes) -> bool:
    """RFC 7983."""
    return bool(packet) and 20 <= packet[0] <= 63
