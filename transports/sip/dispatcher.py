"""Of the process that listens: gives the calls that come by UDP to itself and to others, and what follows."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from socket import SOCK_DGRAM, socket
from typing import Any

from transports.sip.guard import Guard
from transports.sip.link import Link, Said
from transports.sip.native import Stack
from transports.sip.steering import FIRST, Steering
from transports.sip.tap import Traced

logger = logging.getLogger("offhook.sip")


class Dispatcher:
    """`live`, `owner` and `takes_calls` may be asked on any thread; the rest says where it is called."""

    def __init__(self, has_room: Callable[[int], bool]) -> None:
        """`has_room`: whether there may be one more call, beside so many that were just given away.

        If not, it is refused here. Asked on the SIP thread.
        """
        self._has_room = has_room
        self._steering = Steering()
        self._lock = threading.Lock()  # of the steering
        self._links: dict[int, Link] = {}
        self._told: dict[int, set[str]] = {}  # of which addresses each process knows
        self._names: dict[int, Mapping[str, str]] = {}  # by Call-ID
        self._sockets: list[socket] = []
        self._known: dict[str, Any] = {}
        self._stack: Stack | None = None
        self._guard: Guard | None = None

    def __contains__(self, call_id: object) -> bool:
        """Whether a call of any process has this Call-ID."""
        return call_id in self._steering

    def live(self, process: int) -> int:
        """How many calls it has."""
        return self._steering.live(process)

    def owner(self, id: str) -> int | None:
        """The other process that has the live call of this id."""
        return next((one for one, names in list(self._names.items()) if id in names.values()), None)

    def ids(self, process: int) -> list[str]:
        """Of the calls that it has, or had when it died."""
        return list(self._names.get(process, {}).values())

    def takes_calls(self, process: int) -> bool:
        return self._steering.takes_calls(process)

    def begin(self, stack: Stack, guard: Guard) -> None:
        """On the SIP thread, once the stack listens, and again when it does on more sockets."""
        self._stack, self._guard = stack, guard
        stack.link.share(self._received)

    def listening(self, sockets: Iterable[socket]) -> None:
        """Those that are listened on now; others send by them as well."""
        self._sockets = [sock for sock in sockets if sock.type == SOCK_DGRAM]
        for process in list(self._links):
            self._tell_addresses(process)

    def report(self, calls: Iterable[str]) -> None:
        """The Call-IDs of this process's own calls."""
        with self._lock:
            self._steering.report(FIRST, calls, time.monotonic())

    def share(self, **known: Any) -> None:
        """Tell all what is known here only: of accounts, and of telephones that log in. On any thread."""
        self._known = known
        for process, link in list(self._links.items()):
            if not link.tell("known", **known):
                logger.warning("process %d can't be told who has logged in, and from where", process)

    async def join(self, process: int, link: Link) -> None:
        """Have another process take part, once it says that it takes calls. The stack runs."""
        assert self._stack is not None
        stack = self._stack

        def watch() -> None:
            with self._lock:
                self._steering.join(process)
            self._links[process], self._told[process], self._names[process] = link, set(), {}
            stack.link.watch(link.descriptor, lambda: self._hear(process))
            link.tell("known", **self._known)
            self._tell_addresses(process)

        await stack.on_sip_thread(watch)

    async def leave(self, process: int) -> list[str]:
        """Have it take part no more; returns the ids of the calls that it had."""
        assert self._stack is not None
        ids = self.ids(process)
        await self._stack.on_sip_thread(lambda: self._part(process))
        self._names.pop(process, None)
        return ids

    def _part(self, process: int) -> None:
        """On the SIP thread."""
        link = self._links.pop(process, None)
        if link and self._stack:
            self._stack.link.unwatch(link.descriptor)
            link.close()
        with self._lock:
            self._steering.leave(process)

    def _tell_addresses(self, process: int) -> None:
        known, now = self._told[process], {sock.getsockname()[0]: sock for sock in self._sockets}
        for address in known - now.keys():
            self._links[process].tell("leave", address=address)
        for address in now.keys() - known:
            sock = now[address]
            self._links[process].tell(
                "listen", address=address, port=sock.getsockname()[1], descriptor=sock.fileno()
            )
        self._told[process] = set(now)

    def _received(self, address: str, source: tuple[str, int], datagram: bytes) -> bool:
        """On the SIP thread: whether it is another process's."""
        process = self._steer(datagram)
        if process == FIRST:
            return False
        link = self._links[process]
        if not link.tell("datagram", datagram, address=address, source=source):
            logger.warning("process %d has no room for what it is sent", process)
        return True

    def _steer(self, datagram: bytes) -> int:
        invites = datagram.startswith(b"INVITE ")
        room = not invites or self._has_room(self._steering.pending)
        with self._lock:
            process = self._steering.steer(datagram, time.monotonic(), room=room)
        if process != FIRST or invites:
            return process
        for other in list(self._links):  # one may have told of a call just now
            self._hear(other)
        with self._lock:
            return self._steering.steer(datagram, time.monotonic())

    def _hear(self, process: int) -> None:
        """On the SIP thread."""
        link = self._links.get(process)
        try:
            while link and (said := link.hear()):
                self._on_said(process, said)
        except EOFError:
            self._part(process)

    def _on_said(self, process: int, said: Said) -> None:
        assert self._guard is not None
        now = time.monotonic()
        match said.kind:
            case "live":
                self._names[process] = said.head["calls"]
                with self._lock:
                    self._steering.report(process, self._names[process], now)
            case "began":
                with self._lock:
                    self._steering.began(process, said.head["call_id"], now)
            case "takes_calls":
                with self._lock:
                    self._steering.take_calls(process, said.head["takes"])
            case "had_call":
                self._guard.had_call(bytes.fromhex(said.head["source"]))
            case "call_over":
                self._guard.call_over(bytes.fromhex(said.head["source"]))
            case "answered":
                source = bytes.fromhex(said.head["source"])
                self._guard.traced(Traced(True, "UDP", ("", 0), ("", 0), source, said.payload))
                with self._lock:
                    self._steering.refused(said.head["call_id"], now)
