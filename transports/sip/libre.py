"""Structures and functions of libre's and baresip's, as far as we use them. As in their headers of 4.10."""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from transports.sip.errors import SipError

OTHER_BUILD = "this build of baresip-python is laid out otherwise; install 0.5.2a3."
UDP, TCP, TLS = 0, 1, 2  # enum sip_transp
URI_TRANSPORTS = ("", ";transport=tcp", ";transport=tls")  # by these; UDP goes without saying
_TEXT_BYTES = 64  # an address as text is shorter

_pointer, _size, _int = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int


T = TypeVar("T")


class OnSipThread(Protocol):
    """Does work on the SIP thread. Raises BaresipError where the stack is busy, or dead."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]: ...


class ListElement(ctypes.Structure):
    """`struct le`, the first member of whatever is in lists."""

    _fields_ = (("prev", _pointer), ("next", _pointer), ("list", _pointer), ("data", _pointer))


class List(ctypes.Structure):
    _fields_ = (("head", _pointer), ("tail", _pointer), ("count", _size))


class SocketAddress(ctypes.Structure):
    """`struct sa`, which begins as the system's sockaddr does."""

    _fields_ = (("u", ctypes.c_uint8 * 112), ("len", ctypes.c_uint32))

    @property
    def packed(self) -> bytes:
        """The address: 4 bytes, or 16."""
        raw = ctypes.string_at(ctypes.addressof(self), 24)
        return raw[4:8] if raw[0] == socket.AF_INET else raw[8:24]

    @property
    def port(self) -> int:
        return int.from_bytes(ctypes.string_at(ctypes.addressof(self), 4)[2:], "big")


class Buffer(ctypes.Structure):
    """`struct mbuf`."""

    _fields_ = (("buf", _pointer), ("size", _size), ("pos", _size), ("end", _size))

    @property
    def content(self) -> bytes:
        """From its position to its end."""
        return ctypes.string_at(self.buf + self.pos, self.end - self.pos)


class Transport(ctypes.Structure):
    """`struct sip_transport`, a socket that is listened on."""

    _fields_ = (
        ("le", ListElement),
        ("laddr", SocketAddress),
        ("sip", _pointer),
        ("ht_ccert", _pointer),
        ("tls", _pointer),
        ("sock", _pointer),
        ("tp", ctypes.c_int),
    )


class Pl(ctypes.Structure):
    """`struct pl`, a piece of text."""

    _fields_ = (("p", _pointer), ("l", _size))


class Uri(ctypes.Structure):
    _fields_ = (
        *((name, Pl) for name in ("scheme", "user", "host")),
        ("af", _int),
        ("port", ctypes.c_uint16),
        *((name, Pl) for name in ("path", "params", "headers")),
    )


class Via(ctypes.Structure):
    _fields_ = (
        ("sentby", Pl),
        ("addr", SocketAddress),
        *((name, Pl) for name in ("params", "branch", "val")),
        ("tp", _int),
    )


class AddressHeader(ctypes.Structure):
    _fields_ = (("dname", Pl), ("auri", Pl), ("uri", Uri), *((n, Pl) for n in ("params", "tag", "val")))


class Cseq(ctypes.Structure):
    _fields_ = (("met", Pl), ("num", ctypes.c_uint32))


class Rack(ctypes.Structure):
    _fields_ = (("met", Pl), ("rel_seq", ctypes.c_uint32), ("cseq", ctypes.c_uint32))


class SipMessage(ctypes.Structure):
    _fields_ = (
        ("src", SocketAddress),
        ("dst", SocketAddress),
        *((name, Pl) for name in ("ver", "met", "ruri")),
        ("uri", Uri),
        ("scode", ctypes.c_uint16),
        ("reason", Pl),
        ("hdrl", List),
        ("via", Via),
        ("to", AddressHeader),
        ("from_", AddressHeader),
        ("cseq", Cseq),
        ("rack", Rack),
        ("rel_seq", ctypes.c_uint32),
        ("ctyp", Pl * 3),
        *((name, Pl) for name in ("callid", "maxfwd", "expires", "clen")),
        ("hdrht", _pointer),
        ("mb", _pointer),
        ("sock", _pointer),
        ("tag", ctypes.c_uint64),
        ("tp", _int),
        ("req", ctypes.c_bool),
    )


