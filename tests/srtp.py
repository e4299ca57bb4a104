"""SRTP on a caller's side: SDES by hand."""

from __future__ import annotations

import base64
import secrets

from pylibsrtp import Policy, Session

from tests.sip_caller import Caller, SipAnswer
from transports.sip.encryption import KEY_BYTES

_PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    "AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "AEAD_AES_256_GCM": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}


class Sdes:
    """Encrypts a caller's packets, with a key that stands in its SDP, and decrypts what it receives."""

    def __init__(
        self, caller: Caller, suite: str = "AES_CM_128_HMAC_SHA1_80", profile: str = "RTP/SAVP"
    ) -> None:
        self.caller, self.suite = caller, suite
        self._plain = caller.attributes
        caller.profile = profile
        self.rekey()

    def rekey(self) -> None:
        """Another key, for the next offer."""
        self.key = secrets.token_bytes(KEY_BYTES[self.suite])
        crypto = f"crypto:1 {self.suite} inline:{base64.b64encode(self.key).decode()}"
        self.caller.attributes = (*self._plain, crypto)

    def speak_with(self, key: bytes) -> None:
        self.caller.encrypt = self._session(key, Policy.SSRC_ANY_OUTBOUND).protect

    def hear(self, answer: SipAnswer) -> None:
        """Take the key of `answer`."""
        self.caller.decrypt = self._session(self.key_in(answer), Policy.SSRC_ANY_INBOUND).unprotect

    def key_in(self, answer: SipAnswer) -> bytes:
        return base64.b64decode(answer.text.partition(f"{self.suite} inline:")[2].split()[0])

    async def call(self) -> SipAnswer:
        answer = await self.caller.invite()
        self.caller.ack(answer)
        if answer.status == 200:
            self.speak_with(self.key)
            self.hear(answer)
            self.caller.start_rtp(answer)
        return answer

    def _session(self, key: bytes, kind: int) -> Session:
        return Session(Policy(key, ssrc_type=kind, srtp_profile=_PROFILES[self.suite]))
