"""What is kept of SIP messages, and what is shown of them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.sip import trace
from transports.sip.trace import Message, Trace, without_numbers, without_secrets

LOCAL, REMOTE = ("192.0.2.20", 5060), ("192.0.2.10", 5061)


def request(method: str = "INVITE", call_id: str = "a", headers: str = "", body: str = "") -> bytes:
    return (
        f"{method} sip:+33123456789:pin@192.0.2.20;user=phone SIP/2.0\r\n"
        f'From: "Alice \\"A\\" Martin" <sip:0612345678@192.0.2.10>;tag=1\r\nTo: <tel:+33123456789>\r\n'
        f"Call-ID: {call_id}\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def kept(*messages: bytes) -> Trace:
    found = Trace(10)
    for nth, raw in enumerate(messages):
        found.add(nth, False, "UDP", LOCAL, REMOTE, raw)
    return found


def shown(raw: bytes, *, numbers: bool = False) -> str:
    messages = [without_secrets(message) for message in kept(raw).messages()]
    return (messages if numbers else without_numbers(messages))[0].text


def test_a_call_is_found_by_its_call_id_and_by_our_name() -> None:
    found = kept(request(call_id="a"), request(call_id="b"), request("ACK", "a"), request("OPTIONS", "c"))
    found.name("a", "9f2c51d07a3e")
    assert [m.at for m in found.messages("a")] == [0, 2]
    assert found.messages("9f2c51d07a3e") == found.messages("a")
    assert [m.at for m in found.messages()] == [0, 1, 2, 3]
    assert found.messages("d") == []


def test_the_oldest_calls_go_and_pings_take_no_call_its_place() -> None:
    found = kept(*(request(call_id=f"c{n}") for n in range(12)))
    for nth in range(500):
        found.add(100 + nth, False, "UDP", LOCAL, REMOTE, request("OPTIONS", f"o{nth}"))
    calls = {m.call_id for m in found.messages() if m.text.startswith("INVITE")}
    assert calls == {f"c{n}" for n in range(2, 12)}
    assert len(found.messages()) == 20


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["INVITE", "INFO"]), st.integers(0, 40_000))))
def test_memory_is_bounded(messages: list[tuple[int, str, int]]) -> None:
    found = Trace(10)
    for number, method, size in messages:
        found.add(0, False, "UDP", LOCAL, REMOTE, request(method, f"c{number}", body="x" * size))
    assert found.size == sum(len(m.raw) for m in found.messages())
    assert max((len(m.raw) for m in found.messages()), default=0) <= trace.MESSAGE_BYTES
    assert len({m.call_id for m in found.messages()}) <= 20


def test_all_of_it_together_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "ALL_BYTES", 50_000)
    found = kept(*(request(call_id=f"c{n}", body="x" * 15_000) for n in range(9)))
    assert found.size <= 50_000
    assert {m.call_id for m in found.messages()} == {"c6", "c7", "c8"}
    endless = kept(*(request("INFO", "one") for _ in range(999)))
    assert len(endless.messages()) == trace.MESSAGES


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ('Authorization: Digest username="u", response="SECRET"\r\n', ""),
        ('proxy-authorization :Digest username="u",\r\n response="SECRET"\r\n', ""),
        ("Authentication-Info: rspauth=SECRET\r\n", ""),
        ("Contact: <sip:u:SECRET@192.0.2.10>\r\n", ""),
        ("", "v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRET\r\n"),
        ("", "v=0\na=ice-pwd:SECRET\n"),
        ("", "v=0\r\nk=clear:SECRET\r\n"),
        ("Content-Type: application/dtmf-relay\r\n", "Signal=12345\r\nDuration=160\r\n"),
        ("c: application/dtmf\r\n", "12345"),
    ],
)
def test_secrets_are_never_shown(headers: str, body: str) -> None:
    text = shown(request(headers=headers, body=body), numbers=True)
    assert "SECRET" not in text
    assert "12345\r" not in text
    assert not text.endswith("12345")
    assert "…" in text
    assert "Duration=160" in text or "Duration" not in body
    length = int(text.partition("Content-Length: ")[2].split()[0])
    assert length == len(text.partition("\r\n\r\n")[2].encode())


def test_secrets_are_not_shown_where_lines_end_otherwise() -> None:
    raw = request(headers="Authorization: Digest SECRET\r\n", body="v=0\r\na=crypto:1 X inline:SECRET\r\n")
    assert "SECRET" not in shown(raw.replace(b"\r\n", b"\n"), numbers=True)


def test_numbers_and_names_are_aliases_unless_asked_for() -> None:
    headers = "Diversion: Bob Brown <sip:0799887766@b>;reason=busy\r\nX-CID: 0612345678\r\n"
    raw = request(headers=headers, body="v=0\r\no=0612345678 1 1 IN IP4 192.0.2.10\r\n")
    text = shown(raw)
    for hidden in ("33123456789", "0612345678", "0799887766", "Alice", "Martin", "Bob"):
        assert hidden not in text
    assert text.startswith("INVITE sip:user1@192.0.2.20;user=phone SIP/2.0\r\n")
    assert "<sip:user2@192.0.2.10>;tag=1" in text
    assert "To: <tel:user1>" in text
    assert "X-CID: user2" in text
    assert "0612345678" in shown(raw, numbers=True)


def test_one_user_is_one_alias_in_the_whole_call() -> None:
    found = kept(request(), request("BYE")).messages()
    texts = [m.text for m in without_numbers(found)]
    assert all("<sip:user2@192.0.2.10>" in text for text in texts)


@pytest.mark.parametrize(
    "headers",
    [
        "From: a" + " " * 16000,
        'From: "' + "\\a" * 8000,
        "Contact: " + "sip:" * 4000,
        "Contact: " + "sip:a:" * 2600,
        "Authorization: x" + "\r\n " * 5000,
        "To: " + "<" * 16000,
    ],
)
def test_no_message_takes_long(headers: str) -> None:
    raw = request(headers=headers + "\r\n")
    began = time.process_time()
    shown(raw)
    assert time.process_time() - began < 0.5


@given(st.binary(max_size=600))
def test_nothing_breaks_it(raw: bytes) -> None:
    found = kept(raw, request(body=raw.decode("latin-1")))
    messages = without_numbers([without_secrets(m) for m in found.messages()])
    assert all(isinstance(m, Message) for m in messages)


def test_no_call_id_takes_long_to_find() -> None:
    began = time.thread_time()
    assert trace.call_id_of(b"OPTIONS sip:a@b SIP/2.0\r\nCall-ID:" + b" " * 8000 + b"\r\n") == ""
    assert time.thread_time() - began < 0.1
    assert trace.call_id_of(b"Call-ID:\r\n a@b\r\n") == "a@b"
    assert trace.call_id_of(b"Call-ID: \n\t  \r\n a@b\r\n") == "a@b"
    assert trace.call_id_of(b"Call-ID:\r\ni: a@b\r\n") == "a@b"
    assert trace.call_id_of(b"i:\t a b \r\nCall-ID: c\r\n") == "a b"
