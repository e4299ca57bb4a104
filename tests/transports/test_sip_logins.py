"""Who is let in by password, and where the telephones are that logged in."""

from __future__ import annotations

import json
import time
from ipaddress import ip_address, ip_network
from typing import Any
from unittest.mock import create_autospec

import pytest
from pydantic import SecretStr

from config.logins import AuthSettings, LoginSettings, RegistrarSettings
from config.sip import SipSettings
from transports.sip import digest
from transports.sip.accounts import Accounts
from transports.sip.digest import NONCE_S, Digest, Verdict, answer, parameters
from transports.sip.door import Door
from transports.sip.libre import TCP, TLS, UDP
from transports.sip.logins import Logins
from transports.sip.message import Message, Reply
from transports.sip.registrar import Peer, Registrar

ALICE = {"alice": LoginSettings(secret=SecretStr("geheim")), "bob": LoginSettings(secret=SecretStr("b"))}
HOME, OFFICE = Peer(ip_address("203.0.113.9"), 5062, UDP), Peer(ip_address("10.0.0.7"), 5060, UDP)


def request(method: str, *headers: tuple[str, str], to: str = "alice") -> Message:
    common = (("To", f"<sip:{to}@192.0.2.1>"), ("From", "<sip:x@y>;tag=1"), ("CSeq", f"1 {method}"))
    return Message(f"{method} sip:agent@192.0.2.1 SIP/2.0", (*common, *headers))


def proof(
    challenge: str, user: str = "alice", password: str = "geheim", count: int = 1, method: str = "INVITE"
) -> str:
    return answer(
        challenge, user=user, password=password, method=method, uri="sip:agent@192.0.2.1", count=count
    )


def first(door: Digest, now: float, *, stale: bool = False) -> str:
    """The challenge that is preferred."""
    return door.challenges(now, stale=stale)[0]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_better_way_is_asked_for_first_and_either_will_do() -> None:
    door = Digest("pbx", {"alice": "geheim"}, ("sha-256", "md5"))
    best, known = door.challenges(0)
    assert [parameters(one)["algorithm"] for one in (best, known)] == ["SHA-256", "MD5"]
    assert len(parameters(proof(best))["response"]) == 64
    for challenge in (best, known):
        assert door.check(proof(challenge), "INVITE", 1) == (Verdict.RIGHT, "alice")
        assert door.check(proof(challenge, password="wrong", count=2), "INVITE", 1)[0] is Verdict.WRONG
    assert all(parameters(one)["stale"] == "true" for one in door.challenges(0, stale=True))


@pytest.mark.parametrize("algorithm", ["sha-256", "md5"])
def test_a_password_is_proved_and_each_proof_is_good_once(algorithm: str) -> None:
    door = Digest("pbx", {"alice": "geheim"}, (algorithm,))
    challenge = first(door, 0)
    assert door.check(proof(challenge), "INVITE", 1) == (Verdict.RIGHT, "alice")
    assert door.check(proof(challenge), "INVITE", 1)[0] is Verdict.STALE
    assert door.check(proof(challenge, count=3), "INVITE", 1)[0] is Verdict.RIGHT
    assert door.check(proof(challenge, count=2), "INVITE", 1)[0] is Verdict.STALE
    without_qop = challenge.replace(', qop="auth"', "")
    assert door.check(proof(without_qop), "INVITE", 1)[0] is Verdict.STALE
    fresh = first(door, 2).replace(', qop="auth"', "")
    assert door.check(proof(fresh), "INVITE", 2)[0] is Verdict.RIGHT
    assert door.check(proof(fresh), "INVITE", 2)[0] is Verdict.STALE
    counted = proof(fresh) + ", nc=00000002"  # which nothing proves there
    assert door.check(counted, "INVITE", 2)[0] is Verdict.STALE
    late = first(door, 0)
    assert door.check(proof(late), "INVITE", NONCE_S)[0] is Verdict.RIGHT
    assert door.check(proof(late, count=2), "INVITE", NONCE_S + 1)[0] is Verdict.STALE
    assert parameters(first(door, 0, stale=True))["stale"] == "true"


