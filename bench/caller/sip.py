"""A caller's side of one SIP dialog over UDP (RFC 3261), without a socket or a clock.

`Dialog` takes datagrams and the time and returns datagrams to send. It knows what a measuring caller
needs: INVITE with an SDP offer, ACK, CANCEL, BYE in both directions, retransmissions, and an answer
to what the agent's side may ask inside the dialog. What that side should not have done becomes a
finding.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from bench.caller.g711 import PAYLOAD_TYPES, Law

T1_S = 0.5  # RFC 3261 17.1.1.1
GIVE_UP_S = 64 * T1_S
DTMF_PAYLOAD_TYPE = 101

Address = tuple[str, int]


class State(StrEnum):
    IDLE = "idle"
    CALLING = "calling"
    PROCEEDING = "proceeding"
    CANCELLING = "cancelling"
    CONFIRMED = "confirmed"
    ENDING = "ending"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Message:
    start: str
    headers: tuple[tuple[str, str], ...]
    body: str = ""

    def get(self, name: str) -> str:
        name = name.lower()
        return next((value for key, value in self.headers if key.lower() == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def status(self) -> int:
        """0 for a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """Of the request, or of the request that a response answers."""
        return self.get("CSeq").split()[1] if self.status else self.start.split()[0]

    def encode(self) -> bytes:
        lines = [self.start, *(f"{key}: {value}" for key, value in self.headers)]
        body = self.body.encode()
        return ("\r\n".join([*lines, f"Content-Length: {len(body)}"]) + "\r\n\r\n").encode() + body


_COMPACT = {"i": "Call-ID", "m": "Contact", "f": "From", "t": "To", "v": "Via", "l": "Content-Length"}


def parse(data: bytes) -> Message:
    """Raises ValueError for what isn't a SIP message."""
    head, _, body = data.decode(errors="replace").partition("\r\n\r\n")
    start, *lines = head.split("\r\n")
    if "SIP/2.0" not in start or len(start.split()) < 3:
        raise ValueError("not a SIP message")
    headers: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError("a SIP header without a colon")
        name = _COMPACT.get(name.strip().lower(), name.strip())
        if name.lower() != "content-length":
            headers.append((name, value.strip()))
    message = Message(start, tuple(headers), body)
    if len(message.get("CSeq").split()) != 2:
        raise ValueError("a SIP message without CSeq")
    return message


@dataclass(frozen=True, slots=True)
class RemoteMedia:
    """Where the agent wants RTP, and what it chose."""

    address: Address
    law: Law
    dtmf_payload_type: int | None


def offer(host: str, port: int, law: Law) -> str:
    payload_type = PAYLOAD_TYPES[law]
    return (
        f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {payload_type} {DTMF_PAYLOAD_TYPE}\r\n"
        f"a=rtpmap:{payload_type} {law.upper()}/8000\r\n"
        f"a=rtpmap:{DTMF_PAYLOAD_TYPE} telephone-event/8000\r\na=fmtp:{DTMF_PAYLOAD_TYPE} 0-15\r\n"
        "a=ptime:20\r\na=sendrecv\r\n"
    )


def answer(sdp: str) -> RemoteMedia:
    """Raises ValueError if the answer has no G.711 audio."""
    host, port, types, dtmf, section = "", 0, [], None, "session"
    for line in sdp.splitlines():
        if line.startswith("m="):
            kind, where, _, *formats = line[2:].split()
            section = kind
            if kind == "audio":
                port, types = int(where), [int(item) for item in formats]
        elif line.startswith("c=") and section in ("session", "audio"):
            host = line.split()[-1]
        elif section == "audio" and line.startswith("a=rtpmap:") and "telephone-event/8000" in line:
            dtmf = int(line[len("a=rtpmap:") :].split()[0])
    laws: dict[int, Law] = {number: law for law, number in PAYLOAD_TYPES.items()}
    law = next((laws[item] for item in types if item in laws), None)
    if not host or not port or law is None:
        raise ValueError("the answer has no G.711 audio")
    return RemoteMedia((host, port), law, dtmf)


@dataclass(slots=True)
class _Sent:
    """A request that is repeated until it is answered."""

    data: bytes
    due: float
    until: float
    interval: float = T1_S


