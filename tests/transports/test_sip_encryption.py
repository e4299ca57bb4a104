"""Which offers are taken, and what of them the stack sees."""

from __future__ import annotations

import base64
from ipaddress import ip_address

import pytest

from config.sip import MediaEncryption, SipSettings
from transports.sip.encryption import Encryption, Key, Secured, answering, key_of, mediaenc_of_offer, secured
from transports.sip.sdp import Ip, NotAcceptable

HERE, AWAY = ip_address("192.0.2.7"), ip_address("203.0.113.9")
KEY = base64.b64encode(bytes(range(30))).decode()
CRYPTO = f"crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"
SHA_256 = "fingerprint:SHA-256 " + ":".join(["AB"] * 32)
SHA_1 = "fingerprint:SHA-1 " + ":".join(["AB"] * 20)
ACTPASS = "setup:actpass"


def offer(profile: str, *attributes: str, session: tuple[str, ...] = (), port: int = 4000) -> bytes:
    lines = ["v=0", "o=- 1 1 IN IP4 192.0.2.7", "s=-", "c=IN IP4 192.0.2.7", "t=0 0"]
    lines += [f"a={one}" for one in session]
    lines += [f"m=audio {port} {profile} 0", *(f"a={one}" for one in attributes)]
    return "".join(f"{line}\r\n" for line in lines).encode()


def taken(sdp: bytes, policy: MediaEncryption = "optional", before: Secured | None = None) -> Encryption:
    return secured(sdp, policy, before, HERE)[1].encryption


@pytest.mark.parametrize(
    ("profile", "attributes", "off", "optional", "required"),
    [
        ("RTP/AVP", (), "", "", None),
        ("RTP/AVP", (CRYPTO,), "", "sdes", "sdes"),  # RFC 8643
        ("RTP/AVP", (SHA_256, ACTPASS), "", "", None),
        ("RTP/SAVP", (CRYPTO,), None, "sdes", "sdes"),
        ("RTP/SAVPF", (CRYPTO,), None, "sdes", "sdes"),
        ("RTP/SAVP", (), None, None, None),
        ("RTP/SAVP", (SHA_256, ACTPASS), None, "dtls-srtp", "dtls-srtp"),
        ("RTP/SAVP", (CRYPTO, SHA_256, ACTPASS), None, "sdes", "sdes"),
        ("UDP/TLS/RTP/SAVP", (SHA_256, ACTPASS), None, "dtls-srtp", "dtls-srtp"),
        ("UDP/TLS/RTP/SAVPF", (CRYPTO, SHA_256, ACTPASS), None, "dtls-srtp", "dtls-srtp"),
        ("UDP/TLS/RTP/SAVP", (SHA_1, ACTPASS), None, None, None),  # the stack can't check it
        ("UDP/TLS/RTP/SAVP", (CRYPTO,), None, None, None),
        ("RTP/NEW", (), None, None, None),
    ],
)
def test_what_each_policy_makes_of_an_offer(
    profile: str,
    attributes: tuple[str, ...],
    off: str | None,
    optional: str | None,
    required: str | None,
) -> None:
    policies: dict[MediaEncryption, str | None] = {"off": off, "optional": optional, "required": required}
    for policy, expected in policies.items():
        if expected is None:
            with pytest.raises(NotAcceptable):
                taken(offer(profile, *attributes), policy)
        else:
            assert taken(offer(profile, *attributes), policy) == expected


@pytest.mark.parametrize(
    "crypto",
    [
        f"crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4",  # each packet has an identifier
        f"crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4",
        f"crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY};inline:{KEY}",
        f"crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP",
        f"crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} WSH=64 UNAUTHENTICATED_SRTP",
        f"crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} KDR=3",
        "crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2hvcnQ=",
        "crypto:1 AES_CM_128_HMAC_SHA1_80 inline:!",
        f"crypto:1 AES_256_CM_HMAC_SHA1_80 inline:{KEY}",
        f"crypto:1 F8_128_HMAC_SHA1_80 inline:{KEY}",
        f"crypto:1 AES_CM_128_HMAC_SHA1_80 outline:{KEY}",
        "crypto:1",
    ],
)
def test_a_key_that_the_stack_would_misunderstand_is_none(crypto: str) -> None:
    assert key_of(f"a={crypto}") is None
    with pytest.raises(NotAcceptable):
        taken(offer("RTP/SAVP", crypto))
    assert taken(offer("RTP/SAVP", crypto, CRYPTO)) == "sdes"


