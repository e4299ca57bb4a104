"""Who calls whom, and what of it is known and kept to ourselves."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.peers import Reception, sip_server
from tests.transports.sip_calls import phone, soon
from transports.call import CallInfo
from transports.sip.message import Message
from transports.sip.parties import parties, user_of

ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>'


async def info_of(headers: str = "", *, settings: Any = None, **caller: Any) -> CallInfo:
    """What is known of a call that is made like this."""
    reception = Reception()
    async with sip_server(reception, **(settings or {})) as server, phone(server, **caller) as one:
        answer = await one.ask("INVITE", one.sdp(), headers)
        one.ack(answer)
        assert answer.status == 200
        info: CallInfo = (await soon(reception.calls.get())).info
        await one.bye()
        return info


async def test_the_called_number_is_the_request_uris() -> None:
    info = await info_of(uri="sip:600@127.0.0.1", to="<sip:+3312345@pbx.example>")
    assert info.called == "600"


@pytest.mark.parametrize(
    ("uri", "called"),
    [
        ("sip:+33123@127.0.0.1;user=phone", "+33123"),
        ("sip:%2B33123@127.0.0.1", "+33123"),
        ("sip:600;phone-context=example.com@127.0.0.1;user=phone", "600"),
        ("sip:jo%20e@127.0.0.1", "jo e"),
        ("sip:600:secret@127.0.0.1", "600"),
        ("sip:127.0.0.1", "agent"),  # then it is To's
    ],
)
async def test_how_a_called_number_may_be_written(uri: str, called: str) -> None:
    assert (await info_of(uri=uri, to="<sip:agent@127.0.0.1>")).called == called


async def test_users_are_compared_as_numbers() -> None:
    assert (await info_of(uri="sip:%2B331-23@127.0.0.1", settings={"users": ("33123",)})).called == "+331-23"


async def test_the_callers_name() -> None:
    info = await info_of(from_=r'"Jo \"the\" <Doe>, é" <sip:jo@example.org>')
    assert (info.caller, info.caller_name) == ("jo", 'Jo "the" <Doe>, é')


@pytest.mark.parametrize("identity", ["P-Asserted-Identity", "Remote-Party-ID"])
async def test_whom_an_anonymous_call_is_asserted_to_be_from(identity: str) -> None:
    headers = f'{identity}: "Jo" <sip:+33123@example.org>;party=calling, <tel:+33123>\r\nPrivacy: id\r\n'
    info = await info_of(headers, from_=ANONYMOUS)
    assert (info.caller, info.caller_name) == ("anonymous", "")
    info = await info_of(headers, from_=ANONYMOUS, settings={"trusted_peers": ("127.0.0.1",)})
    assert (info.caller, info.caller_name) == ("+33123", "Jo")
    info = await info_of(headers, from_="<sip:50@example.org>", settings={"trusted_peers": ("127.0.0.1",)})
    assert info.caller == "50"


@pytest.mark.parametrize(
    "headers",
    [
        'Diversion: "A" <sip:700@x>;reason=no-answer;counter=1\r\nDiversion: <tel:+33600>;reason=unknown\r\n',
        "Diversion: <sip:700@x>;reason=no-answer, <sip:%2B33600@x>\r\n",
        "History-Info: <sip:+33600@x>;index=1, <sip:700@y;cause=302>;index=1.1\r\n"
        "History-Info: <sip:agent@z;cause=408>;index=1.1.1\r\n",
    ],
)
async def test_a_diverted_call(headers: str) -> None:
    assert (await info_of(headers)).diverted_from == ("700", "+33600")


async def test_headers_in_their_short_form() -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server, uri="sip:600@127.0.0.1") as caller:
        caller.cseq = 1
        invite = caller.request("INVITE", caller.sdp(), "Supported: timer, 100rel\r\n", cseq=1)
        for long, short in {
            "Via": "v",
            "From": "f",
            "To": "t",
            "Call-ID": "i",
            "Contact": "m",
            "Content-Type": "c",
            "Content-Length": "l",
            "Supported": "k",
        }.items():
            invite = invite.replace(f"{long}:", f"{short} :", 1)
        caller.send(invite)
        text = await soon(caller.receive())
        while text.split()[1] != "200":
            text = await soon(caller.receive())
        assert (await soon(reception.calls.get())).info.called == "600"


async def test_nothing_of_a_stranger_stands_in_the_log(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    number = "555019283"
    reception = Reception()
    async with (
        sip_server(reception) as server,
        phone(server, uri=f"sip:{number}@127.0.0.1", name=number, user=number) as caller,
    ):
        for method in (
            "OPTIONS",
            "MESSAGE",
            "SUBSCRIBE",
            "NOTIFY",
            "REGISTER",
            "PUBLISH",
            "REFER",
            "NONE",
        ):
            await caller.ask(method, headers=f"Refer-To: <sip:{number}@x>\r\n")
        caller.cancel()
        caller.send(f"SIP/2.0 299 {number}\x1b[31m\r\n" + caller.request("X", cseq=1).partition("\r\n")[2])
        headers = f"Diversion: {number} <<\x1b[31m\r\nX-Odd: \x1b]0;{number}\x07\r\n"
        answer = await caller.ask("INVITE", caller.sdp(), headers)
        caller.ack(answer)
        await soon(reception.connected.get())
        await caller.ask("INFO", f"Signal={number}", content_type="application/dtmf-relay")
        await caller.ask("UPDATE", f"v=0\r\nm=audio {number}\x1b[31m")
        await caller.bye()
        await soon(reception.ended.get())
    printed = capfd.readouterr()
    told = (
        [record.getMessage() for record in caplog.records]
        + printed.out.splitlines()
        + printed.err.splitlines()
    )
    assert [line for line in told if number in line or "\x1b" in line] == []


@pytest.mark.parametrize(
    ("address", "user"),
    [
        ("<sip:jo@example.org>;tag=1", "jo"),
        ("sip:jo@example.org;tag=1", "jo"),
        ("Jo <sips:jo@example.org>", "jo"),
        ("<tel:+33-1-23;phone-context=+33>", "+33-1-23"),
        ("TEL:+33123", "+33123"),
        ('"a@b <sip:x@y>" <sip:jo@example.org>', "jo"),
        ("<sip:example.org>", ""),
        ("<sip:jo%00%1b%0d%0aVia@example.org>", "joVia"),
        ("<sip:a%ff@example.org>", "a\ufffd"),
        ("nonsense", ""),
        ("", ""),
    ],
)
def test_the_user_of_an_address(address: str, user: str) -> None:
    assert user_of(address) == user


@given(st.text(), st.text(), st.text())
def test_any_header_is_read_and_printable(source: str, diversion: str, history: str) -> None:
    headers = (
        ("From", source),
        ("Diversion", diversion),
        ("History-Info", history),
        ("P-Asserted-Identity", source),
    )
    who = parties(Message("INVITE sip:a@b SIP/2.0", headers), trusted=True)
    for text in (who.caller, who.caller_name, who.called, *who.diverted_from):
        assert text.isprintable()
        assert len(text) <= 128