@dataclass(slots=True)
class Dialog:
    local: Address
    target: Address
    rtp_port: int
    user: str = "agent"
    caller: str = "caller"
    law: Law = "pcmu"
    state: State = State.IDLE
    status: int = 0
    reason: str = ""
    ended_by: Literal["", "caller", "agent", "refused", "timeout"] = ""
    media: RemoteMedia | None = None
    acked_at: float | None = None
    findings: list[str] = field(default_factory=list)
    log: list[tuple[float, str, str]] = field(default_factory=list)
    _call_id: str = field(default_factory=lambda: secrets.token_hex(10))
    _tag: str = field(default_factory=lambda: secrets.token_hex(4))
    _branch: str = field(default_factory=lambda: "z9hG4bK" + secrets.token_hex(6))
    _cseq: int = 1
    _remote_to: str = ""
    _contact: str = ""
    _ack: bytes = b""
    _pending: dict[str, _Sent] = field(default_factory=dict)

    @property
    def answered(self) -> bool:
        return self.state in (State.CONFIRMED, State.ENDING) or (
            self.state is State.ENDED and self.acked_at is not None
        )

    def invite(self, now: float) -> list[bytes]:
        self.state = State.CALLING
        self._remote_to = f"<{self._uri}>"
        request = self._request("INVITE", self._uri, offer(self.local[0], self.rtp_port, self.law))
        return self._send_reliably("INVITE", request, now)

    def cancel(self, now: float) -> list[bytes]:
        """Only after a provisional answer (RFC 3261 9.1)."""
        self.state = State.CANCELLING
        return self._send_reliably("CANCEL", self._request("CANCEL", self._uri), now)

    def bye(self, now: float) -> list[bytes]:
        if self.state is not State.CONFIRMED:
            return []
        self.state, self.ended_by = State.ENDING, "caller"
        self._cseq += 1
        self._branch = "z9hG4bK" + secrets.token_hex(6)
        return self._send_reliably("BYE", self._request("BYE", self._contact), now)

    def due(self, now: float) -> list[bytes]:
        """Retransmissions whose time has come; gives up on what nobody answers."""
        out: list[bytes] = []
        for method, sent in list(self._pending.items()):
            if now >= sent.until:
                del self._pending[method]
                self.findings.append(f"no answer to {method} in {GIVE_UP_S:.0f} s")
                self._end("timeout")
            elif now >= sent.due:
                sent.interval = min(sent.interval * 2, 4.0)
                sent.due = now + sent.interval
                self.log.append((now, "out", f"{method} again"))
                out.append(sent.data)
        return out

    def receive(self, data: bytes, now: float) -> list[bytes]:
        try:
            message = parse(data)
        except ValueError as error:
            self.findings.append(f"unreadable datagram: {error}")
            return []
        self.log.append((now, "in", message.start))
        if message.get("Call-ID") != self._call_id:
            self.findings.append(f"{message.method} of another dialog")
            return []
        return self._response(message, now) if message.status else self._asked(message, now)

    def _response(self, message: Message, now: float) -> list[bytes]:
        method, status = message.method, message.status
        if method != "INVITE":
            if status >= 200:
                self._pending.pop(method, None)
                if method == "BYE":
                    self._end("caller")
            return []
        if status < 200:
            if (sent := self._pending.get("INVITE")) is not None:
                sent.due = sent.until  # RFC 3261 17.1.1.2: a provisional answer ends retransmission
            if self.state is State.CALLING:
                self.state = State.PROCEEDING
            return []
        self._pending.pop("INVITE", None)
        self._remote_to = message.get("To")
        self.status, self.reason = status, message.start.split(" ", 2)[2]
        if status >= 300:
            self._end("caller" if self.state is State.CANCELLING else "refused")
            return [self._sent(self._request("ACK", self._uri), now)]
        if self._ack:
            return [self._ack]
        contact = message.get("Contact")
        self._contact = contact.partition("<")[2].partition(">")[0] or contact.split(";")[0] or self._uri
        branch, self._branch = self._branch, "z9hG4bK" + secrets.token_hex(6)
        self._ack = self._sent(self._request("ACK", self._contact), now)
        self._branch = branch
        was, self.state, self.acked_at = self.state, State.CONFIRMED, now
        out = [self._ack]
        try:
            self.media = answer(message.body)
        except ValueError as error:
            self.findings.append(str(error))
            out += self.bye(now)
        if was is State.CANCELLING:
            out += self.bye(now)
        return out

    def _asked(self, message: Message, now: float) -> list[bytes]:
        method = message.method
        match method:
            case "ACK":
                return []
            case "BYE":
                if self.state is not State.ENDED:
                    self._pending.clear()
                    self._end("agent")
                return [self._answer(message, "200 OK", now)]
            case "INVITE":
                self.findings.append("the agent's side sent a re-INVITE that nobody asked for")
                return [self._answer(message, "200 OK", now, offer(self.local[0], self.rtp_port, self.law))]
            case "OPTIONS" | "INFO" | "UPDATE" | "NOTIFY":
                return [self._answer(message, "200 OK", now)]
        return [self._answer(message, "501 Not Implemented", now)]

    def _end(self, by: Literal["caller", "agent", "refused", "timeout"]) -> None:
        self.state = State.ENDED
        self.ended_by = self.ended_by or by
        self._pending.clear()

    @property
    def _uri(self) -> str:
        return f"sip:{self.user}@{self.target[0]}:{self.target[1]}"

    def _request(self, method: str, uri: str, body: str = "") -> Message:
        host, port = self.local
        headers = [
            ("Via", f"SIP/2.0/UDP {host}:{port};branch={self._branch};rport"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{self.caller}@{host}:{port}>;tag={self._tag}"),
            ("To", self._remote_to),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._cseq} {method}"),
            ("Contact", f"<sip:{self.caller}@{host}:{port}>"),
            ("User-Agent", "offhook-caller"),
        ]
        if body:
            headers.append(("Content-Type", "application/sdp"))
        return Message(f"{method} {uri} SIP/2.0", tuple(headers), body)

    def _answer(self, request: Message, status: str, now: float, body: str = "") -> bytes:
        kept = [
            *(("Via", via) for via in request.all("Via")),
            *((name, request.get(name)) for name in ("From", "To", "Call-ID", "CSeq")),
            ("Contact", f"<sip:{self.caller}@{self.local[0]}:{self.local[1]}>"),
        ]
        if body:
            kept.append(("Content-Type", "application/sdp"))
        return self._sent(Message(f"SIP/2.0 {status}", tuple(kept), body), now)

    def _sent(self, message: Message, now: float) -> bytes:
        self.log.append((now, "out", message.start))
        return message.encode()

    def _send_reliably(self, method: str, message: Message, now: float) -> list[bytes]:
        data = self._sent(message, now)
        self._pending[method] = _Sent(data, now + T1_S, now + GIVE_UP_S)
        return [data]
