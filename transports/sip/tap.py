"""Sees what the C stack reads and sends: each datagram before it is parsed, each message behind that.

Datagrams that the stack wouldn't read for their age become such that it does.
"""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transports.sip.errors import SipError
from transports.sip.legacy import with_branch, without_empty_lines
from transports.sip.libre import TCP, TLS, UDP, Buffer, SocketAddress, udp_transports
from transports.sip.limits import Source

_PROTOCOLS = {UDP: "UDP", TCP: "TCP", TLS: "TLS"}
_LAYER = -100  # of libre's helpers: what comes passes this one before any other

_pointer, _int = ctypes.c_void_p, ctypes.c_int
_RECEIVED = ctypes.CFUNCTYPE(ctypes.c_bool, _pointer, _pointer, _pointer)
_TRACED = ctypes.CFUNCTYPE(None, ctypes.c_bool, _int, _pointer, _pointer, _pointer, ctypes.c_size_t, _pointer)
SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "udp_register_helper": (_int, [_pointer, _pointer, _int, _pointer, _RECEIVED, _pointer]),
    "udp_helper_find": (_pointer, [_pointer, _int]),
    "mbuf_write_mem": (_int, [_pointer, ctypes.c_char_p, ctypes.c_size_t]),
    "sip_set_trace_handler": (None, [_pointer, _TRACED]),
}


Endpoint = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Traced:
    """A message that was parsed, or is about to be sent."""

    sent: bool
    protocol: str  # UDP, TCP or TLS
    local: Endpoint
    remote: Endpoint
    source: Source  # the remote's
    raw: bytes


class Tap:
    def __init__(
        self,
        received: Callable[[Source, bytes], bool],
        traced: Callable[[Traced], None],
        sending: Callable[[int, int], None],
    ) -> None:
        """All are called on the SIP thread.

        `received(source, datagram)` says whether to drop what came by UDP; `traced` is told of every message,
        whatever it came by, before it is acted on; `sending(protocol, address)` of each that is about to
        leave, by an enum sip_transp and a `struct sa`.
        """

        def on_datagram(source: int, address: int, _: int) -> bool:
            buffer = Buffer.from_address(address)
            datagram = buffer.content
            text = without_empty_lines(datagram)
            if received(_source(source), text or datagram):
                return True
            if (text := with_branch(text)) != datagram:
                start = buffer.end = buffer.pos
                self._write(address, text, len(text))
                buffer.pos = start
            return False

        self._received = _RECEIVED(on_datagram)

        def on_message(
            sent: bool, protocol: int, source: int, destination: int, message: int, size: int, _: int
        ) -> None:
            local, remote = (source, destination) if sent else (destination, source)
            if sent:
                sending(protocol, destination)
            raw = ctypes.string_at(message, size)
            traced(
                Traced(sent, _PROTOCOLS[protocol], _endpoint(local), _endpoint(remote), _source(remote), raw)
            )

        self._traced = _TRACED(on_message)

    def attach(self, library: ctypes.CDLL, sip: int) -> None:
        """On the SIP thread, once it listens, and again when it listens on more. Raises SipError."""
        self._write = library.mbuf_write_mem
        for transport in udp_transports(sip):
            if library.udp_helper_find(transport.sock, _LAYER):
                continue
            if library.udp_register_helper(None, transport.sock, _LAYER, None, self._received, None):
                raise SipError("the SIP stack's sockets can't be watched.")
        library.sip_set_trace_handler(sip, self._traced)


def _source(sa: int) -> Source:
    return SocketAddress.from_address(sa).packed[:8]


def _endpoint(sa: int) -> Endpoint:
    address = SocketAddress.from_address(sa)
    family = socket.AF_INET if len(address.packed) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, address.packed), address.port