def test_the_stack_sees_one_key_the_first_that_can_be_taken() -> None:
    lines = (
        f"crypto:1 AES_256_CM_HMAC_SHA1_80 inline:{KEY}",
        f"crypto:2 aes_cm_128_hmac_sha1_32 inline:{KEY}|2^31 WSH=128",
        CRYPTO,
    )
    sdp, _ = secured(offer("RTP/SAVP", *lines, SHA_256, ACTPASS), "optional", None, HERE)
    assert sdp.count(b"a=crypto") == 1
    assert b"a=crypto:2 " in sdp
    assert b"fingerprint" not in sdp
    assert b"setup" not in sdp
    assert key_of(f"a={lines[1]}") == Key("AES_CM_128_HMAC_SHA1_32", bytes(range(30)))


def test_keys_are_taken_away_from_calls_that_are_not_encrypted() -> None:
    assert b"crypto" not in secured(offer("RTP/AVP", CRYPTO), "off", None, HERE)[0]


def test_of_several_fingerprints_the_stack_sees_the_one_that_it_can_check() -> None:
    sdp, _ = secured(
        offer("UDP/TLS/RTP/SAVP", SHA_1, SHA_256, session=(SHA_1, ACTPASS)), "optional", None, HERE
    )
    assert sdp.count(b"fingerprint") == 1
    assert SHA_256.encode() in sdp


@pytest.mark.parametrize(
    ("setup", "source", "passive"),
    [
        ("actpass", HERE, False),
        ("actpass", AWAY, True),  # from behind a NAT: what we sent to 192.0.2.7 wouldn't arrive
        ("active", HERE, True),
        ("passive", HERE, False),
        ("passive", AWAY, False),
    ],
)
@pytest.mark.parametrize("of_session", [False, True])
def test_who_begins_the_handshake(setup: str, source: Ip, passive: bool, of_session: bool) -> None:
    role = (f"setup:{setup}",)
    described = offer(
        "UDP/TLS/RTP/SAVP", SHA_256, *(() if of_session else role), session=role if of_session else ()
    )
    sdp, agreed = secured(described, "optional", None, source)
    assert agreed.passive is passive
    assert sdp.count(b"a=setup:") == 1
    assert (b"a=setup:active" in sdp) is passive
    assert answering(b"a=setup:active\r\n", agreed) == (
        b"a=setup:passive\r\n" if passive else b"a=setup:active\r\n"
    )
    again, still = secured(
        offer("UDP/TLS/RTP/SAVP", SHA_256, ACTPASS), "optional", agreed, HERE if passive else AWAY
    )
    assert still == agreed
    assert (b"a=setup:active" in again) is passive


def test_a_call_stays_as_it_began() -> None:
    plain, sdes, dtls = (Secured(one) for one in Encryption)
    assert taken(offer("RTP/SAVP", CRYPTO), before=sdes) == "sdes"
    for before, sdp in (
        (sdes, offer("RTP/AVP")),
        (plain, offer("RTP/SAVP", CRYPTO)),
        (sdes, offer("UDP/TLS/RTP/SAVP", SHA_256, ACTPASS)),
        (dtls, offer("RTP/SAVP", CRYPTO)),
    ):
        with pytest.raises(NotAcceptable):
            taken(sdp, before=before)
    assert taken(offer("RTP/AVP", port=0), before=sdes) == "sdes"  # no audio for now


def test_what_we_offer() -> None:
    assert mediaenc_of_offer("off", private=True) is None
    assert mediaenc_of_offer("optional", private=False) is None
    assert mediaenc_of_offer("optional", private=True) == "srtp"
    assert mediaenc_of_offer("required", private=False) == "srtp-mand"


def test_the_policy_in_yaml() -> None:
    assert SipSettings.model_validate({"media_encryption": False}).media_encryption == "off"
