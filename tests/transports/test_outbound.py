"""Nobody is called whom the patterns don't list, and no more than the limits say."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.accounts import AccountSettings
from config.outbound import OutboundSettings
from transports.outbound import LimitReached, NotPermitted, OutboundGuard, Permit
from transports.sip.parties import user_of

ALLOW = (
    "+331*",
    "00495*",
    "0441",
    "6??",
    "alice@pbx.example.com",
    "*@192.0.2.10:5070",
    "700@[2001:db8::1]:*",
)
GUARD = OutboundGuard(
    OutboundSettings(
        allow=ALLOW,
        deny=("+33190*", "01133191*"),
        international_prefixes=("00", "011"),
        gateway="sip.example.net:5080",
    )
)

# What may be found in a destination, good and evil; joined at random.
PARTS = st.sampled_from(
    [
        *(
            "sip:",
            "sips:",
            "SIP:",
            "tel:",
            "http:",
            "+331",
            "+33190",
            "00",
            "011",
            "331",
            "33190",
            "33191",
            "+44",
            "600",
            "alice",
            "bob",
            "123",
        ),
        *(
            "@",
            "@@",
            "%40",
            "%2B",
            "pbx.example.com",
            "PBX.example.com",
            "evil.example",
            "192.0.2.10",
            ":5070",
        ),
        *(
            "[2001:db8::1]",
            ":5080",
            "sip.example.net",
            ":",
            ";",
            "?",
            ";transport=tcp",
            ";maddr=6.6.6.6",
            ";lr",
        ),
        *(
            "?Route=<sip:evil>",
            "?Replaces=x",
            ";user=phone",
            "<",
            ">",
            ",",
            " ",
            "\r\n",
            "\n",
            "\0",
            "é",
            "٣",
        ),
        *("00", "011", "331", "33190", "33191"),
        *("*", "#", "-", "(", ")", ".", "/", "\\", "&", '"', "[", "]", "%", "=", "//", "\u2028", "0"),
    ]
)
TEXTS = st.one_of(st.lists(PARTS, max_size=8).map("".join), st.text(max_size=40))
DIALLED = re.compile(
    r"sips?:([A-Za-z0-9+._-]+)@(\[[0-9a-f:]+\]|[a-z0-9.-]+)(?::(\d+))?(?:;transport=(?:udp|tcp|tls))?"
)


def may_be_dialled(uri: str) -> bool:
    """The patterns above, told again with other means."""
    found = DIALLED.fullmatch(uri)
    assert found, uri
    user, host, port = found.groups()
    if (host, port) == ("sip.example.net", "5080"):
        number = re.fullmatch(r"(?:\+|00|011)(\d*)", user)
        abroad = number[1] if number else ""
        return (
            (abroad.startswith(("331", "495")) and not abroad.startswith(("33190", "33191")))
            or (fnmatchcase(user, "+331*") and not user.startswith(("+33190", "+33191")))
            or fnmatchcase(user, "+495*")
            or bool(re.fullmatch("6..|0441", user))
        )
    return (
        ((user, host) == ("alice", "pbx.example.com") and port in (None, "5060", "5061"))
        or (host, port) == ("192.0.2.10", "5070")
        or (user, host) == ("700", "[2001:db8::1]")
    )


@given(TEXTS)
def test_nothing_else_is_ever_dialled(text: str) -> None:
    try:
        dialled = str(GUARD.permits(text))
    except NotPermitted:
        return
    assert may_be_dialled(dialled)
    assert user_of(dialled)
    assert str(GUARD.permits(dialled)) == dialled  # what is matched is what is dialled


@given(TEXTS)
def test_without_patterns_nothing_is_dialled(text: str) -> None:
    with pytest.raises(NotPermitted, match=r"outbound\.allow"):
        OutboundGuard(OutboundSettings(gateway="sip.example.net")).permits(text)


@pytest.mark.parametrize(
    ("text", "dialled"),
    [
        ("+33 1 23-45.67", "sip:+331234567@sip.example.net:5080"),
        ("tel:+33-1(23)45", "sip:+3312345@sip.example.net:5080"),
        ("0033 1 23", "sip:0033123@sip.example.net:5080"),
        ("tel:011-331-23", "sip:01133123@sip.example.net:5080"),
        ("+4951", "sip:+4951@sip.example.net:5080"),
        ("0114951", "sip:0114951@sip.example.net:5080"),
        ("0441", "sip:0441@sip.example.net:5080"),
        ("612", "sip:612@sip.example.net:5080"),
        ("SIP:alice@PBX.example.com", "sip:alice@pbx.example.com"),
        ("sips:alice@pbx.example.com;transport=TLS", "sips:alice@pbx.example.com;transport=tls"),
        ("sip:+331.23-45@sip.example.net:5080", "sip:+3312345@sip.example.net:5080"),
        ("bob@192.0.2.10:5070", "sip:bob@192.0.2.10:5070"),
        ("sip:700@[2001:DB8:0::1]:5090", "sip:700@[2001:db8::1]:5090"),
    ],
)
def test_what_may_be_dialled(text: str, dialled: str) -> None:
    assert str(GUARD.permits(text)) == dialled


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "+33190123",
        "0033190123",
        "011-33-190-123",
        "sip:0033190123@sip.example.net:5080",
        "0033191",
        "+33191",
        "00441",
        "0033",
        "sip:+331-90123@sip.example.net:5080",  # which is the same number to whoever reads it (RFC 3966)
        "sip:+33123@evil.example",
        "sip:600@sip.example.net",  # another port than the gateway's
        "sip:alice@pbx.example.com:6000",
        "sip:alice@pbx.example.com@evil.example",
        "sip:alice%40evil.example@pbx.example.com",
        "sip:alice@pbx.example.com?Route=%3Csip:evil.example%3E",
        "sip:alice@pbx.example.com;maddr=198.51.100.7",
        "sip:alice@pbx.example.com;transport=tcp;lr",
        "sip:alice:secret@pbx.example.com",
        "sip:alice@pbx.example.com\r\nRoute: <sip:evil.example>",
        "sip:alice@pbx.example.com\n",
        "tel:+33123;phone-context=evil.example",
        "tel:+3312*",
        "６１２",
    ],
)
def test_what_may_not(text: str) -> None:
    with pytest.raises(NotPermitted):
        GUARD.permits(text)


@pytest.mark.parametrize(
    ("server", "dialled"),
    [
        ("Sip.Example.org", "sip:612@sip.example.org;transport=tcp"),
        ("192.0.2.1:5070", "sip:612@192.0.2.1:5070;transport=tcp"),
        ("[2001:db8::1]:5070", "sip:612@[2001:db8::1]:5070;transport=tcp"),
    ],
)
def test_numbers_go_to_the_account_s_server(server: str, dialled: str) -> None:
    guard = OutboundGuard(OutboundSettings(allow=("6??",), gateway="sip.example.net"))
    guard.use({"office": AccountSettings(server=server, user="1001", transport="tcp")})
    assert str(guard.permits("612", "office")) == dialled
    assert str(guard.permits("612")) == "sip:612@sip.example.net"
    with pytest.raises(NotPermitted, match="no pattern"):
        guard.permits("sip:612@sip.example.net", "office")
    with pytest.raises(NotPermitted, match="There is no account 'home'"):
        guard.permits("612", "home")


@pytest.mark.parametrize(
    "pattern", ["", "a b", "*@", "@host", "600@a@b", "+33%", "6;x", "600@host:x", "600@[zz]"]
)
def test_a_pattern_that_is_none(pattern: str) -> None:
    with pytest.raises(ValueError, match="a list of patterns"):
        OutboundSettings(allow=(pattern,))


def limited(**limits: int) -> OutboundGuard:
    return OutboundGuard(
        OutboundSettings.model_validate({"max_calls": 200, "calls_per_minute": 6000} | limits)
    )


def test_calls_at_once() -> None:
    guard = limited(max_calls=2, key_max_calls=1)
    first = guard.begin("a", 0)
    with pytest.raises(LimitReached, match=r"outbound\.key_max_calls"):
        guard.begin("a", 1)
    guard.begin("b", 1)
    with pytest.raises(LimitReached, match=r"2 outgoing calls are on \(outbound.max_calls\)"):
        guard.begin("c", 1)
    guard.end(first, 2)
    guard.end(first, 3)
    guard.begin("c", 3)


def test_calls_a_minute() -> None:
    guard = limited(calls_per_minute=2)
    for now in (0, 10):
        guard.end(guard.begin("a", now), now + 1)
    with pytest.raises(LimitReached) as reached:
        guard.begin("a", 20)
    assert reached.value.retry_after_s == 40
    guard.begin("a", 60)


def test_minutes_a_day() -> None:
    guard = limited(minutes_per_day=10, max_calls=2)
    rang = guard.begin("a", 0)
    assert guard.left_s(rang, 300) == 300  # what only rings costs nothing
    guard.end(rang, 300)
    first, second = guard.begin("a", 300), guard.begin("b", 300)
    guard.answered(first, 300)
    guard.answered(second, 300)
    assert guard.left_s(first, 360) == 240  # of 480 that are left, since two may talk
    guard.end(second, 420)
    assert guard.left_s(first, 420) == 180
    assert guard.left_s(first, 780) == 0
    guard.end(first, 780)
    with pytest.raises(LimitReached, match=r"10 minutes of calls.*\(outbound.minutes_per_day\)"):
        guard.begin("a", 800)
    guard.begin("a", 780 + 24 * 3600)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.floats(0, 90), st.booleans(), st.floats(0, 400)),
        max_size=60,
    )
)
def test_no_limit_is_ever_exceeded(wishes: list[tuple[str, float, bool, float]]) -> None:
    """Whatever is asked for when, and however long whoever asks would talk."""
    guard = limited(max_calls=3, calls_per_minute=4, minutes_per_day=5, key_max_calls=2)
    now = talked_s = 0.0
    live: dict[Permit, tuple[float, float]] = {}  # when it would end, and when it is asked about again
    begun: list[float] = []

    def passes(until: float) -> None:
        nonlocal now, talked_s
        while live and (permit := min(live, key=lambda one: live[one][1])) and live[permit][1] <= until:
            ends, asked = live[permit]
            now = asked
            left_s = guard.left_s(permit, now) if permit.answered_at is not None else 1e9
            if left_s and now < ends:
                live[permit] = ends, min(ends, now + left_s)
                continue
            del live[permit]
            guard.end(permit, now)
            talked_s += now - permit.answered_at if permit.answered_at is not None else 0
        now = until

    for by, wait_s, answers, lasts in wishes:
        passes(now + wait_s)
        try:
            permit = guard.begin(by, now)
        except LimitReached:
            continue
        begun.append(now)
        if answers:
            guard.answered(permit, now)
        live[permit] = now + lasts, now
        assert len(live) <= 3
        assert sum(one.by == by for one in live) <= 2
        assert sum(at > now - 60 for at in begun) <= 4
    passes(now + 3600)
    assert not live
    assert talked_s <= 300 + 1e-6
