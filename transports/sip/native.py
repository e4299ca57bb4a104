"""What baresip-python's commands don't reach, asked of the C stack beneath them.

The extension module exports libre's and baresip's own functions. Used here: listening on chosen
addresses, loopback among them (discovery skips it, and takes one interface or all the others); who
really sent an INVITE; and rejecting with a status other than 486.
libre's functions belong on the SIP thread, and that is where they run: in the answer to a command.

Here, in `native_rtp.py`, `native_agents.py`, `native_link.py`, `native_dial.py`, `requests.py` and `hooks.py`
stands all that leans on what baresip-python keeps to itself; `tests/test_internals.py` names it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Container, Iterator, Mapping
from concurrent.futures import Future
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeVar

from baresip import _native
from baresip._events import set_sink
from baresip._native import lib
from baresip.runtime import Runtime

from transports.sip import abandoned, tap
from transports.sip.errors import NoAddress, PortInUse, SipError
from transports.sip.libre import TCP, UDP, SocketAddress, address_text, declare
from transports.sip.native_agents import StackAgents
from transports.sip.native_calls import StackCalls
from transports.sip.native_link import Begin, StackLink
from transports.sip.native_rtp import StackRtp
from transports.sip.native_tls import StackTls
from transports.sip.own_sockets import own_sockets
from transports.sip.requests import StackRequests

_INTERFACE_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p)

_pointer, _int, _text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "baresip_network": (_pointer, []),
    "uag_sip": (_pointer, []),
    "net_add_address_ifname": (_int, [_pointer, _pointer, _text]),
    "net_if_apply": (_int, [_INTERFACE_CALLBACK, _pointer]),
    "net_rm_address": (_int, [_pointer, _pointer]),
    "sip_transp_add": (_int, [_pointer, _int, _pointer]),
    "sip_transp_rmladdr": (None, [_pointer, _pointer]),
    "sa_set_str": (_int, [_pointer, _text, ctypes.c_uint16]),
    "sa_ntop": (_int, [_pointer, _text, _int]),
    "uag_call_find": (_pointer, [_text]),
    "call_msg_src": (_int, [_pointer, _pointer]),
    "call_get_ua": (_pointer, [_pointer]),
    "ua_hangupf": (None, [_pointer, _pointer, ctypes.c_uint16, _text, _text, _text]),
    "call_modify": (_int, [_pointer]),
    **tap.SIGNATURES,
    **abandoned.SIGNATURES,
}
EVERY_ADDRESS = ("0.0.0.0", "::")
_KINDS = {socket.SOCK_DGRAM: "UDP", socket.SOCK_STREAM: "TCP"}


T = TypeVar("T")


class Stack:
    """The C stack of a running `Runtime`."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lib = ctypes.CDLL(str(_native.__file__))
        declare(self._lib, _SIGNATURES)
        self._jobs: deque[Callable[[], None]] = deque()
        self._runtime_sink = set_sink(self._on_event)
        self._addresses: set[str] = set()
        self.rtp = StackRtp(self.on_sip_thread)
        self.agents = StackAgents(runtime, self.on_sip_thread)
        self.requests = StackRequests(self.on_sip_thread)
        self.tls = StackTls()
        self.tls_port: int | None = None  # that is listened on, too
        self.calls = StackCalls(self.on_sip_thread)
        self.link = StackLink(self._lib)

    async def listen(
        self,
        host: str,
        port: int,
        prepare: Callable[[socket.socket], None],
        begin: Begin,
    ) -> list[socket.socket]:
        """Listen on UDP and TCP; `prepare` sees each socket before a packet on it is read.

        So does `begin` the library, and the addresses that are listened on, on the SIP thread.

        `host` is an address, a name, 0.0.0.0 (every IPv4 address) or :: (every address).
        Returns second handles on the sockets, for the caller to close.
        Raises PortInUse, NoAddress, SipError.
        """
        return await self.on_sip_thread(lambda: self._listen(self._find(host), port, prepare, begin))

    async def follow_addresses(
        self, host: str, port: int, prepare: Callable[[socket.socket], None], begin: Begin
    ) -> tuple[list[socket.socket], set[str], list[SipError]]:
        """Listen on the addresses that the machine has got since, and no longer on those that it has lost.

        Returns handles on the new sockets, the addresses that are gone, and why others can't be listened on.
        One address that is asked for stays listened on: the machine may get it back.
        """
        if host not in EVERY_ADDRESS:
            try:
                _probe(host, 0)
            except SipError as error:
                return [], set(), [error]
            return [], set(), []

        def follow() -> tuple[list[socket.socket], set[str], list[SipError]]:
            handles: list[socket.socket] = []
            errors: list[SipError] = []
            now = self._find(host)
            gone = self._addresses.difference(now)
            for address in gone:
                self._leave(address)
            for address in now:
                if address not in self._addresses:
                    try:
                        handles += self._listen([address], port, prepare, begin)
                    except SipError as error:
                        errors.append(error)
            return handles, gone, errors

        return await self.on_sip_thread(follow)

    async def remote_address(self, sip_call_id: str) -> str:
        """Where the INVITE came from; empty if the call is gone."""

        def ask() -> str:
            call = self._lib.uag_call_find(sip_call_id.encode())
            address = SocketAddress()
            if not call or self._lib.call_msg_src(call, ctypes.byref(address)):
                return ""
            return address_text(self._lib, address)

        return await self.on_sip_thread(ask)

    async def reject(self, sip_call_id: str, status: int, reason: str, headers: str = "") -> None:
        """Decline an INVITE that is not answered yet. `headers` are whole lines, each with its CRLF."""

        def decline() -> None:
            call = self._lib.uag_call_find(sip_call_id.encode())
            if call:
                agent = self._lib.call_get_ua(call)
                text = f"{headers}Content-Length: 0\r\n\r\n".encode()
                self._lib.ua_hangupf(agent, call, status, reason.encode(), b"%s", text)

        await self.on_sip_thread(decline)

    async def refresh(self, sip_call_id: str) -> None:
        """Tell the peer by a re-INVITE that the call goes on; who doesn't answer it is gone."""

        def invite() -> None:
            if call := self._lib.uag_call_find(sip_call_id.encode()):
                self._lib.call_modify(call)

        await self.on_sip_thread(invite)

    async def end_abandoned(self) -> int:
        """End calls that the stack left half made; returns how many."""
        return await self.on_sip_thread(lambda: abandoned.end_abandoned(self._lib))

    async def ping(self, timeout_s: float) -> None:
        """Return once the SIP thread has answered. Raises BaresipError if it doesn't in time."""
        await self._runtime.cmd(lib.BP_CMD_PING, timeout=timeout_s)

    async def on_sip_thread(self, work: Callable[[], T]) -> T:
        """Have something done where libre's functions belong."""
        outcome: Future[T] = Future()

        def job() -> None:
            try:
                outcome.set_result(work())
            except BaseException as error:  # raised again below, on the event loop
                outcome.set_exception(error)

        self._jobs.append(job)
        await self._runtime.cmd(lib.BP_CMD_PING)
        return outcome.result(0)

    def _on_event(self, event: int, handle: int, payload: bytes | None) -> None:
        """On the SIP thread, for everything that the stack reports."""
        while event == lib.BP_EV_PONG and self._jobs:
            self._jobs.popleft()()
        if self._runtime_sink:
            self._runtime_sink(event, handle, payload)

    def _listen(
        self, addresses: list[str], port: int, prepare: Callable[[socket.socket], None], begin: Begin
    ) -> list[socket.socket]:
        handles: list[socket.socket] = []
        for address in addresses:
            _probe(address, port)
            if self.tls_port:
                _probe(address, self.tls_port, {socket.SOCK_STREAM: "TLS"})
        try:
            for address in addresses:
                self._listen_on(address, port)
                expected = {(port, socket.SOCK_DGRAM), (port, socket.SOCK_STREAM)}
                if self.tls_port:
                    expected.add((self.tls_port, socket.SOCK_STREAM))
                found = list(_find_sockets(address, {port for port, _ in expected}))
                handles += found
                if {(handle.getsockname()[1], handle.type) for handle in found} != expected:
                    # Never listen unprepared: whoever sends could not be told from a stranger.
                    raise SipError(f"the sockets that listen on {address}:{port} can't be found.")
                for handle in found:
                    prepare(handle)
                self._addresses.add(address)
            begin(self._lib, self._addresses)
        except BaseException:
            for handle in handles:
                handle.close()
            for address in addresses:
                self._leave(address)
            raise
        return handles

    def _find(self, host: str) -> list[str]:
        found: list[str] = []

        @_INTERFACE_CALLBACK
        def collect(_name: bytes, sa: int, _arg: int) -> bool:
            address = address_text(self._lib, sa)
            if address and address not in found:
                found.append(address)
            return False

        self._lib.net_if_apply(collect, None)
        local = [a for a in found if not a.startswith("fe80:")]  # link-local needs a scope in every URI
        if host == "::":
            return local
        if host == "0.0.0.0":
            return [a for a in local if ":" not in a]
        try:
            return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(host, None)})
        except OSError:
            raise NoAddress(host) from None

    def _listen_on(self, address: str, port: int) -> None:
        host, listener = SocketAddress(), SocketAddress()
        if self._lib.sa_set_str(ctypes.byref(host), address.encode(), 0) or self._lib.sa_set_str(
            ctypes.byref(listener), address.encode(), port
        ):
            raise NoAddress(address)
        self._lib.net_add_address_ifname(self._lib.baresip_network(), ctypes.byref(host), b"offhook")
        for protocol, name in ((UDP, "UDP"), (TCP, "TCP")):
            error = self._lib.sip_transp_add(self._lib.uag_sip(), protocol, ctypes.byref(listener))
            if error:
                _raise_bind_error(error, address, port, name)
        self._lib.sa_set_str(ctypes.byref(listener), address.encode(), self.tls_port or 0)
        if error := self.tls.add(listener, listen=self.tls_port is not None):
            _raise_bind_error(error, address, self.tls_port or 0, "TLS")

    def _leave(self, address: str) -> None:
        host = SocketAddress()
        self._lib.sa_set_str(ctypes.byref(host), address.encode(), 0)
        self._lib.sip_transp_rmladdr(self._lib.uag_sip(), ctypes.byref(host))
        self._lib.net_rm_address(self._lib.baresip_network(), ctypes.byref(host))
        self._addresses.discard(address)


def source_towards(peer: IPv4Address | IPv6Address) -> str:
    """The address of this machine from which packets reach `peer`; empty if none do. Nothing is sent."""
    family = socket.AF_INET if peer.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(peer), 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def _probe(address: str, port: int, kinds: Mapping[socket.SocketKind, str] = _KINDS) -> None:
    """Bind without SO_REUSEADDR's leniency, so that a second server is noticed on UDP and TCP alike."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for kind, name in kinds.items():
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:  # connections of the last run may still be in TIME_WAIT
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                _raise_bind_error(error.errno or 0, address, port, name)


def _raise_bind_error(number: int, address: str, port: int, protocol: str) -> None:
    if number == errno.EADDRINUSE:
        raise PortInUse(address, port, protocol)
    if number == errno.EADDRNOTAVAIL:
        raise NoAddress(address)
    raise SipError(f"can't listen on {address}:{port} ({protocol}): {os.strerror(number)}.")


def _find_sockets(address: str, ports: Container[int]) -> Iterator[socket.socket]:
    for sock in own_sockets():
        if sock.getsockname()[0] == address and sock.getsockname()[1] in ports:
            yield sock
        else:
            sock.close()
