"""Where SIP messages pass us inside the C stack: requests on their way in, everything on its way out.

A listener of ours stands in libre's list right behind its transaction layer: it sees each request once,
decoded, over UDP and TCP, before the stack answers it. A request that is to be another is decoded anew from
its new text and handed to the listeners behind ours. What goes out passes helpers of libre's sockets.
All of it runs on the SIP thread, once a message.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from ipaddress import ip_address
from typing import Any

from baresip import _native

from transports.sip.dialogs import Reply
from transports.sip.errors import SipError
from transports.sip.libre import (
    OTHER_BUILD,
    TCP,
    TLS,
    Buffer,
    List,
    ListElement,
    SocketAddress,
    declare,
    udp_transports,
)
from transports.sip.message import Message
from transports.sip.sdp import Ip

_pointer, _size, _int, _text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_char_p
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "uag_sip": (_pointer, []),
    "uag_call_find": (_pointer, [_text]),
    "uag_list": (_pointer, []),
    "ua_add_extension": (None, [_pointer, _text]),
    "sip_listen": (_int, [_pointer, _pointer, ctypes.c_bool, _pointer, _pointer]),
    "sip_msg_decode": (_int, [_pointer, _pointer]),
    "sip_msg_tcpconn": (_pointer, [_pointer]),
    "sip_treplyf": (
        _int,
        [_pointer, _pointer, _pointer, _pointer, ctypes.c_bool, ctypes.c_uint16, _text, _text, _text],
    ),
    "list_unlink": (None, [_pointer]),
    "list_insert_after": (None, [_pointer, _pointer, _pointer, _pointer]),
    "mbuf_alloc": (_pointer, [_size]),
    "mbuf_write_mem": (_int, [_pointer, _text, _size]),
    "mem_ref": (_pointer, [_pointer]),
    "mem_deref": (_pointer, [_pointer]),
    "udp_register_helper": (_int, [_pointer, _pointer, _int, _pointer, _pointer, _pointer]),
    "udp_helper_find": (_pointer, [_pointer, _int]),
    "udp_rxsz_set": (None, [_pointer, _size]),
    "tcp_register_helper": (_int, [_pointer, _pointer, _int, _pointer, _pointer, _pointer, _pointer]),
}
_LISTENER = ctypes.CFUNCTYPE(ctypes.c_bool, _pointer, _pointer)
_UDP_SEND = ctypes.CFUNCTYPE(ctypes.c_bool, _pointer, _pointer, _pointer, _pointer)
_TCP_SEND = ctypes.CFUNCTYPE(ctypes.c_bool, _pointer, _pointer, _pointer)
_LAYER = 0
_LAYER_TCP = 1  # above TLS, which is at 0
_LARGEST = 65_536
_EXTENSION = ctypes.create_string_buffer(b"timer")  # the stack keeps no copy

logger = logging.getLogger("offhook.sip")


class _Pl(ctypes.Structure):
    """libre's `struct pl`, a piece of text; and so on, below, as in its headers."""

    _fields_ = (("p", _pointer), ("l", _size))


class _Uri(ctypes.Structure):
    _fields_ = (
        *((name, _Pl) for name in ("scheme", "user", "host")),
        ("af", _int),
        ("port", ctypes.c_uint16),
        *((name, _Pl) for name in ("path", "params", "headers")),
    )


class _Via(ctypes.Structure):
    _fields_ = (
        ("sentby", _Pl),
        ("addr", SocketAddress),
        *((name, _Pl) for name in ("params", "branch", "val")),
        ("tp", _int),
    )


class _Taddr(ctypes.Structure):
    _fields_ = (("dname", _Pl), ("auri", _Pl), ("uri", _Uri), *((n, _Pl) for n in ("params", "tag", "val")))


class _Cseq(ctypes.Structure):
    _fields_ = (("met", _Pl), ("num", ctypes.c_uint32))


class _Rack(ctypes.Structure):
    _fields_ = (("met", _Pl), ("rel_seq", ctypes.c_uint32), ("cseq", ctypes.c_uint32))


class _Msg(ctypes.Structure):
    _fields_ = (
        ("src", SocketAddress),
        ("dst", SocketAddress),
        *((name, _Pl) for name in ("ver", "met", "ruri")),
        ("uri", _Uri),
        ("scode", ctypes.c_uint16),
        ("reason", _Pl),
        ("hdrl", List),
        ("via", _Via),
        ("to", _Taddr),
        ("from_", _Taddr),
        ("cseq", _Cseq),
        ("rack", _Rack),
        ("rel_seq", ctypes.c_uint32),
        ("ctyp", _Pl * 3),
        *((name, _Pl) for name in ("callid", "maxfwd", "expires", "clen")),
        ("hdrht", _pointer),
        ("mb", _pointer),
        ("sock", _pointer),
        ("tag", ctypes.c_uint64),
        ("tp", _int),
        ("req", ctypes.c_bool),
    )


