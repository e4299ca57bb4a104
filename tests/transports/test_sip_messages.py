"""SIP messages and session descriptions as text: read, mended, and whole again."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.sip import sdp
from transports.sip.dialog import DialogEvent
from transports.sip.dialogs import Dialogs
from transports.sip.message import Message, Reply, parameter
from transports.sip.parties import Parties
from transports.sip.sdp import Direction, NotAcceptable
from transports.sip.session_timer import SessionTimer, TooSmall, asked_for

PEER = ip_address("192.0.2.7")
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0\r\na=rtcp:4001\r\n"
)


def invite(*headers: tuple[str, str], body: bytes = SDP) -> Message:
    content = (("Content-Type", "application/sdp"),) if body else ()
    fixed = (
        *(("From", "<sip:jo@x>;tag=1"), ("To", "<sip:a@b>"), ("Call-ID", "1"), ("CSeq", "1 INVITE")),
        ("Contact", "<sip:jo@x>"),
    )
    return Message("INVITE sip:a@b SIP/2.0", (*fixed, *headers, *content), body)


def test_a_message_is_what_it_was() -> None:
    text = (
        b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c\r\nv: SIP/2.0/UDP d\r\nX-Odd: \xff\x0b\xe2\x80\xa8\r\n"
        b't: <sip:a@b>;tag=9\r\nSupported: a,\r\n b\r\nk: "c,d", <e,f>\r\n\r\n\x00body'
    )
    message = Message.parse(text)
    assert (message.method, message.uri, message.status, message.in_dialog) == ("INVITE", "sip:a@b", 0, True)
    assert message.values("supported") == ["a", "b", '"c,d"', "<e,f>"]
    assert message.values("Via") == ["SIP/2.0/UDP c", "SIP/2.0/UDP d"]
    assert bytes(message) == text.replace(b"a,\r\n b", b"a, b")
    response = Message.parse(b"SIP/2.0 200 All right\r\nCSeq: 7 UPDATE\r\n\r\n")
    assert (response.status, response.method) == (200, "UPDATE")


@pytest.mark.parametrize(
    ("to", "inside"),
    [
        ("<sip:a@b>;tag=9", True),
        ("sip:a@b ; TAG = 9", True),
        ("<sip:a@b;tag=9>", False),
        ('"a;tag=9" <sip:a@b>', False),
        ("<sip:a@b>;tag=", False),
    ],
)
def test_what_belongs_to_a_dialog(to: str, inside: bool) -> None:
    assert Message("INVITE sip:a@b SIP/2.0", (("To", to),)).in_dialog is inside


@pytest.mark.parametrize("text", [b"", b"\r\n\r\n", b"INVITE sip:a@b SIP/2.0\r\nVia: x", b"A B\r\n\r\n"])
def test_what_is_no_message(text: bytes) -> None:
    with pytest.raises(ValueError, match="no SIP message"):
        Message.parse(text)


@pytest.mark.parametrize("name", ["From", "t", "Call-Id", "CSEQ"])
def test_what_may_stand_there_once_does(name: str) -> None:
    text = bytes(invite()).partition(b"\r\n\r\n")[0]
    with pytest.raises(ValueError, match="a header twice"):
        Message.parse(text + f"\r\n{name}: 1\r\n\r\n".encode())


HUGE = 60_000
HEADS = {
    "brackets": (("Supported", "<" * HUGE),),
    "quotes": (("Supported", '"a\\' * (HUGE // 3)),),
    "spaces": (("Diversion", f"a{' ' * HUGE}b"),),
    "parts": (("Content-Type", "multipart/mixed;boundary=0"),),
    "boundary": (("Content-Type", f"multipart/mixed;boundary={'a' * HUGE}"),),
    "parameters": (("Content-Type", f'multipart/mixed;boundary="{";" * HUGE}'),),
}
NESTED = b"".join(
    b"--%d\r\nContent-Type: multipart/mixed;boundary=%d\r\n\r\n" % (n, n + 1) for n in range(1000)
)


@pytest.mark.parametrize("what", HEADS)
def test_no_invite_takes_long(what: str) -> None:
    dialogs = Dialogs(codecs=("pcmu",), trusts=lambda _: True, reaches=lambda _: False)
    request = invite(body=NESTED if what == "parts" else SDP)
    for name, value in HEADS[what]:
        request = request.replace(name, value)
    began = time.thread_time()
    dialogs.received(request, PEER)
    assert time.thread_time() - began < 0.05


@pytest.mark.parametrize("line", [b"m=audio 1 RTP/SAVP 0\r\n", b"a=fmtp:1 x\r\n", b"c=IN IP4 1.2.3.4\r\n"])
@pytest.mark.parametrize("first", [True, False])
def test_no_description_takes_long(line: bytes, first: bool) -> None:
    dialogs = Dialogs(codecs=("pcmu",), trusts=lambda _: True, reaches=lambda _: False)
    several, many = b"m=audio 1 RTP/AVP 18\r\n" * 4, line * (HUGE // len(line))
    request = invite(body=SDP.partition(b"m=")[0] + (many + several if first else several + many))
    began = time.thread_time()
    dialogs.received(request, PEER)
    assert time.thread_time() - began < 0.1


def test_no_key_takes_long() -> None:
    dialogs = Dialogs(codecs=("pcmu",), trusts=lambda _: True, reaches=lambda _: False)
    dialogs.received(invite(), PEER)
    headers = (("From", "<sip:jo@x>;tag=1"), ("To", "<sip:a@b>;tag=2"), ("Call-ID", "1"))
    began = time.thread_time()
    body = b"\n" * HUGE + b"x"
    kind = (("Content-Type", "application/dtmf"),)
    assert dialogs.received(Message("INFO sip:a@b SIP/2.0", (*headers, *kind), body), PEER) == Reply(
        400, "Bad Request"
    )
    assert time.thread_time() - began < 0.1


def test_only_so_many_headers_are_read() -> None:
    with pytest.raises(ValueError, match="too many headers"):
        Message.parse(b"OPTIONS sip:a@b SIP/2.0\r\n" + b"a:b\r\n" * 300 + b"\r\n")


def test_headers_are_replaced_where_they_stand() -> None:
    message = Message("A b SIP/2.0", (("l", "3"), ("X", "1"), ("Content-Length", "9")), b"abc")
    assert message.with_body(b"xy", "text/plain").headers == (
        ("Content-Length", "2"),
        ("X", "1"),
        ("Content-Type", "text/plain"),
    )
    assert message.replace("Content-Length", None).headers == (("X", "1"),)


@given(
    st.lists(
        st.sampled_from([b"INVITE ", b"a ", b"SIP/2.0", b"Via", b":", b"\r\n", b" ", b"\n"]) | st.binary()
    )
)
def test_any_bytes_are_a_message_or_none(pieces: list[bytes]) -> None:
    data = b"INVITE sip:a@b SIP/2.0\r\n" + b"".join(pieces)
    try:
        message = Message.parse(data)
    except ValueError:
        return
    again = Message.parse(bytes(message))
    assert (again.start, again.headers, again.body) == (message.start, message.headers, message.body)


def test_a_parameter() -> None:
    assert parameter('"a;b=1" <sip:x;index=7>;index=1.2;q="z"', "index") == "1.2"
    assert parameter("1800;Refresher=uac", "refresher") == "uac"
    assert parameter("1800", "refresher") == ""


@pytest.mark.parametrize(
    ("address", "tag"),
    [
        ('<sip:a@b>;tag=1;x=">"', "1"),
        ('<sip:a@b>;x="a>b" ; Tag = "1"', "1"),
        ('<sip:a@b>;x="a;tag=2";tag=1', "1"),
        ('<sip:a@b>;x="\\";tag=2";tag=1', "1"),
        ('sip:a@b;x="<y>";tag=1', "1"),
        ('"A>;tag=2" <sip:a@b>;tag=1', "1"),
        ('"A;tag=2" <sip:a@b>', ""),
        ('"A <sip:a@b>;tag=1', "1"),  # the stack minds no quote that nobody closes
        ("<sip:a@b>;x\x0b;tag\xa0=2;tag=1", "1"),
        ("<sip:a@b>;lr;tag=1", "1"),
    ],
)
def test_quotes_hide_what_is_in_them(address: str, tag: str) -> None:
    assert parameter(address, "tag") == tag


def test_the_address_that_an_invite_came_to_is_announced() -> None:
    mended = sdp.mended(SDP, source=PEER, reaches=lambda _: False)
    # As the stack looks for an address to choose its own by, and as it reads where to send to.
    assert not re.search(rb"c=IN IP[46] [^ \r\n]+", mended)
    assert re.search(rb"\nc=.*IN IP4 192\.0\.2\.7\r\n", mended)


def test_lines_are_whole() -> None:
    assert sdp.mended(b"v=0\nm=audio 1 RTP/AVP 0\ns=- ", source=PEER, reaches=lambda _: False).endswith(
        b"s=-\r\n"
    )


def test_a_host_name_is_sent_to_where_it_came_from() -> None:
    named = SDP.replace(b"c=IN IP4 192.0.2.7", b"c=IN IP4 phone.example.org")
    assert (
        b"IN IP4 192.0.2.7\r\n" in sdp.mended(named, source=PEER, reaches=lambda _: False).partition(b"m=")[2]
    )


def test_the_codecs() -> None:
    dynamic = b"a=rtpmap:96 OPUS/48000/2\r\na=rtpmap:97 AMR/8000\r\na=rtpmap:99 G729/8000\r\n"
    assert sdp.codecs(SDP.replace(b"AVP 0", b"AVP 0 9 96 97") + dynamic) == {"pcmu", "g722", "opus", "amr"}
    assert sdp.codecs(b"v=0\r\n") == set()


CANDIDATES = (
    b"a=candidate:1 1 UDP 9 2001:db8::7 4000 typ host\r\na=candidate:2 2 UDP 8 192.0.2.8 5001 typ host\r\n"
    b"a=candidate:2 1 UDP 8 192.0.2.8 5000 typ host\r\na=candidate:3 1 TCP 99 192.0.2.9 9 typ host\r\n"
    b"a=candidate:4 1 UDP 7 192.0.2.7 6000 typ srflx raddr 0.0.0.0 rport 0\r\na=candidate:x\r\n"
)


@pytest.mark.parametrize(("source", "port"), [("192.0.2.1", 5000), ("192.0.2.7", 6000)])
def test_a_candidate_of_the_signallings_family(source: str, port: int) -> None:
    offer = SDP.replace(b"c=IN IP4 192.0.2.7", b"c=IN IP6 2001:db8::7") + CANDIDATES
    mended = sdp.mended(offer, source=ip_address(source), reaches=lambda _: False)
    assert b"m=audio %d " % port in mended
    assert b"a=rtcp:" not in mended


def test_an_address_of_a_family_that_is_not_ours() -> None:
    offer = SDP.replace(b"c=IN IP4 192.0.2.7", b"c=IN IP6 2001:db8::7")
    with pytest.raises(NotAcceptable):
        sdp.mended(offer, source=PEER, reaches=lambda _: False)
    assert b"c=IN IP6 2001:db8::7" in sdp.mended(offer, source=PEER, reaches=lambda _: True)


@pytest.mark.parametrize(
    ("lines", "direction"),
    [
        ("", Direction.SENDRECV),
        ("a=sendonly", Direction.SENDONLY),
        ("a=recvonly\r\nm=video 9 RTP/AVP 96\r\na=inactive", Direction.RECVONLY),
        ("a=inactive", Direction.INACTIVE),
        ("c=IN IP4 0.0.0.0", Direction.INACTIVE),
    ],
)
def test_the_direction(lines: str, direction: Direction) -> None:
    assert sdp.direction(SDP + lines.encode() + b"\r\n") is direction
    assert sdp.direction(SDP.replace(b"audio 4000", b"audio 0") + lines.encode()) is Direction.INACTIVE
    assert sdp.direction(SDP.replace(b"t=0 0", b"t=0 0\r\na=recvonly")) is Direction.RECVONLY


@given(st.binary(), st.text())
def test_any_body_is_answered(body: bytes, content_type: str) -> None:
    dialogs = Dialogs(codecs=("pcmu",), trusts=lambda _: False, reaches=lambda _: False)
    outcome = dialogs.received(invite(("Content-Type", content_type), body=body), PEER)
    assert isinstance(outcome, Message | Reply)


@given(st.lists(st.sampled_from(SDP.split(b"\r\n") + CANDIDATES.split(b"\r\n")) | st.binary()))
def test_any_description_is_mended(lines: list[bytes]) -> None:
    body = b"\n".join(lines)
    sdp.direction(body)
    sdp.codecs(body)
    try:
        mended = sdp.mended(body, source=PEER, reaches=lambda _: False)
    except NotAcceptable:
        return
    assert mended == b"" or mended.endswith(b"\r\n")
    assert sdp.direction(mended) in set(Direction)


@pytest.mark.parametrize(
    ("headers", "timer"),
    [
        ((), None),
        ((("Session-Expires", "soon"),), None),
        ((("x", "1800;refresher=uac"), ("k", "timer")), SessionTimer(1800, ours=False, supported=True)),
        (
            (("Session-Expires", "1800"), ("Supported", "timer")),
            SessionTimer(1800, ours=False, supported=True),
        ),
        (
            (("Session-Expires", "1800;refresher=uas"), ("Require", "timer")),
            SessionTimer(1800, ours=True, supported=True),
        ),
        ((("Session-Expires", "1800;refresher=uac"),), SessionTimer(1800, ours=True, supported=False)),
        ((("Session-Expires", "30"),), SessionTimer(90, ours=True, supported=False)),
        ((("Session-Expires", "9" * 400),), SessionTimer(2**31, ours=True, supported=False)),
    ],
)
def test_session_timers(headers: tuple[tuple[str, str], ...], timer: SessionTimer | None) -> None:
    assert asked_for(invite(*headers)) == timer


def test_when_a_session_is_due() -> None:
    assert SessionTimer(1800, ours=True, supported=True).due_s == 900
    assert SessionTimer(1800, ours=False, supported=True).due_s == 1768
    assert SessionTimer(90, ours=False, supported=True).due_s == 60
    with pytest.raises(TooSmall):
        asked_for(invite(("Session-Expires", "89"), ("Supported", "timer")))


@pytest.mark.parametrize(
    ("content_type", "answer"),
    [
        ("application/sdp", b""),
        ("application/sdp", SDP.replace(b"RTP/AVP 0", b"RTP/AVP 18")),
        ("application/sdp", SDP.replace(b"c=IN IP4 192.0.2.7", b"c=IN IP6 2001:db8::1")),
        ("text/plain", b"no"),
    ],
)
def test_an_offer_that_nobody_answers_is_told_of(content_type: str, answer: bytes) -> None:
    dialogs = Dialogs(codecs=("pcmu",), trusts=lambda _: False, reaches=lambda _: False)
    dialogs.received(invite(body=b""), PEER)
    told: list[DialogEvent] = []
    dialog = dialogs.find("1")
    assert dialog
    dialog.on_event = told.append
    headers = (("From", "<sip:jo@x>;tag=1"), ("To", "<sip:a@b>;tag=2"), ("Call-ID", "1"), ("CSeq", "1 ACK"))
    ack = Message("ACK sip:a@b SIP/2.0", (*headers, ("Content-Type", content_type)), answer)
    outcome = dialogs.received(ack, PEER)
    assert isinstance(outcome, Message)
    assert b"m=audio 0" in outcome.body
    assert dialogs.received(ack, PEER) is None
    assert told == [DialogEvent.UNANSWERED]


@pytest.mark.parametrize("body", [b"", SDP])
def test_an_update_answers_no_offer(body: bytes) -> None:
    dialogs = Dialogs(codecs=("pcmu",), trusts=lambda _: False, reaches=lambda _: False)
    dialogs.received(invite(body=b""), PEER)
    dialog = dialogs.find("1")
    assert dialog
    update = invite(body=body).replace("To", "<sip:a@b>;tag=2").replace("CSeq", "2 UPDATE")
    dialogs.received(replace(update, start="UPDATE sip:a@b SIP/2.0"), PEER)
    assert dialog.late


def test_an_ack_is_never_replied_to_and_changes_nothing_that_was_agreed() -> None:
    dialogs = Dialogs(codecs=("pcmu",), trusts=lambda _: False, reaches=lambda _: False)
    dialogs.received(invite(), PEER)
    dialog = dialogs.find("1")
    assert dialog
    headers = (("From", "<sip:jo@x>;tag=1"), ("To", "<sip:a@b>;tag=2"), ("Call-ID", "1"), ("CSeq", "1 ACK"))
    for kind, body in (("text/plain", b"no"), ("application/sdp", SDP + b"a=inactive\r\n")):
        ack = Message("ACK sip:a@b SIP/2.0", (*headers, ("Content-Type", kind)), body)
        assert dialogs.received(ack, PEER) is None
    assert dialog.agreed.direction == "sendrecv"


@pytest.mark.parametrize("call_id", ["\udcfc", "a" * 3000])
def test_a_call_id_that_names_no_call_is_bad(call_id: str) -> None:
    dialogs = Dialogs(codecs=("pcmu",), trusts=lambda _: False, reaches=lambda _: False)
    outcome = dialogs.received(invite().replace("Call-ID", call_id), PEER)
    assert outcome == Reply(400, "Bad Request")
    assert dialogs.find(call_id) is None


@pytest.mark.parametrize(
    ("header", "value"),
    [("From", "<sip:jo@x>"), ("Contact", None), ("Contact", "*"), ("Contact", "<tel:+1>")],
)
def test_who_cant_be_answered_within_the_call_is_told_that_it_is_their_fault(
    header: str, value: str | None
) -> None:
    dialogs = Dialogs(codecs=("pcmu",), trusts=lambda _: False, reaches=lambda _: False)
    assert dialogs.received(invite().replace(header, value), PEER) == Reply(400, "Bad Request")


def test_a_content_type_may_have_spaces() -> None:
    dialogs = Dialogs(codecs=("pcmu",), trusts=lambda _: False, reaches=lambda _: False)
    spaced = invite().replace("Content-Type", "Application / SDP ; x=y")
    assert isinstance(dialogs.received(spaced, PEER), Message)


def test_a_second_invite_of_the_same_call_is_a_loop() -> None:
    dialogs = Dialogs(codecs=("pcmu",), trusts=lambda _: False, reaches=lambda _: False)
    assert isinstance(dialogs.received(invite(), PEER), Message)
    again = dialogs.received(invite(), PEER)
    assert isinstance(again, Reply)
    assert again.status == 482
    dialogs.forget("1")
    assert isinstance(dialogs.received(invite(), PEER), Message)


def response(status: int, cseq: str = "1 INVITE") -> Message:
    headers = (("From", "<sip:jo@x>;tag=1"), ("To", "<sip:a@b>;tag=2"), ("Call-ID", "1"), ("CSeq", cseq))
    return Message(f"SIP/2.0 {status} So", headers)


def test_what_is_asked_for_counts_once_it_is_agreed_to() -> None:
    dialogs = Dialogs(codecs=("pcmu",), trusts=lambda _: False, reaches=lambda _: False)
    held = SDP + b"a=inactive\r\n"
    dialogs.received(invite(("Session-Expires", "1800"), ("Supported", "timer"), body=held), PEER)
    dialog = dialogs.find("1")
    assert dialog
    for status in (180, 482):  # to another that has the same Call-ID
        sent = dialogs.sent(response(status))
        assert sent
        assert not sent.header("Session-Expires")
    assert dialogs.sent(response(200, "2 UPDATE")) == response(200, "2 UPDATE")
    assert dialog.agreed.direction == "sendrecv"
    sent = dialogs.sent(response(200))
    assert sent
    assert sent.header("Session-Expires") == "1800;refresher=uac"
    assert dialog.agreed.direction == "inactive"
    assert dialogs.sent(sent) == sent  # repeated


def test_another_forks_answer_changes_nothing() -> None:
    dialogs = Dialogs(codecs=("pcmu",), trusts=lambda _: False, reaches=lambda _: False)
    uri = "sip:600@192.0.2.7"
    offer = invite().to(uri)
    dialogs.dial(uri)
    assert dialogs.sent(offer)
    dialog = dialogs.begin(uri, "1", Parties("", "", ""))

    def answer(tag: str, direction: bytes) -> Message:
        accepted = offer.replace("To", f"<sip:a@b>;tag={tag}").with_body(SDP + direction, "application/sdp")
        return replace(accepted, start="SIP/2.0 200 OK")

    assert dialogs.answered(answer("2", b""), PEER)
    acknowledged = offer.replace("To", "<sip:a@b>;tag=2").replace("CSeq", "1 ACK")
    dialogs.sent(replace(acknowledged, start=f"ACK {uri} SIP/2.0"))
    directions = []
    for tag in ("3", "2"):
        dialogs.answered(answer(tag, b"a=inactive\r\n"), PEER)
        directions.append(dialog.agreed.direction)
    assert directions == [Direction.SENDRECV, Direction.INACTIVE]