@pytest.mark.parametrize(
    ("user", "password", "change"),
    [
        ("alice", "wrong", ("", "")),
        ("mallory", "geheim", ("", "")),
        ("alice", "geheim", ('realm="pbx"', 'realm="other"')),
        ("alice", "geheim", ("qop=auth", "qop=auth-int")),
        ("alice", "geheim", ('uri="sip:agent', 'uri="sip:premium')),
        ("alice", "geheim", ("Digest ", "Basic ")),
        ("alice", "geheim", ("algorithm=MD5", "algorithm=SHA-256")),
        ("alice", "geheim", ("algorithm=MD5", "algorithm=SHA-512-256")),
    ],
)
def test_what_proves_nothing_is_wrong(user: str, password: str, change: tuple[str, str]) -> None:
    door = Digest("pbx", {"alice": "geheim"})
    given = proof(first(door, 0), user, password).replace(*change)
    assert door.check(given, "INVITE", 0)[0] is Verdict.WRONG
    assert door.check(proof(first(door, 0)), "REGISTER", 0)[0] is Verdict.WRONG


def test_a_nonce_that_isnt_ours_is_stale() -> None:
    door, other = Digest("pbx", {"alice": "geheim"}), Digest("pbx", {"alice": "geheim"})
    for challenge in (first(other, 0), 'Digest realm="pbx", nonce="x", qop="auth"'):
        assert door.check(proof(challenge), "INVITE", 0)[0] is Verdict.STALE


def test_no_proof_is_good_again_for_being_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "_NONCES", 2)
    door = Digest("pbx", {"alice": "geheim"})
    challenges = [first(door, now) for now in range(1, 5)]
    for challenge in challenges:
        assert door.check(proof(challenge), "INVITE", 5)[0] is Verdict.RIGHT
    for challenge in challenges:
        assert door.check(proof(challenge), "INVITE", 5)[0] is Verdict.STALE


@pytest.mark.parametrize("rest", ["a" * 4096, "a" * 2048 + " " * 2048, 'a="' * 1365, "=" * 4096])
def test_no_authorization_takes_long(rest: str) -> None:
    began = time.thread_time()
    parameters(f"Digest {rest}")
    assert time.thread_time() - began < 0.03


def logins(clock: Clock, **more: Any) -> Logins:
    return Logins(
        AuthSettings(users={"carol": LoginSettings(secret=SecretStr("c"))}),
        RegistrarSettings(users=ALICE, **more),
        listed=lambda _, peer: peer in ip_network("10.0.0.0/8"),
        clock=clock,
    )


def refused(outcome: Reply | None) -> Reply:
    assert outcome
    return outcome


def test_only_who_isnt_listed_is_asked() -> None:
    door = logins(Clock())
    assert door.received(request("INVITE"), OFFICE) is None
    assert door.received(request("ACK"), HOME) is None
    inside = Message("BYE sip:agent@192.0.2.1 SIP/2.0", (("To", "<sip:x@y>;tag=2"),))
    assert door.received(inside, HOME) is None
    for method in ("INVITE", "OPTIONS", "MESSAGE"):
        asked = refused(door.received(request(method), HOME))
        assert asked.status == 401
        for user, password in (("alice", "geheim"), ("carol", "c")):
            challenge = refused(door.received(request(method), HOME)).headers[0][1]
            given = ("Authorization", proof(challenge, user, password, method=method))
            assert door.received(request(method, given), HOME) is None
        wrong = ("Authorization", proof(asked.headers[0][1], "alice", "x", method=method))
        assert refused(door.received(request(method, wrong), HOME)).status == 403
    nobody = Logins(AuthSettings(), RegistrarSettings(), listed=lambda *_: False)
    assert nobody.received(request("INVITE"), HOME) is None
    assert (nobody.registrar, nobody.received(request("REGISTER"), HOME)) == (None, None)


@pytest.mark.parametrize("telephones", [{}, ALICE])
def test_who_is_heard_only_to_hear_its_calls_to_their_end_makes_none(
    telephones: dict[str, LoginSettings],
) -> None:
    door = Door(SipSettings(allow=("10.0.0.0/8",), registrar=RegistrarSettings(users=telephones)))
    accounts = door.accounts = create_autospec(Accounts, instance=True)
    accounts.departed.side_effect = lambda source: source == HOME.address
    accounts.of.return_value = None
    assert refused(door.received(request("INVITE"), HOME)).status == 403
    assert door.received(request("INVITE"), OFFICE) is None
    assert door.received(request("BYE"), HOME) is None


def test_telephones_log_in_also_from_the_office_and_callers_dont() -> None:
    door, contact = logins(Clock()), ("Contact", "<sip:alice@10.0.0.7:5060>;expires=120")
    assert door.registrar
    for user, password, status in (("alice", "geheim", 200), ("bob", "b", 403), ("carol", "c", 403)):
        challenge = refused(door.received(request("REGISTER"), OFFICE)).headers[0][1]
        given = ("Authorization", proof(challenge, user, password, method="REGISTER"))
        outcome = refused(door.received(request("REGISTER", contact, given), OFFICE))
        assert outcome.status == status
    assert door.registrar.bound() == {"alice": 1}


