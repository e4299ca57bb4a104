"""When an account's REGISTER is sent, what it says, and what an answer to it means."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from config.accounts import AccountSettings
from transports.sip import registration
from transports.sip.digest import parameters, response
from transports.sip.message import Message
from transports.sip.registration import Registration, State

CONTACT = "1001-token"
CHALLENGE = 'Digest realm="pbx", nonce="n1", qop="auth,auth-int", opaque="o"'


def account(**more: Any) -> Registration:
    values = {"server": "sip.example.com", "user": "1001", "secret": "geheim", "expires_s": 600} | more
    return Registration("provider", AccountSettings.model_validate(values), chance=lambda: 1.0)


def said(start: str, *headers: tuple[str, str]) -> Message:
    return Message(f"SIP/2.0 {start}", headers)


def sent(text: str) -> Message:
    return Message.parse(f"REGISTER sip:sip.example.com SIP/2.0\r\n{text}\r\n".encode())


def granted(seconds: int) -> Message:
    others = f"<sip:1001@192.0.2.9>;expires=9, <sip:{CONTACT}@192.0.2.1:5060>;expires={seconds}"
    return said("200 OK", ("Contact", others))


def test_it_registers_and_refreshes_before_that_is_over() -> None:
    one = account()
    assert one.state(0) is State.REGISTERING
    first = sent(one.request())
    assert (first.header("Expires"), first.header("CSeq")) == ("600", "1 REGISTER")
    assert one.answered(granted(300), CONTACT, now=100) == pytest.approx(300 * 0.85)
    assert (one.state(399), one.expires_in(399)) == (State.REGISTERED, 1)
    assert one.state(400) is State.REGISTERING
    second = sent(one.request())
    assert (second.header("Call-ID"), second.header("CSeq")) == (first.header("Call-ID"), "2 REGISTER")
    assert sent(one.request(register=False)).header("Expires") == "0"


@pytest.mark.parametrize(
    ("status", "challenge", "header"),
    [("401", "WWW-Authenticate", "Authorization"), ("407", "Proxy-Authenticate", "Proxy-Authorization")],
)
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_challenge_is_answered(status: str, challenge: str, header: str, algorithm: str) -> None:
    one = account(auth_user='log"in')
    one.request()
    unknown = (challenge, 'Digest realm="pbx", nonce="n0", algorithm=SHA-512-256')
    known = (challenge, f"{CHALLENGE}, algorithm={algorithm}")
    assert one.answered(said(f"{status} Unauthorized", unknown, known), CONTACT, now=0) == 0
    given = parameters(sent(one.request()).header(header))
    assert (given["username"], given["nc"], given["opaque"]) == ('log"in', "00000001", "o")
    expected = response(given, user='log"in', password="geheim", method="REGISTER")
    assert given["response"] == expected


def test_the_response_is_that_of_the_rfc() -> None:
    """RFC 2617 3.5; RFC 7616 3.9.1 has the same for SHA-256."""
    given = {
        "realm": "http-auth@example.org",
        "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "uri": "/dir/index.html",
        "qop": "auth",
        "nc": "00000001",
        "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    }
    md5 = response(given, user="Mufasa", password="Circle of Life", method="GET")
    assert md5 == "8ca523f5e9506fed4657c9700eebdbec"
    given["algorithm"] = "SHA-256"
    sha = response(given, user="Mufasa", password="Circle of Life", method="GET")
    assert sha == "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"


def test_a_password_that_is_wrong_is_tried_rarely() -> None:
    one = account()
    waits = []
    for now in range(3):
        assert one.answered(said("401 Unauthorized", ("WWW-Authenticate", CHALLENGE)), CONTACT, now) == 0
        waits.append(one.answered(said("401 Unauthorized", ("WWW-Authenticate", CHALLENGE)), CONTACT, now))
    assert waits == [60, 120, 240]
    assert one.state(9) is State.FAILED
    assert "answered 401 Unauthorized: the user or the password is wrong" in str(one.last_error)
    assert "sip.accounts.provider.user" in str(one.last_error)
    # A nonce that is too old is no wrong password.
    stale = ("WWW-Authenticate", f"{CHALLENGE}, stale=true")
    assert one.answered(said("401 Unauthorized", ("WWW-Authenticate", CHALLENGE)), CONTACT, 9) == 0
    assert one.answered(said("401 Unauthorized", stale), CONTACT, 9) == 0
    assert one.answered(said("401 Unauthorized", stale), CONTACT, 9) >= 60  # where each is too old
    assert [one.answered(said("401 Unauthorized", stale), CONTACT, 9) for _ in range(2)] == [0, 0]
    one.answered(granted(600), CONTACT, 9)
    assert (one.state(9), one.last_error) == (State.REGISTERED, None)


def test_silence_is_borne_with_growing_patience() -> None:
    one = account()
    one.answered(granted(60), CONTACT, now=0)
    waits = [one.unanswered(errno.ETIMEDOUT) for _ in range(9)]
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, registration.LONGEST_RETRY_S]
    assert "no answer from sip.example.com over UDP" in str(one.last_error)
    assert (one.state(59), one.state(60)) == (State.REGISTERED, State.FAILED)
    half = Registration("x", one._account, chance=lambda: 0.0)
    assert half.unanswered(errno.ETIMEDOUT) == 1


@pytest.mark.parametrize(
    ("answer", "wait_s", "sentence"),
    [
        (said("503 Busy", ("Retry-After", "90 (later)")), 90, "answered 503 Busy: it is out of order"),
        (said("404 Not Found"), 60, "it doesn't know the user. Check sip.accounts.provider.user"),
        (said("403 Forbidden"), 60, "the user or the password is wrong"),
        (said("488 Hm"), 2, "answered 488 Hm. Ask who runs it why"),
        (said("401 U", ("WWW-Authenticate", "Basic realm=x")), 60, "the user or the password is wrong"),
    ],
)
def test_a_refusal_is_told_with_what_to_do(answer: Message, wait_s: float, sentence: str) -> None:
    one = account()
    assert one.answered(answer, CONTACT, now=0) == wait_s
    assert sentence in str(one.last_error)


def test_an_interval_that_is_too_brief_is_made_longer() -> None:
    one = account()
    assert one.answered(said("423 Interval Too Brief", ("Min-Expires", "3600")), CONTACT, now=0) == 0
    assert sent(one.request()).header("Expires") == "3600"
    assert one.answered(said("423 Interval Too Brief", ("Min-Expires", "3600")), CONTACT, now=0) > 0


def test_an_interval_that_is_too_brief_behind_a_challenge_is_no_wrong_password() -> None:
    one, challenged = account(), said("401 Unauthorized", ("WWW-Authenticate", CHALLENGE))
    assert one.answered(challenged, CONTACT, now=0) == 0
    assert one.answered(said("423 Interval Too Brief", ("Min-Expires", "3600")), CONTACT, now=0) == 0
    assert one.answered(challenged, CONTACT, now=0) == 0
    assert "Authorization" in one.request()


def test_an_account_without_a_secret_is_told_to_get_one() -> None:
    one = account(secret=None)
    assert one.answered(said("401 Unauthorized", ("WWW-Authenticate", CHALLENGE)), CONTACT, now=0) == 60
    assert "sip.accounts.provider.secret_file" in str(one.last_error)
