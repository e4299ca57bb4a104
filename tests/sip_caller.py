"""A caller made of two sockets, which sees every packet and can send wrong ones.

SIP goes over UDP, TCP or TLS; it speaks and decodes PCMU only. RTP is sent and recorded on a thread of its
own, so that a busy event loop doesn't blur the times.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PTIME_S = 0.020
PACKET_SAMPLES = 160
TELEPHONE_EVENT = 101
SO_TIMESTAMPNS = 35
_BIAS = 0x84


def ulaw_encode(pcm: NDArray[np.int16]) -> bytes:
    """G.711 mu-law."""
    magnitude = np.minimum(np.abs(pcm.astype(np.int32)), 32635) + _BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    sign = np.where(pcm < 0, 0x80, 0)
    return bytes((~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8))


def ulaw_decode(data: bytes) -> NDArray[np.int16]:
    code = ~np.frombuffer(data, np.uint8) & 0xFF
    exponent, mantissa = ((code >> 4) & 7).astype(np.int32), (code & 0x0F).astype(np.int32)
    magnitude = (((mantissa << 3) + _BIAS) << exponent) - _BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


@dataclass
class Packet:
    at: float
    sequence_number: int
    rtp_timestamp: int
    payload_type: int
    payload: bytes


@dataclass
class SipAnswer:
    status: int
    text: str

    def header(self, name: str) -> str:
        return next(iter(self.headers(name)), "")

    @property
    def media(self) -> tuple[str, int]:
        """Where its SDP wants the audio sent."""
        address = self.text.partition("c=IN IP4 ")[2].split()[0]
        return address, int(self.text.partition("m=audio ")[2].split()[0])

    def headers(self, name: str) -> list[str]:
        lines = (line.partition(":") for line in self.text.splitlines())
        return [value.strip() for key, _, value in lines if key.strip().lower() == name.lower()]


@dataclass
class Caller:
    """One phone. `call` rings and acknowledges; then `received` fills up."""

    server: tuple[str, int]
    host: str = "127.0.0.1"
    user: str = "agent"
    name: str = "caller"
    tcp: bool = False
    tls: ssl.SSLContext | None = None  # over TCP
    uri: str = ""  # the Request-URI; what stands in To by default
    to: str = ""  # a whole header's value, without tag; as is From
    from_: str = ""
    contact: str = ""  # the host that it names, where that isn't its own
    via_port: int = 0  # as the port that it names in Via
    received: list[Packet] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)  # what the server asked of us

    def __post_init__(self) -> None:
        self.sip = socket.socket(type=socket.SOCK_STREAM if self.tcp else socket.SOCK_DGRAM)
        self.sip.bind((self.host, 0))
        if self.tcp:
            self.sip.settimeout(10)
            self.sip.connect(self.server)
        if self.tls:
            self.sip = self.tls.wrap_socket(self.sip, server_hostname=self.server[0])
        self.sip.setblocking(False)
        self._stream = b""
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.bind((self.host, 0))
        self.rtp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)  # the kernel's clock, not this thread's
        self.call_id = secrets.token_hex(8)
        self.tag = secrets.token_hex(4)
        self.to_tag = ""
        self.routes = ""  # of the dialog: whole lines
        self.cseq = 0
        self.direction = "sendrecv"
        self.formats = f"0 {TELEPHONE_EVENT}"  # and the SDP's attributes of the audio
        self.attributes: tuple[str, ...] = (f"rtpmap:{TELEPHONE_EVENT} telephone-event/8000",)
        self.profile = "RTP/AVP"
        self.encrypt: Callable[[bytes], bytes] = lambda packet: packet  # and the other way
        self.decrypt: Callable[[bytes], bytes] = lambda packet: packet
        self.branch = ""
        self.rtp_to: tuple[str, int] | None = None
        self.acked_at = 0.0
        self.ended = asyncio.Event()
        self.speech: list[bytes] = []  # packets still to send; silence when there are none
        self.silent = False  # send nothing at all
        self.lateness_s: Callable[[int], float] = lambda sequence_number: 0.0  # a network with jitter
        self.inject: list[bytes] = []  # packets to send as they are
        self.rtp_from = self.rtp  # what sends them
        # What becomes of each packet of sound on its way.
        self.disturb: Callable[[bytes], list[bytes]] = lambda packet: [packet]
        self.sent_at: dict[int, float] = {}
        self._sequence_number = 100
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def transport(self) -> str:
        return "TLS" if self.tls else "TCP" if self.tcp else "UDP"

    @property
    def _parameter(self) -> str:
        return f";transport={self.transport.lower()}" if self.tcp else ""

    async def call(self, headers: str = "") -> SipAnswer:
        """INVITE, then ACK. Returns the final answer."""
        answer = await self.invite(headers=headers)
        self.ack(answer)
        if answer.status == 200:
            self.start_rtp(answer)
        return answer

    async def invite(self, direction: str = "sendrecv", headers: str = "") -> SipAnswer:
        self.direction = direction
        self.send_request("INVITE", self.sdp(direction), headers)
        return await self.final_answer()

    def ack(self, answer: SipAnswer, body: str = "") -> None:
        to = answer.header("To")
        self.to_tag = to.partition("tag=")[2].partition(";")[0]
        accepted = answer.status < 300
        if accepted and (routes := answer.headers("Record-Route")):
            self.routes = "".join(f"Route: {route}\r\n" for route in reversed(routes))
            self.uri = answer.header("Contact").partition("<")[2].partition(">")[0]
        self.send(self.request("ACK", body, cseq=self.cseq, branch="" if accepted else self.branch))
        self.acked_at = time.monotonic()

    async def bye(self) -> SipAnswer:
        self.send_request("BYE")
        return await self.final_answer()

    def cancel(self) -> None:
        self.send(self.request("CANCEL", cseq=self.cseq, branch=self.branch))

    def sdp(self, direction: str = "sendrecv", *, media: str = "", formats: str = "", port: int = -1) -> str:
        """`media` stands in `c=` where it isn't this host's own; `port` 0 is no audio."""
        own = self.rtp.getsockname()[1]
        return (
            f"v=0\r\no=- 1 {self.cseq + 1} IN IP4 {self.host}\r\ns=-\r\n"
            f"c={media or f'IN IP4 {self.host}'}\r\nt=0 0\r\n"
            f"m=audio {own if port < 0 else port} {self.profile} {formats or self.formats}\r\n"
            + "".join(f"a={attribute}\r\n" for attribute in (*self.attributes, direction))
        )

    def send_request(
        self, method: str, body: str = "", headers: str = "", *, content_type: str = "application/sdp"
    ) -> None:
        """`headers` are whole lines, each with its CRLF."""
        self.cseq += 1
        self.branch = "z9hG4bK" + secrets.token_hex(8)
        self.send(
            self.request(method, body, headers, cseq=self.cseq, branch=self.branch, content_type=content_type)
        )

    async def ask(
        self, method: str, body: str = "", headers: str = "", *, content_type: str = "application/sdp"
    ) -> SipAnswer:
        """Send a request and return its final answer."""
        self.send_request(method, body, headers, content_type=content_type)
        return await self.final_answer()

    def request(
        self,
        method: str,
        body: str = "",
        headers: str = "",
        *,
        cseq: int,
        branch: str = "",
        content_type: str = "application/sdp",
    ) -> str:
        host, port = self.sip.getsockname()
        tag = f";tag={self.to_tag}" if self.to_tag else ""
        uri = self.uri or f"sip:{self.user}@{self.server[0]}:{self.server[1]}{self._parameter}"
        content = f"Content-Type: {content_type}\r\n" if body else ""
        return (
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{self.transport} {host}:{self.via_port or port};"
            f"branch={branch or 'z9hG4bK' + secrets.token_hex(8)}\r\n"
            f"Max-Forwards: 70\r\nFrom: {self.from_ or f'<sip:{self.name}@{host}>'};tag={self.tag}\r\n"
            f"To: {self.to or f'<sip:{self.user}@{self.server[0]}>'}{tag}\r\nCall-ID: {self.call_id}\r\n"
            f"CSeq: {cseq} {method}\r\n"
            f"Contact: <sip:{self.name}@{self.contact or host}:{port}{self._parameter}>\r\n"
            f"{self.routes}{headers}{content}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def send(self, message: str) -> None:
        if self.tcp:
            self.sip.sendall(message.encode())
        else:
            self.sip.sendto(message.encode(), self.server)

    async def final_answer(self, timeout_s: float = 15.0) -> SipAnswer:
        """The final answer to the last request; requests that come first are answered 200."""
        async with asyncio.timeout(timeout_s):
            while True:
                text = await self.receive()
                if text.startswith("SIP/2.0"):
                    answer = SipAnswer(int(text.split()[1]), text)
                    if answer.status >= 200 and answer.header("CSeq").startswith(f"{self.cseq} "):
                        return answer
                else:
                    self.answer_request(text)

    async def serve(self, until: asyncio.Event | None = None) -> None:
        """Answer the server's requests until it hangs up."""
        while not self.ended.is_set():
            text = await self.receive()
            if not text.startswith("SIP/2.0"):
                self.answer_request(text)

    async def receive(self) -> str:
        if self.tcp:
            return await self._receive_stream()
        while True:
            packet = await asyncio.get_running_loop().sock_recv(self.sip, 65536)
            if b"SIP/2.0" in packet:  # not a late one of a call that had this port before
                return packet.decode()

    async def _receive_stream(self) -> str:
        while True:
            head, end, rest = self._stream.partition(b"\r\n\r\n")
            length = int(SipAnswer(0, head.decode()).header("Content-Length") or 0) if end else 0
            if end and len(rest) >= length:
                self._stream = rest[length:]
                return (head + end + rest[:length]).decode()
            try:
                self._stream += (
                    self.sip.recv(65536)
                    if self.tls
                    else await asyncio.get_running_loop().sock_recv(self.sip, 65536)
                )
            except ssl.SSLWantReadError:
                await asyncio.sleep(0.01)

    def answer_request(self, text: str, body: str = "", status: str = "200 OK") -> None:
        """Say yes, or `status`, to whatever the server asks; to an INVITE with `body`, or what is agreed."""
        method = text.split()[0]
        body = body or (self.sdp(self.direction) if method == "INVITE" else "")
        self.requests.append(method)
        if method == "ACK":
            return
        kept = [
            line
            for line in text.split("\r\n\r\n")[0].split("\r\n")[1:]
            if line.partition(":")[0].lower() in ("via", "from", "to", "call-id", "cseq")
        ]
        host, port = self.sip.getsockname()
        content = ["Content-Type: application/sdp"] if body else []
        contact = f"Contact: <sip:{self.name}@{host}:{port}{self._parameter}>"
        length = f"Content-Length: {len(body)}"
        self.send("\r\n".join([f"SIP/2.0 {status}", *kept, contact, *content, length, "", body]))
        if method == "BYE":
            self.ended.set()

    def start_rtp(self, answer: SipAnswer) -> None:
        self.rtp_to = answer.media
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def say(self, pcm: NDArray[np.int16]) -> None:
        """Queue s16 mono PCM at 8 kHz, in whole packets."""
        whole = len(pcm) - len(pcm) % PACKET_SAMPLES
        self.speech.extend(ulaw_encode(pcm[i : i + PACKET_SAMPLES]) for i in range(0, whole, PACKET_SAMPLES))

    def press(self, event: int) -> None:
        """One key, as RFC 4733 sends it: three packets while it is down, three with the end bit."""
        for nth in range(6):
            end = 0x80 if nth >= 3 else 0
            body = struct.pack("!BBH", event, end | 10, 160 * min(nth + 1, 4))
            self.inject.append(self.header(TELEPHONE_EVENT, marker=nth == 0, stamp=0x5000) + body)

    def heard(self) -> NDArray[np.int16]:
        """All audio received so far, s16 mono PCM at 8 kHz."""
        audio = [p.payload for p in self.received if p.payload_type == 0]
        return ulaw_decode(b"".join(audio))

    def close(self) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join(2)
        self.sip.close()
        self.rtp.close()

    def header(self, payload_type: int, *, marker: bool = False, stamp: int | None = None) -> bytes:
        self._sequence_number = (self._sequence_number + 1) & 0xFFFF
        timestamp = stamp if stamp is not None else self._sequence_number * PACKET_SAMPLES
        return struct.pack(
            "!BBHII", 0x80, payload_type | (0x80 if marker else 0), self._sequence_number, timestamp, 0xC0FFEE
        )

    def _receive_rtp(self) -> None:
        data, extras, _, _ = self.rtp.recvmsg(2048, 64)
        seconds, nanoseconds = struct.unpack("@qq", extras[0][2][:16])
        age = time.time() - (seconds + nanoseconds / 1e9)
        if data[0] >> 6 != 2:  # DTLS
            return
        data = self.decrypt(data)
        _, kind, number, stamp, _ = struct.unpack("!BBHII", data[:12])
        self.received.append(Packet(time.monotonic() - age, number, stamp, kind & 0x7F, data[12:]))

    def _run(self) -> None:
        assert self.rtp_to
        silence = ulaw_encode(np.zeros(PACKET_SAMPLES, np.int16))
        due = time.monotonic()
        while not self._stop.is_set():
            wait = due + self.lateness_s(self._sequence_number) - time.monotonic()
            if wait > 0:
                if select.select([self.rtp], [], [], wait)[0]:
                    self._receive_rtp()
                continue
            due += PTIME_S
            if self.inject:
                self.rtp_from.sendto(self.encrypt(self.inject.pop(0)), self.rtp_to)
            elif not self.silent:
                payload = self.speech.pop(0) if self.speech else silence
                header = self.header(0)
                self.sent_at[self._sequence_number] = time.monotonic()
                for packet in self.disturb(header + payload):
                    self.rtp_from.sendto(self.encrypt(packet), self.rtp_to)


@contextlib.asynccontextmanager
async def dialled(
    server: tuple[str, int], host: str = "127.0.0.1", user: str = "agent"
) -> AsyncIterator[Caller]:
    """A caller whose call was answered; hangs up at the end if it still stands."""
    caller = Caller(server, host, user)
    try:
        answer = await caller.call()
        if answer.status != 200:
            raise ConnectionError(f"the call was answered {answer.status}")
        yield caller
        if not caller.ended.is_set():
            await caller.bye()
    finally:
        caller.close()
