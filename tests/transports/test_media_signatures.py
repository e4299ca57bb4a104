"""The carriers' signatures: their documentation's own examples, and what a forger would try."""

from __future__ import annotations

import base64
import time
from dataclasses import replace

import pytest

from config.carriers import CarrierCredentials
from tests.transports.media_carriers import (
    SIDES,
    ExotelSide,
    FakeCarrier,
    GenesysSide,
    PlivoSide,
    TelnyxSide,
    TwilioSide,
    VonageSide,
)
from transports.media_streams import signatures
from transports.media_streams.router import CARRIERS
from transports.media_streams.signatures import SignedRequest
from transports.media_streams.tickets import Nonces, Ticket, Tickets


def test_twilios_documented_example() -> None:
    request = SignedRequest(
        "POST",
        "https://mycompany.com/myapp.php?foo=1&bar=2",
        {"x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="},
        form=(
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ),
    )
    assert signatures.twilio(request, "12345")
    assert not signatures.twilio(request, "12346")
    assert not signatures.twilio(replace(request, form=()), "12345")


GENESYS = SignedRequest(
    "GET",
    "https://audiohook.example.com/api/v1/voicebiometrics/ws",
    {
        "audiohook-organization-id": "d7934305-0972-4844-938e-9060eef73d05",
        "audiohook-correlation-id": "e160e428-53e2-487c-977d-96989bf5c99d",
        "audiohook-session-id": "30b0e395-84d3-4570-ac13-9a62d8f514c0",
        "x-api-key": "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh",
        "signature": "sig1=:NZBwyBHRRyRoeLqy1IzOa9VYBuI8TgMFt2GRDkDuJh4=:",
        "signature-input": 'sig1=("@request-target" "@authority" "audiohook-organization-id" '
        '"audiohook-session-id" "audiohook-correlation-id" "x-api-key");'
        'keyid="SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh";nonce="VGhpc0lzQVVuaXF1ZU5vbmNl";'
        'alg="hmac-sha256";created=1641013200;expires=3282026430',
    },
)
GENESYS_KEY = "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh"
GENESYS_SECRET = "TXlTdXBlclNlY3JldEtleVRlbGxOby0xITJAMyM0JDU="


def test_genesys_documented_example() -> None:
    nonce = signatures.genesys(GENESYS, GENESYS_KEY, GENESYS_SECRET, 1641013205)
    assert nonce == "VGhpc0lzQVVuaXF1ZU5vbmNl"


@pytest.mark.parametrize(
    ("change", "now"),
    [
        ({"audiohook-session-id": "another"}, 1641013205),
        ({"signature": "sig1=:AAAA:"}, 1641013205),
        ({"signature-input": "sig1=();created=1;expires=2"}, 1641013205),
        ({"signature-input": ""}, 1641013205),
    ],
)
def test_genesys_forgeries(change: dict[str, str], now: float) -> None:
    forged = replace(GENESYS, headers=dict(GENESYS.headers) | change)
    assert signatures.genesys(forged, GENESYS_KEY, GENESYS_SECRET, now) is None


@pytest.mark.parametrize("now", [1641013205 - 3600, 3282026431])
def test_genesys_s_signature_at_another_time(now: float) -> None:
    with pytest.raises(signatures.WrongClock):
        signatures.genesys(GENESYS, GENESYS_KEY, GENESYS_SECRET, now)


def test_plivo_signs_the_sorted_query_too() -> None:
    request = SignedRequest(
        "POST",
        "https://phone.example/answer?b=2&a=1",
        {
            "x-plivo-signature-v3": "other, ok",
            "x-plivo-signature-v3-nonce": "12345",
        },
        form=(("To", "+15550199"), ("From", "+15550100")),
    )
    expected = signatures._hmac(
        b"token", b"https://phone.example/answer?a=1&b=2.From+15550100To+15550199.12345", "sha256"
    )
    signed = replace(request, headers=dict(request.headers) | {"x-plivo-signature-v3": f"other,{expected}"})
    assert signatures.plivo(signed, "token")
    assert not signatures.plivo(request, "token")