class _Lsnr(ctypes.Structure):
    _fields_ = (
        ("le", ListElement),
        ("lsnrp", _pointer),
        ("msgh", _pointer),
        ("arg", _pointer),
        ("req", ctypes.c_bool),
    )


class _Helper(ctypes.Structure):
    _fields_ = (("le", ListElement),)


class MessageHooks:
    """Made once, on the SIP thread, when the stack has its user agent and its sockets; kept while it runs."""

    def __init__(
        self,
        library: ctypes.CDLL,
        *,
        on_request: Callable[[Message, Ip], Message | Reply | None],
        on_send: Callable[[Message], Message | None],
        on_refused: Callable[[str], None],
        making_call: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        """Both last get a Call-ID. `making_call` is entered while the stack makes a call of an INVITE, and
        `on_refused` gets the Call-ID of an INVITE that the stack turned down by itself.

        Raises SipError if the library isn't laid out as known.
        """
        self._on_request, self._on_send, self._on_refused = on_request, on_send, on_refused
        self._making_call = making_call
        # Small calls keep the GIL: to get it back from a busy loop costs more than they do.
        small = ctypes.PyDLL(str(_native.__file__))
        self._small = declare(small, _SIGNATURES)
        reply = "sip_treplyf"
        self._reply = declare(library, {reply: _SIGNATURES[reply]})[reply]
        self._callbacks = (
            _LISTENER(self._request),
            _LISTENER(lambda *_: True),
            _UDP_SEND(lambda _err, _dst, mbuf, _arg: self._sending(mbuf)),
            _TCP_SEND(lambda _err, mbuf, _arg: self._sending(mbuf)),
        )
        self._listener = 0
        self._connections: dict[int, int] = {}  # TCP connections, and our helper on each
        self._require_layout()
        self._install()

    def close(self) -> None:
        """On the SIP thread, before the stack ends."""
        for helper in self._connections.values():
            self._small["mem_deref"](helper)
        self._connections.clear()

    def _install(self) -> None:
        sip = self._small["uag_sip"]()
        on_request, on_stray = self._callbacks[:2]
        listener = _pointer()
        if self._small["sip_listen"](ctypes.byref(listener), sip, True, on_request, None):
            raise SipError("the SIP stack has no room for a listener.")
        own = _at(_Lsnr, listener.value)
        own.lsnrp = None  # where the stack would write, when it ends, to what is ours only here
        listeners = own.le.list
        transactions = _at(List, listeners).head
        while not _at(_Lsnr, transactions).req:
            transactions = _at(ListElement, transactions).next
        self._small["list_unlink"](listener)
        self._small["list_insert_after"](listeners, transactions, listener, listener)
        # Responses that belong to nothing; the stack would print what they say.
        self._small["sip_listen"](None, sip, False, on_stray, None)
        self._listener = listener.value or 0
        agent = _at(ListElement, _at(List, self._small["uag_list"]()).head).data
        self._small["ua_add_extension"](agent, _EXTENSION)

    def attach(self) -> None:
        """On the SIP thread, once it listens, and again when it does on more sockets."""
        small = self._small
        for transport in udp_transports(small["uag_sip"]()):
            if not small["udp_helper_find"](transport.sock, _LAYER):
                small["udp_rxsz_set"](transport.sock, _LARGEST)
                small["udp_register_helper"](None, transport.sock, _LAYER, self._callbacks[2], None, None)

    def _request(self, pointer: int, _arg: int) -> bool:
        """Whether the request is done with, and no other listener is to see it."""
        try:
            msg = _at(_Msg, pointer)
            if msg.tp in (TCP, TLS):
                self._watch_connection(self._small["sip_msg_tcpconn"](pointer))
            try:
                outcome = self._on_request(Message.parse(_text_of(msg)), ip_address(msg.src.packed))
                if isinstance(outcome, Message):
                    self._pass_on(msg, outcome)
            except ValueError:
                outcome = Reply(400, "Bad Request")
            if isinstance(outcome, Reply):
                self._say(pointer, outcome)
            return outcome is not None
        except Exception:
            logger.exception("a SIP request could not be looked at")
            self._say(pointer, Reply(500, "Server Internal Error"))
            return True

    def _say(self, msg: int, reply: Reply) -> None:
        headers = "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
        text = f"{headers}Content-Length: 0\r\n\r\n".encode()
        self._reply(
            None, None, self._small["uag_sip"](), msg, True, reply.status, reply.reason.encode(), b"%s", text
        )

    def _pass_on(self, msg: _Msg, request: Message) -> None:
        """Have the stack see another request, as if it had come in the place of `msg`. Raises ValueError."""
        call_id = request.header("Call-ID")
        begins = request.method == "INVITE" and not request.in_dialog
        try:
            with self._making_call(call_id) if begins else nullcontext():
                self._hand_on(msg, self._decoded(bytes(request)))
        finally:
            if begins and not self._small["uag_call_find"](call_id.encode()):
                self._on_refused(call_id)

    def _hand_on(self, msg: _Msg, other: int) -> None:
        """Have the listeners behind ours see `other`, which is released."""
        small, new = self._small, _at(_Msg, other)
        new.src, new.dst, new.tp, new.sock = msg.src, msg.dst, msg.tp, small["mem_ref"](msg.sock)
        element = _at(_Lsnr, self._listener).le.next
        while element:
            listener = _at(_Lsnr, element)
            element = listener.le.next
            if listener.req and _LISTENER(listener.msgh)(other, listener.arg):
                break
        small["mem_deref"](other)

    def _decoded(self, text: bytes) -> int:
        """A `struct sip_msg`, to be released. Raises ValueError if the stack doesn't understand it."""
        small = self._small
        mbuf = small["mbuf_alloc"](len(text))
        try:
            small["mbuf_write_mem"](mbuf, text, len(text))
            _at(Buffer, mbuf).pos = 0
            msg = _pointer()
            if small["sip_msg_decode"](ctypes.byref(msg), mbuf) or msg.value is None:
                raise ValueError("the stack doesn't understand the message")
            return msg.value
        finally:
            small["mem_deref"](mbuf)

    def _sending(self, pointer: int) -> bool:
        """Whether the message isn't to be sent. It is changed in its place, since the stack may repeat it."""
        try:
            mbuf = _at(Buffer, pointer)
            text = mbuf.content
            if b"SIP/2.0" not in text:  # a keep-alive
                return False
            message = self._on_send(Message.parse(text))
            if message is None:
                return True
            if (other := bytes(message)) != text:
                start = mbuf.pos
                mbuf.end = start
                self._small["mbuf_write_mem"](pointer, other, len(other))
                mbuf.pos = start
        except Exception:
            logger.exception("a SIP message was sent as it was")
        return False

    def _watch_connection(self, connection: int) -> None:
        """Have our helper on a TCP connection. Each is kept until its connection is seen to be gone."""
        helper = self._connections.get(connection)
        if helper and _at(_Helper, helper).le.list:
            return
        for known, one in list(self._connections.items()):
            if not _at(_Helper, one).le.list:
                self._small["mem_deref"](one)
                del self._connections[known]
        registered = _pointer()
        on_tcp = self._callbacks[3]
        if self._small["tcp_register_helper"](
            ctypes.byref(registered), connection, _LAYER_TCP, None, on_tcp, None, None
        ):
            raise MemoryError
        self._connections[connection] = self._small["mem_ref"](registered)

    def _require_layout(self) -> None:
        """Whether the stack's structures are those above."""
        text = (
            b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\nFrom: <sip:d@e>;tag=1\r\n"
            b"To: <sip:a@b>\r\nCall-ID: f\r\nCSeq: 7 OPTIONS\r\nContent-Length: 4\r\n\r\nbody"
        )
        pointer = self._decoded(text)
        msg = _at(_Msg, pointer)
        seen = (
            msg.req,
            msg.sock,
            msg.cseq.num,
            _piece(msg.met),
            _piece(msg.callid),
            _piece(msg.clen),
            _text_of(msg),
        )
        self._small["mem_deref"](pointer)
        if seen != (True, None, 7, b"OPTIONS", b"f", b"4", text):
            raise SipError(OTHER_BUILD)


def _at(kind: Any, address: int | None) -> Any:
    assert address
    return kind.from_address(address)


def _piece(piece: _Pl) -> bytes:
    return ctypes.string_at(piece.p, piece.l) if piece.p else b""


def _text_of(msg: _Msg) -> bytes:
    """A request from its method to the end of its body."""
    mbuf = _at(Buffer, msg.mb)
    return ctypes.string_at(msg.met.p, mbuf.buf + mbuf.end - msg.met.p)