class Sip(ctypes.Structure):
    """`struct sip`, up to its connections."""

    _fields_ = (
        *((name, List) for name in ("transpl", "lsnrl", "reql")),
        *((name, _pointer) for name in ("ht_ctrans", "ht_strans", "ht_strans_mrg", "ht_conn")),
    )


class Timer(ctypes.Structure):
    _fields_ = (
        ("le", ListElement),
        *((name, _pointer) for name in ("lock", "th", "arg")),
        ("jfs", ctypes.c_uint64),
        ("file", _pointer),
        ("line", _int),
    )


class Connection(ctypes.Structure):
    """`struct sip_conn`, a connection of TCP or TLS, up to what tells that it is one."""

    _fields_ = (
        ("he", ListElement),
        ("ql", List),
        ("kal", List),
        ("tmr", Timer),
        ("tmr_ka", Timer),
        ("laddr", SocketAddress),
        ("paddr", SocketAddress),
        *((name, _pointer) for name in ("sc", "tc", "mb", "sip")),
    )


class Listener(ctypes.Structure):
    _fields_ = (
        ("le", ListElement),
        ("lsnrp", _pointer),
        ("msgh", _pointer),
        ("arg", _pointer),
        ("req", ctypes.c_bool),
    )


class Helper(ctypes.Structure):
    _fields_ = (("le", ListElement),)


def declare(library: ctypes.CDLL, signatures: Mapping[str, tuple[Any, list[Any]]]) -> dict[str, Any]:
    """The library's functions by name, each with its result and arguments. Raises SipError."""
    functions: dict[str, Any] = {}
    for name, (result, arguments) in signatures.items():
        try:
            function = functions[name] = getattr(library, name)
        except AttributeError as error:
            raise SipError(f"this build of baresip-python lacks {name}(); install 0.5.2a3.") from error
        function.restype, function.argtypes = result, arguments
    return functions


def address_text(library: ctypes.CDLL, address: int | ctypes.Structure) -> str:
    """Of a `struct sa`, or of where one is; empty for one of no address. The library declares `sa_ntop`."""
    sa = ctypes.byref(address) if isinstance(address, ctypes.Structure) else address
    text = ctypes.create_string_buffer(_TEXT_BYTES)
    return "" if library.sa_ntop(sa, text, _TEXT_BYTES) else text.value.decode()


def elements(head: int | None) -> Iterator[int]:
    """The data of a list from its `head` on; it mustn't change meanwhile."""
    while head:
        element = ListElement.from_address(head)
        yield element.data or 0
        head = element.next


def udp_transports(sip: int) -> Iterator[Transport]:
    """Of a `struct sip`, whose first member is the list of them. Raises SipError."""
    for data in elements(List.from_address(sip).head):
        transport = Transport.from_address(data)
        if transport.sip != sip:  # never follow the pointers of another layout
            raise SipError(OTHER_BUILD)
        if transport.tp == UDP:
            yield transport


def at(kind: Any, address: int | None) -> Any:
    """The structure that is there."""
    assert address
    return kind.from_address(address)


def piece(text: Pl) -> bytes:
    return ctypes.string_at(text.p, text.l) if text.p else b""


def text_of(msg: SipMessage) -> bytes:
    """A request from its method, a response from its version, to the end of its body."""
    mbuf, start = at(Buffer, msg.mb), msg.met.p if msg.req else msg.ver.p
    return ctypes.string_at(start, mbuf.buf + mbuf.end - start)