def signed_request(side: FakeCarrier) -> SignedRequest:
    if isinstance(side, GenesysSide):
        url, body = "https://phone.example/api/v1/carriers/genesys/stream", b""
        headers = side.sign({}, b"")
    else:
        url = side.answer_url
        headers, body = side.request()
    form = side.form | {side.call_key: side.call_id} if "form" in headers.get("Content-Type", "") else {}
    lower = {name.lower(): value for name, value in headers.items()}
    return SignedRequest("POST", url, lower, body, tuple(form.items()))


@pytest.mark.parametrize("side_type", SIDES)
def test_each_carrier_takes_its_own_signature_and_no_other(side_type: type[FakeCarrier]) -> None:
    side = side_type()
    credentials = CarrierCredentials.model_validate({"account": side.account, "secret": side.secret})
    carrier = CARRIERS[side.name](credentials)
    request = signed_request(side)
    now = time.time()
    assert carrier.verify(request, now)
    assert not carrier.verify(replace(request, headers={}), now)
    if side_type is not ExotelSide:  # HTTP Basic covers nothing
        tampered = replace(
            request,
            url=request.url.replace("phone", "other"),
            body=request.body + b"x",
            headers=dict(request.headers) | {"audiohook-session-id": "x"},
        )
        assert not carrier.verify(tampered, now)
    if side_type in (TelnyxSide, VonageSide, GenesysSide):
        for off_s, where in ((3600, "before"), (-3600, "after")):
            with pytest.raises(
                signatures.WrongClock, match=rf"made 3\d{{3}} s {where} what .* Set the clock"
            ):
                carrier.verify(signed_request(side_type()), now + off_s)
    if side_type is GenesysSide:
        assert not carrier.verify(request, now), "a nonce is good once"


@pytest.mark.parametrize("side_type", [TwilioSide, PlivoSide, VonageSide])
def test_a_signature_under_another_key(side_type: type[FakeCarrier]) -> None:
    side = side_type()
    credentials = CarrierCredentials.model_validate({"account": side.account, "secret": "another"})
    assert not CARRIERS[side.name](credentials).verify(signed_request(side), 0)


TICKET = Ticket("twilio", "CA1", "+15550100", "+15550199")


def test_a_token_is_good_once_and_for_its_carrier() -> None:
    tickets = Tickets()
    token = tickets.issue(TICKET, 0)
    assert tickets.redeem("another", "twilio", 1) is None
    assert tickets.redeem(token, "twilio", 1) == TICKET
    for written in (token, f"{token}=", f"{token[:9]}!{token[9:]}"):  # base64 is read leniently
        assert tickets.redeem(written, "twilio", 1) is None
    assert tickets.redeem(tickets.issue(TICKET, 0), "plivo", 1) is None


def test_a_token_expires_and_its_clock_may_be_somewhat_ahead() -> None:
    tickets = Tickets(ttl_s=30)
    assert tickets.redeem(tickets.issue(TICKET, 100), "twilio", 130) == TICKET
    assert tickets.redeem(tickets.issue(TICKET, 100), "twilio", 131) is None
    assert tickets.redeem(tickets.issue(TICKET, 100), "twilio", 60) == TICKET
    assert tickets.redeem(tickets.issue(TICKET, 200), "twilio", 100) is None


def test_a_token_is_good_where_the_key_is_the_same_and_says_nothing() -> None:
    token = Tickets("a key of all nodes").issue(TICKET, 100)
    assert Tickets("a key of all nodes").redeem(token, "twilio", 100) == TICKET
    assert Tickets("another key").redeem(token, "twilio", 100) is None
    assert Tickets().redeem(Tickets().issue(TICKET, 100), "twilio", 100) is None
    assert TICKET.caller.encode() not in base64.urlsafe_b64decode(token)


def test_a_nonce_is_new_until_it_is_forgotten() -> None:
    nonces = Nonces(ttl_s=10, limit=2)
    assert nonces.take("a", 0)
    assert not nonces.take("a", 9)
    assert nonces.take("a", 10)
    assert nonces.take("b", 10)
    assert not nonces.take("c", 10), "full: better refuse than forget"
