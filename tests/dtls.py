"""DTLS-SRTP on a caller's side, with OpenSSL; over RTP's socket alone."""

from __future__ import annotations

import asyncio
import select
import time

from aiortc import RTCCertificate
from OpenSSL import SSL
from pylibsrtp import Policy, Session

from tests.sip_caller import Caller, SipAnswer

KEY_BYTES, SALT_BYTES = 16, 14
DEADLINE_S = 15.0


class Dtls:
    """Encrypts a caller's packets with keys that are agreed on in its media."""

    def __init__(self, caller: Caller, setup: str = "actpass", *, lies: bool = False) -> None:
        """Who `lies` has the fingerprint of another certificate in the SDP."""
        self.caller = caller
        self._certificate = RTCCertificate.generateCertificate()
        shown = RTCCertificate.generateCertificate() if lies else self._certificate
        fingerprint = next(f for f in shown.getFingerprints() if f.algorithm == "sha-256")
        caller.profile = "UDP/TLS/RTP/SAVP"
        caller.attributes = (
            *caller.attributes,
            f"fingerprint:sha-256 {fingerprint.value}",
            f"setup:{setup}",
        )

    async def call(self) -> SipAnswer:
        answer = await self.caller.invite()
        self.caller.ack(answer)
        if answer.status == 200:
            await asyncio.to_thread(self._shake_hands, answer)
            self.caller.start_rtp(answer)
        return answer

    def _shake_hands(self, answer: SipAnswer) -> None:
        """Raises TimeoutError, SSL.Error."""
        address = answer.text.partition("c=IN IP4 ")[2].split()[0]
        there = address, int(answer.text.partition("m=audio ")[2].split()[0])
        connection = self._connection()
        begins = "a=setup:passive" in answer.text
        connection.set_connect_state() if begins else connection.set_accept_state()
        until = time.monotonic() + DEADLINE_S
        while True:
            try:
                connection.do_handshake()
                break
            except SSL.WantReadError:
                self._flush(connection, there)
            if time.monotonic() > until:
                raise TimeoutError
            if select.select([self.caller.rtp], [], [], 0.2)[0]:
                connection.bio_write(self.caller.rtp.recv(2048))
            else:
                connection.DTLSv1_handle_timeout()
        self._flush(connection, there)
        self._agree(connection, begins)

    def _connection(self) -> SSL.Connection:
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.use_certificate(self._certificate._cert)
        context.use_privatekey(self._certificate._key)
        context.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_80")
        return SSL.Connection(context)

    def _flush(self, connection: SSL.Connection, there: tuple[str, int]) -> None:
        while True:
            try:
                flight = connection.bio_read(65536)
            except SSL.WantReadError:
                return
            while flight:  # a datagram each
                size = 13 + int.from_bytes(flight[11:13], "big")
                self.caller.rtp.sendto(flight[:size], there)
                flight = flight[size:]

    def _agree(self, connection: SSL.Connection, begins: bool) -> None:
        material = connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (KEY_BYTES + SALT_BYTES))
        keys = [material[KEY_BYTES * n : KEY_BYTES * (n + 1)] for n in range(2)]
        salts = [material[2 * KEY_BYTES + SALT_BYTES * n :][:SALT_BYTES] for n in range(2)]
        client, server = (key + salt for key, salt in zip(keys, salts, strict=True))
        ours, theirs = (client, server) if begins else (server, client)
        self.caller.encrypt = Session(Policy(ours, ssrc_type=Policy.SSRC_ANY_OUTBOUND)).protect
        self.caller.decrypt = Session(Policy(theirs, ssrc_type=Policy.SSRC_ANY_INBOUND)).unprotect
