"""Of a process that another gives calls: it listens nowhere itself, and sends by the other's sockets."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from transports.sip.errors import SipError
from transports.sip.guard import Guard
from transports.sip.limits import Source, SourceLimits
from transports.sip.link import Link, Said
from transports.sip.message import Message
from transports.sip.native import Stack
from transports.sip.native_link import Begin
from transports.sip.tap import Traced
from transports.sip.trace import call_id_of

LISTEN_S = 60.0  # until the other says where
_OF_INVITE = re.compile(rb"^CSeq:[ \t]*\d+[ \t]+INVITE", re.MULTILINE)  # as the stack writes it

logger = logging.getLogger("offhook.sip")


class Worker:
    def __init__(self, link: Link, on_lost: Callable[[], None]) -> None:
        """`on_lost` is called on the SIP thread once the process that listens is gone."""
        self._link = link
        self._on_lost = on_lost
        self._stack: Stack | None = None
        self._begin: Begin | None = None
        self._takes: bool | None = None
        self.guard = _Reporter(link)
        self.known: dict[str, Any] = {}  # what the process that listens has told of accounts and telephones
        self.on_known: Callable[[], None] = lambda: None  # on the SIP thread
        self.aliases: dict[str, str] = {}  # users in its Contacts, and what they are here

    async def open(self, stack: Stack, begin: Begin) -> None:
        """Be where the other process listens. Raises SipError."""
        self._stack, self._begin = stack, begin
        loop, listens = asyncio.get_running_loop(), asyncio.Event()
        self._listens = lambda: loop.call_soon_threadsafe(listens.set)
        await stack.on_sip_thread(lambda: stack.link.watch(self._link.descriptor, self._hear))
        try:
            async with asyncio.timeout(LISTEN_S):
                await listens.wait()
        except TimeoutError:
            raise SipError("the process that listens didn't say where.") from None

    def report(self, calls: Mapping[str, str]) -> None:
        """The ids of the live calls, by Call-ID."""
        self._link.tell("live", calls=dict(calls))

    def take_calls(self, takes: bool) -> None:
        if takes != self._takes and self._link.tell("takes_calls", takes=takes):
            self._takes = takes

    def sending(self, message: Message) -> None:
        """On the SIP thread, before it is sent: what answers it has to come here."""
        if message.method == "INVITE" and not message.status and not message.in_dialog:
            self._link.tell("began", call_id=message.header("Call-ID"))

    def _hear(self) -> None:
        """On the SIP thread."""
        try:
            while said := self._link.hear():
                try:
                    self._on_said(said)
                except (SipError, ValueError) as error:
                    logger.warning("what the process that listens said is no use: %s", error)
        except EOFError:
            self._on_lost()

    def _on_said(self, said: Said) -> None:
        assert self._stack
        assert self._begin
        if said.kind == "known":
            self.known = said.head
            self.on_known()
            return
        link, address = self._stack.link, said.head["address"]
        match said.kind:
            case "datagram":
                ip, port = said.head["source"]
                link.receive(address, (ip, port), self._readdressed(said.payload))
            case "leave":
                link.leave(address)
            case "listen":
                assert said.descriptor is not None
                try:
                    link.listen(address, said.head["port"], said.descriptor, self._stack.tls, self._begin)
                finally:
                    os.close(said.descriptor)
                self._listens()

    def _readdressed(self, datagram: bytes) -> bytes:
        """For the agent here of the account that it is for."""
        start, end, rest = datagram.partition(b"\r\n")
        for theirs, own in self.aliases.items():
            start = start.replace(f":{theirs}@".encode(), f":{own}@".encode(), 1)
        return start + end + rest


class _Reporter(Guard):
    """Leaves it to the process that listens who may send, and tells it what is known here of that."""

    def __init__(self, link: Link) -> None:
        super().__init__(SourceLimits(1, 0), ("0.0.0.0/0", "::/0"), (), lambda _: None)
        self._link = link

    def had_call(self, source: Source) -> None:
        self._link.tell("had_call", source=source.hex())

    def call_over(self, source: Source) -> None:
        self._link.tell("call_over", source=source.hex())

    def traced(self, message: Traced) -> None:
        if message.sent and message.protocol == "UDP" and message.raw.startswith(b"SIP/2.0 4"):
            call_id = call_id_of(message.raw) if _OF_INVITE.search(message.raw) else ""
            self._link.tell("answered", message.raw[:12], source=message.source.hex(), call_id=call_id)

    def exempt(self, networks: Iterable[str], always: Iterable[str] | None = None) -> None:
        super().exempt(())
