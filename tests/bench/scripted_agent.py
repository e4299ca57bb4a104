"""A SIP agent whose timing is known: what the caller measures of it can be checked."""

from __future__ import annotations

import socket
import struct
import threading
import time
from types import TracebackType

import numpy as np

from bench.caller import g711
from bench.caller.impair import level_dbfs
from bench.caller.script import PACKET_SAMPLES, PTIME_S
from bench.caller.sip import Message, offer, parse

TONE = g711.encode((9000 * np.sin(np.arange(PACKET_SAMPLES) * 2 * np.pi / 16)).astype(np.int16), "pcmu")
QUIET = b"\xff" * PACKET_SAMPLES


class ScriptedAgent:
    """Answers one call, greets for `greeting_s`, then answers `reply_after_s` after the caller's voice ends.

    Stops speaking `stop_after_s` after the caller's voice begins. Hangs up itself after `hangup_after_s`.
    """

    def __init__(
        self,
        *,
        greeting_s: float = 0.4,
        reply_after_s: float = 0.4,
        reply_s: float = 0.4,
        stop_after_s: float | None = 0.1,
        hangup_after_s: float | None = None,
        status: str = "200 OK",
        reinvite: bool = False,
    ) -> None:
        self._greeting_s, self._reply_after_s, self._reply_s = greeting_s, reply_after_s, reply_s
        self._stop_after_s, self._hangup_after_s = stop_after_s, hangup_after_s
        self._status, self._reinvite = status, reinvite
        self.sip = _bound()
        self.rtp = _bound()
        self.requests: list[str] = []
        self.digits: list[int] = []
        self._media: tuple[str, int] | None = None
        self._invite: Message | None = None
        self._peer: tuple[str, int] = ("", 0)
        self._talking = threading.Event()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._signal), threading.Thread(target=self._talk)]

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.sip.getsockname()[1]}"

    def __enter__(self) -> ScriptedAgent:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self.sip.close()
        self.rtp.close()

    def _signal(self) -> None:
        while not self._over.is_set():
            try:
                data, self._peer = self.sip.recvfrom(65535)
            except TimeoutError:
                continue
            message = parse(data)
            if message.status:
                continue
            self.requests.append(message.method)
            match message.method:
                case "INVITE":
                    self._invited(message)
                case "ACK":
                    if self._status.startswith("200"):
                        self._talking.set()
                    if self._reinvite and self.requests.count("ACK") == 1:
                        self._send(self._request("INVITE", offer("127.0.0.1", 4000, "pcmu")))
                case "CANCEL":
                    self._answer(message, "200 OK")
                    if self._invite is not None:
                        self._answer(self._invite, "487 Request Terminated")
                case _:
                    self._answer(message, "200 OK")

    def _invited(self, message: Message) -> None:
        lines = message.body.splitlines()
        port = next(line.split()[1] for line in lines if line.startswith("m=audio"))
        self._media, self._invite = ("127.0.0.1", int(port)), message
        self._answer(message, "180 Ringing")
        if self._status != "180 Ringing":
            accepted = self._status.startswith("200")
            self._answer(
                message,
                self._status,
                offer("127.0.0.1", self.rtp.getsockname()[1], "pcmu") if accepted else "",
            )

    def _answer(self, request: Message, status: str, body: str = "") -> None:
        headers = tuple((name, request.get(name)) for name in ("Via", "From", "Call-ID", "CSeq"))
        to = request.get("To")
        headers += (("To", to if "tag=" in to else to + ";tag=a"), ("Contact", f"<sip:a@{self.target}>"))
        self._send(Message(f"SIP/2.0 {status}", headers, body))

    def _request(self, method: str, body: str = "") -> Message:
        assert self._invite is not None
        caller = self._invite.get("Contact").strip("<>")
        headers = (
            ("Via", f"SIP/2.0/UDP {self.target};branch=z9hG4bKx{method}"),
            ("From", self._invite.get("To") + ";tag=a"),
            ("To", self._invite.get("From")),
            ("Call-ID", self._invite.get("Call-ID")),
            ("CSeq", f"7 {method}"),
        )
        return Message(f"{method} {caller} SIP/2.0", headers, body)

    def _send(self, message: Message) -> None:
        self.sip.sendto(message.encode(), self._peer)

    def _talk(self) -> None:
        while not self._talking.wait(0.05):
            if self._over.is_set():
                return
        start = time.monotonic()
        speak_until, voice_began, voice_ended, replied = start + self._greeting_s, 0.0, 0.0, True
        sequence = 0
        while not self._over.is_set():
            due = start + sequence * PTIME_S
            while (left := due - time.monotonic()) > 0:
                self.rtp.settimeout(left)
                try:
                    data = self.rtp.recv(2048)
                except TimeoutError:
                    break
                now = time.monotonic()
                if data[1] & 0x7F == 101:
                    self.digits.append(data[12])
                elif level_dbfs(g711.decode(data[12:], "pcmu")) > -45:
                    voice_began = voice_began if now - voice_ended < 0.3 else now
                    voice_ended, replied = now, False
            now = time.monotonic()
            if self._stop_after_s is not None and voice_ended and now - voice_ended < 0.1:
                speak_until = min(speak_until, voice_began + self._stop_after_s)
            if not replied and now - voice_ended >= self._reply_after_s:
                speak_until, replied = now + self._reply_s, True
            head = struct.pack("!BBHII", 0x80, 0, sequence & 0xFFFF, sequence * PACKET_SAMPLES, 99)
            if self._media is not None:
                self.rtp.sendto(head + (TONE if now < speak_until else QUIET), self._media)
            sequence += 1
            if self._hangup_after_s is not None and now - start > self._hangup_after_s:
                self._send(self._request("BYE"))
                return


def _bound() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(0.05)
    return sock
