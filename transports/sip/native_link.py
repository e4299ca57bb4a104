"""The C stack's sockets, shared among processes: one listens, and the others send by the same sockets.

What comes is handed to the process it is for, whose stack takes it as if it had received it itself.
All of it runs on the SIP thread.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any

from baresip import _native

from transports.sip.errors import NoAddress, SipError
from transports.sip.libre import (
    TCP,
    UDP,
    Buffer,
    SocketAddress,
    Transport,
    address_text,
    declare,
    udp_transports,
)
from transports.sip.native_tls import StackTls

_pointer, _size, _int, _text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_char_p
_READABLE = ctypes.CFUNCTYPE(None, _int, _pointer)
_RECEIVED = ctypes.CFUNCTYPE(ctypes.c_bool, _pointer, _pointer, _pointer)
_FD_READ = 1
_LAYER = -99  # of libre's helpers: right behind the tap's, which drops what is too much
_PORT = slice(2, 4)  # of a sockaddr
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "baresip_network": (_pointer, []),
    "uag_sip": (_pointer, []),
    "net_add_address_ifname": (_int, [_pointer, _pointer, _text]),
    "net_rm_address": (_int, [_pointer, _pointer]),
    "sip_transp_add_sock": (_int, [_pointer, _int, ctypes.c_bool, _pointer, _pointer]),
    "sip_transp_rmladdr": (None, [_pointer, _pointer]),
    "sa_set_str": (_int, [_pointer, _text, ctypes.c_uint16]),
    "sa_ntop": (_int, [_pointer, _text, _int]),
    "fd_listen": (_int, [_pointer, _int, _int, _READABLE, _pointer]),
    "fd_close": (_pointer, [_pointer]),
    "udp_sock_fd": (_int, [_pointer]),
    "udp_thread_detach": (None, [_pointer]),
    "udp_register_helper": (_int, [_pointer, _pointer, _int, _pointer, _RECEIVED, _pointer]),
    "udp_helper_find": (_pointer, [_pointer, _int]),
    "udp_recv_packet": (None, [_pointer, _pointer, _pointer]),
    "mbuf_alloc": (_pointer, [_size]),
    "mbuf_write_mem": (_int, [_pointer, _text, _size]),
    "mem_deref": (_pointer, [_pointer]),
}
Begin = Callable[[ctypes.CDLL, AbstractSet[str]], None]
# The own address that a datagram came to, its source, and itself; whether it is dealt with.
Received = Callable[[str, tuple[str, int], bytes], bool]


class StackLink:
    """Of a running stack."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """`library` is the stack's, which whoever begins to listen is shown."""
        self._stack_library = library
        self._addresses: set[str] = set()
        self._lib = ctypes.CDLL(str(_native.__file__))
        declare(self._lib, _SIGNATURES)
        self._watched: dict[int, tuple[int, Any]] = {}
        self._helpers: list[Any] = []

    def watch(self, descriptor: int, on_readable: Callable[[], None]) -> None:
        """Have it called on the SIP thread whenever there is something to read. Raises SipError."""
        callback, handle = _READABLE(lambda *_: on_readable()), _pointer()
        if self._lib.fd_listen(ctypes.byref(handle), descriptor, _FD_READ, callback, None):
            raise SipError("the SIP stack can't watch another process.")
        self._watched[descriptor] = handle.value or 0, callback

    def unwatch(self, descriptor: int) -> None:
        handle, _ = self._watched.pop(descriptor, (0, None))
        if handle:
            self._lib.fd_close(handle)

    def share(self, received: Received) -> None:
        """Have `received` see what comes by UDP before the stack does, on every socket that is listened on.

        Again when there are more. Raises SipError.
        """
        for transport in udp_transports(self._lib.uag_sip()):
            if self._lib.udp_helper_find(transport.sock, _LAYER):
                continue
            address = address_text(self._lib, transport.laddr)
            helper = _RECEIVED(partial(self._on_datagram, received, address))
            if self._lib.udp_register_helper(None, transport.sock, _LAYER, None, helper, None):
                raise SipError("the SIP stack's sockets can't be shared.")
            self._helpers.append(helper)

    def _on_datagram(self, received: Received, address: str, source: int, buffer: int, _: int) -> bool:
        sa, content = SocketAddress.from_address(source), Buffer.from_address(buffer).content
        return received(address, (address_text(self._lib, source), sa.port), content)

    def listen(self, address: str, port: int, descriptor: int, tls: StackTls, begin: Begin) -> None:
        """Be at `address` as the process that listens there is, and send by its UDP socket.

        Connections are only made from there. Raises NoAddress, SipError.
        """
        lib, sip, host = self._lib, self._lib.uag_sip(), SocketAddress()
        if lib.sa_set_str(ctypes.byref(host), address.encode(), 0):
            raise NoAddress(address)
        lib.net_add_address_ifname(lib.baresip_network(), ctypes.byref(host), b"offhook")
        if (
            lib.sip_transp_add_sock(sip, UDP, True, ctypes.byref(host), None)
            or lib.sip_transp_add_sock(sip, TCP, False, ctypes.byref(host), None)
            or tls.add(host, listen=False)
        ):
            raise SipError(f"the SIP stack can't send from {address}.")
        transport = self._transport(address)
        lib.udp_thread_detach(transport.sock)
        os.dup2(descriptor, lib.udp_sock_fd(transport.sock), inheritable=False)
        transport.laddr.u[_PORT] = port.to_bytes(2, "big")
        self._addresses.add(address)
        begin(self._stack_library, self._addresses)

    def leave(self, address: str) -> None:
        host = SocketAddress()
        self._lib.sa_set_str(ctypes.byref(host), address.encode(), 0)
        self._lib.sip_transp_rmladdr(self._lib.uag_sip(), ctypes.byref(host))
        self._lib.net_rm_address(self._lib.baresip_network(), ctypes.byref(host))
        self._addresses.discard(address)

    def receive(self, address: str, source: tuple[str, int], datagram: bytes) -> None:
        """Take a datagram from `source` that came to `address`."""
        lib, sa = self._lib, SocketAddress()
        if lib.sa_set_str(ctypes.byref(sa), source[0].encode(), source[1]):
            raise ValueError(source[0])
        buffer = lib.mbuf_alloc(len(datagram))
        try:
            lib.mbuf_write_mem(buffer, datagram, len(datagram))
            Buffer.from_address(buffer).pos = 0
            lib.udp_recv_packet(self._transport(address).sock, ctypes.byref(sa), buffer)
        finally:
            lib.mem_deref(buffer)

    def _transport(self, address: str) -> Transport:
        for transport in udp_transports(self._lib.uag_sip()):
            if address_text(self._lib, transport.laddr) == address:
                return transport
        raise NoAddress(address)