def registered(
    one: Registrar, contact: str, peer: Peer = OFFICE, user: str = "alice", **headers: str
) -> Reply:
    more = tuple(headers.items())
    return one.register(user, request("REGISTER", ("Contact", contact), *more, to=user), peer)


def test_bindings_end() -> None:
    clock = Clock()
    one = Registrar(RegistrarSettings(users=ALICE), clock)
    granted = registered(one, "<sip:alice@10.0.0.7>", Expires="120")
    assert granted.headers == (("Contact", "<sip:alice@10.0.0.7>;expires=120"),)
    assert registered(one, "<sip:alice@10.0.0.8>", Expires="99999").headers[1][1].endswith("expires=3600")
    clock.now += 119
    assert one.bound() == {"alice": 2}
    clock.now += 1
    assert one.bound() == {"alice": 1}
    assert registered(one, "<sip:alice@10.0.0.8>;expires=0").headers == ()
    assert (one.contact("alice"), one.bound()) == (None, {})
    registered(one, "<sip:alice@10.0.0.7>;expires=120")
    assert registered(one, "*", Expires="60").status == 400
    assert registered(one, "*", Expires="0").status == 200
    assert one.contact("alice") is None
    brief = registered(one, "<sip:alice@10.0.0.7>;expires=30")
    assert (brief.status, brief.headers) == (423, (("Min-Expires", "60"),))
    assert registered(one, "<tel:123>").status == 400
    registered(one, "sip:alice@10.0.0.7;expires=120")
    assert registered(one, '"Alice; <home>" <sip:alice@10.0.0.7>;expires=0').headers == ()


def test_another_process_knows_the_telephones() -> None:
    clock, there = Clock(), Clock()
    there.now += 1000
    one, other = (Registrar(RegistrarSettings(users=ALICE), each) for each in (clock, there))
    registered(one, "<sip:alice@10.0.0.7>", Expires="120")
    other.learn(json.loads(json.dumps(one.told())))
    assert other.contact("alice") == one.contact("alice")
    there.now += 119
    assert other.bound() == {"alice": 1}
    there.now += 1
    assert other.bound() == {}
    registered(one, "*", Expires="0")
    other.learn(one.told())
    assert other.contact("alice") is None


def test_no_user_has_many_telephones() -> None:
    one = Registrar(RegistrarSettings(users=ALICE, max_bindings=2), Clock())
    for host in range(1, 5):
        registered(one, f"<sip:alice@10.0.0.{host}>", Peer(ip_address(f"10.0.0.{host}"), 5060, UDP))
    assert one.bound() == {"alice": 2}
    assert one.contact("ALICE") == "sip:alice@10.0.0.4:5060"


@pytest.mark.parametrize(
    ("contact", "peer", "uri"),
    [
        ("<sip:alice@10.0.0.7:5070>", OFFICE, "sip:alice@10.0.0.7:5070"),
        ("sip:10.0.0.7", OFFICE, "sip:10.0.0.7:5060"),
        ("<sip:alice@192.168.1.2:5070>", HOME, "sip:alice@203.0.113.9:5062"),
        ("<sip:+900123@premium.example>", HOME, "sip:+900123@203.0.113.9:5062"),
        ("<sip:a%22%3e@203.0.113.9>", HOME, "sip:a@203.0.113.9:5060"),
        (
            "<sip:alice@10.0.0.7;transport=tcp>",
            Peer(ip_address("10.0.0.7"), 40000, TCP),
            "sip:alice@10.0.0.7:40000;transport=tcp",
        ),
        (
            "<sip:alice@10.0.0.7;transport=tls>",
            Peer(ip_address("10.0.0.7"), 40000, TLS),
            "sip:alice@10.0.0.7:40000;transport=tls",
        ),
        ('"Alice" <sip:alice@10.0.0.7:5070>', OFFICE, "sip:alice@10.0.0.7:5070"),
        ("<sip:a@b>", Peer(ip_address("2001:db8::1"), 5060, UDP), "sip:a@[2001:db8::1]:5060"),
    ],
)
def test_a_telephone_is_called_where_it_was_seen(contact: str, peer: Peer, uri: str) -> None:
    one = Registrar(RegistrarSettings(users=ALICE), Clock())
    assert registered(one, contact, peer).status == 200
    assert one.contact("alice") == uri
