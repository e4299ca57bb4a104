"""A called party made of two sockets, which rings, answers and misbehaves as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from tests.sip_caller import Caller, SipAnswer


class Callee(Caller):
    """`invited` waits for a call; `say` and `heard` are as a caller's once it was accepted."""

    def __init__(self, host: str = "127.0.0.1", *, tcp: bool = False) -> None:
        super().__init__((host, 0), host, name="callee")
        self._listener: socket.socket | None = None
        if tcp:
            self.sip.close()
            self._listener = self.sip = socket.create_server((host, 0))
            self.sip.setblocking(False)
        self.invite_text = ""
        self.seen: list[str] = []  # methods of the requests that came

    @property
    def address(self) -> str:
        host, port = self.sip.getsockname()
        return f"sip:600@{host}:{port}{';transport=tcp' if self._listener else ''}"

    async def request_of(self, method: str, timeout_s: float = 20.0) -> str:
        """The next request of that method; others are answered 200."""
        async with asyncio.timeout(timeout_s):
            while True:
                text = await self.receive()
                found = text.split(" ", 1)[0]
                if found.startswith("SIP/2.0"):
                    continue
                self.seen.append(found)
                if found == method:
                    return text
                self.reply(text, "200 OK")

    async def invited(self) -> str:
        if self._listener and not self.tcp:
            self.sip, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            self.tcp = True
        self.invite_text = await self.request_of("INVITE")
        head = SipAnswer(0, self.invite_text)
        contact = head.header("Contact").partition("<sip:")[2].partition(">")[0].partition("@")[2]
        host, _, port = contact.partition(";")[0].rpartition(":")
        self.server = (host, int(port))
        self.call_id = head.header("Call-ID")
        self.to, self.from_ = head.header("From").partition(";tag=")[0], head.header("To")
        self.to_tag = head.header("From").partition("tag=")[2]
        self.uri = f"sip:{contact}"
        return self.invite_text

    def reply(self, request: str, status: str, body: str = "", headers: str = "") -> None:
        """`headers` are whole lines, each with its CRLF."""
        tagged = "\r\n".join(
            f"{line};tag={self.tag}" if line.lower().startswith("to:") and "tag=" not in line else line
            for line in request.split("\r\n\r\n")[0].split("\r\n")
            if line.partition(":")[0].lower() in ("via", "from", "to", "call-id", "cseq")
        )
        host, port = self.sip.getsockname()
        content = "Content-Type: application/sdp\r\n" if body else ""
        text = (
            f"SIP/2.0 {status}\r\n{tagged}\r\n{headers}"
            f"Contact: <sip:600@{self.contact or host}:{port}{self._parameter}>\r\n{content}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        if self.tcp:
            self.send(text)
            return
        via = SipAnswer(0, request).header("Via").split()[1].partition(";")[0]  # a proxy's, if there is one
        self.sip.sendto(text.encode(), (via.partition(":")[0], int(via.partition(":")[2])))

    async def accept(self) -> None:
        """200 with PCMU, and the ACK to it; sound goes both ways from then on."""
        self.reply(self.invite_text, "200 OK", self.sdp())
        await self.request_of("ACK")
        self.start_rtp(SipAnswer(0, self.invite_text))

    def close(self) -> None:
        super().close()
        if self._listener:
            self._listener.close()


@contextlib.asynccontextmanager
async def callee(*, tcp: bool = False) -> AsyncIterator[Callee]:
    called = Callee(tcp=tcp)
    try:
        yield called
    finally:
        called.close()
