"""Where SIP messages pass us inside the C stack: requests and answers on their way in, all on its way out.

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

from transports.sip.errors import SipError
from transports.sip.libre import (
    OTHER_BUILD,
    TCP,
    TLS,
    Buffer,
    Connection,
    Helper,
    List,
    ListElement,
    Listener,
    Sip,
    SipMessage,
    SocketAddress,
    at,
    declare,
    elements,
    piece,
    text_of,
    udp_transports,
)
from transports.sip.message import Message, Reply
from transports.sip.registrar import Peer
from transports.sip.sdp import Ip

_pointer, _size, _int, _text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_char_p
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "uag_sip": (_pointer, []),
    "uag_call_find": (_pointer, [_text]),
    "sip_listen": (_int, [_pointer, _pointer, ctypes.c_bool, _pointer, _pointer]),
    "sip_msg_decode": (_int, [_pointer, _pointer]),
    "sip_msg_tcpconn": (_pointer, [_pointer]),
    "sip_treplyf": (
        _int,
        [_pointer, _pointer, _pointer, _pointer, ctypes.c_bool, ctypes.c_uint16, _text, _text, _text],
    ),
    "hash_list": (_pointer, [_pointer, ctypes.c_uint32]),
    "sa_hash": (ctypes.c_uint32, [_pointer, _int]),
    "sa_cmp": (ctypes.c_bool, [_pointer, _pointer, _int]),
    "list_unlink": (None, [_pointer]),
    "list_insert_after": (None, [_pointer, _pointer, _pointer, _pointer]),
    "list_prepend": (None, [_pointer, _pointer, _pointer]),
    "mbuf_alloc": (_pointer, [_size]),
    "mbuf_write_mem": (_int, [_pointer, _text, _size]),
    "mem_ref": (_pointer, [_pointer]),
    "mem_deref": (_pointer, [_pointer]),
    "udp_register_helper": (_int, [_pointer, _pointer, _int, _pointer, _pointer, _pointer]),
    "udp_helper_find": (_pointer, [_pointer, _int]),
    "udp_rxsz_set": (None, [_pointer, _size]),
    "tcp_conn_peer_get": (_int, [_pointer, _pointer]),
    "tcp_register_helper": (_int, [_pointer, _pointer, _int, _pointer, _pointer, _pointer, _pointer]),
}
_LISTENER = ctypes.CFUNCTYPE(ctypes.c_bool, _pointer, _pointer)
_UDP_SEND = ctypes.CFUNCTYPE(ctypes.c_bool, _pointer, _pointer, _pointer, _pointer)
_TCP_SEND = ctypes.CFUNCTYPE(ctypes.c_bool, _pointer, _pointer, _pointer)
_LAYER = 0
_LAYER_TCP = 1  # above TLS, which is at 0
_LARGEST = 65_536
_WHOLE = 3  # enum sa_flag: address and port

logger = logging.getLogger("offhook.sip")


class MessageHooks:
    """Made once, on the SIP thread, when the stack has its user agent and its sockets; kept while it runs."""

    def __init__(
        self,
        library: ctypes.CDLL,
        *,
        hears: Callable[[Peer], bool],
        on_request: Callable[[Message, Peer], Message | Reply | None],
        on_answer: Callable[[Message, Peer], Message | None],
        on_send: Callable[[Message, Ip], Message | None],
        on_refused: Callable[[str], None],
        making_call: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        """What comes from whom it doesn't hear goes no further, and isn't answered.

        `on_answer` sees what may answer an offer of ours, or asks for a password, and gives another response
        in its place, or None.

        `making_call` gets the Call-ID of an INVITE and is entered while the stack makes a call of it, and
        `on_refused` gets the Call-ID of an INVITE that the stack turned down by itself.

        Raises SipError if the library isn't laid out as known.
        """
        self._hears = hears
        self._on_request, self._on_send, self._on_refused = on_request, on_send, on_refused
        self._on_answer = on_answer
        self._making_call = making_call
        # Small calls keep the GIL: to get it back from a busy loop costs more than they do.
        small = ctypes.PyDLL(str(_native.__file__))
        self._small = declare(small, _SIGNATURES)
        reply = "sip_treplyf"
        self._reply = declare(library, {reply: _SIGNATURES[reply]})[reply]
        self._callbacks = (
            _LISTENER(self._request),
            _LISTENER(lambda *_: True),
            _LISTENER(self._response),
            _UDP_SEND(lambda _err, peer, mbuf, _: self._sending(mbuf, at(SocketAddress, peer))),
            _TCP_SEND(lambda _err, mbuf, connection: self._sending(mbuf, self._peer_of(connection))),
        )
        self._listener = self._first = 0  # of requests, and of responses
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
        on_request, on_stray, on_response = self._callbacks[:3]
        listener = _pointer()
        if self._small["sip_listen"](ctypes.byref(listener), sip, True, on_request, None):
            raise SipError("the SIP stack has no room for a listener.")
        own = at(Listener, listener.value)
        own.lsnrp = None  # where the stack would write, when it ends, to what is ours only here
        listeners = own.le.list
        transactions = at(List, listeners).head
        while not at(Listener, transactions).req:
            transactions = at(ListElement, transactions).next
        self._small["list_unlink"](listener)
        self._small["list_insert_after"](listeners, transactions, listener, listener)
        # Responses that belong to nothing; the stack would print what they say.
        self._small["sip_listen"](None, sip, False, on_stray, None)
        first = _pointer()
        if self._small["sip_listen"](ctypes.byref(first), sip, False, on_response, None):
            raise SipError("the SIP stack has no room for a listener.")
        at(Listener, first.value).lsnrp = None
        self._small["list_unlink"](first)
        self._small["list_prepend"](listeners, first, first)
        self._first = first.value or 0
        self._listener = listener.value or 0

    def attach(self) -> None:
        """On the SIP thread, once it listens, and again when it does on more sockets."""
        small = self._small
        for transport in udp_transports(small["uag_sip"]()):
            if not small["udp_helper_find"](transport.sock, _LAYER):
                small["udp_rxsz_set"](transport.sock, _LARGEST)
                small["udp_register_helper"](None, transport.sock, _LAYER, self._callbacks[3], None, None)

    def _request(self, pointer: int, _arg: int) -> bool:
        """Whether the request is done with, and no other listener is to see it."""
        try:
            msg = at(SipMessage, pointer)
            peer = _sender(msg)
            if not self._hears(peer):
                return True
            if msg.tp in (TCP, TLS):  # what answers it is traced by the port in its Via, another one mostly
                self._watch_connection(self._small["sip_msg_tcpconn"](pointer))
            try:
                outcome = self._on_request(Message.parse(text_of(msg)), peer)
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

    def _response(self, pointer: int, _arg: int) -> bool:
        """Whether another was handed on in its place."""
        try:
            msg = at(SipMessage, pointer)
            offers = piece(msg.cseq.met) in (b"INVITE", b"UPDATE")
            if not (offers and 100 < msg.scode < 300) and msg.scode not in (401, 407):
                return False
            answer = self._on_answer(Message.parse(text_of(msg)), _sender(msg))
            if answer is None:
                return False
            self._hand_on(msg, self._decoded(bytes(answer)), self._first)
        except Exception:
            logger.exception("a SIP response could not be looked at")
            return False
        return True

    def _say(self, msg: int, reply: Reply) -> None:
        headers = "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
        text = f"{headers}Content-Length: 0\r\n\r\n".encode()
        self._reply(
            None, None, self._small["uag_sip"](), msg, True, reply.status, reply.reason.encode(), b"%s", text
        )

    def _pass_on(self, msg: SipMessage, request: Message) -> None:
        """Have the stack see another request, as if it had come in the place of `msg`. Raises ValueError."""
        call_id = request.header("Call-ID")
        begins = request.method == "INVITE" and not request.in_dialog
        try:
            with self._making_call(call_id) if begins else nullcontext():
                self._hand_on(msg, self._decoded(bytes(request)), self._listener)
        finally:
            if begins and not self._small["uag_call_find"](call_id.encode()):
                self._on_refused(call_id)

    def _hand_on(self, msg: SipMessage, other: int, own: int) -> None:
        """Have the listeners behind our `own` see `other`, which is released."""
        small, new = self._small, at(SipMessage, other)
        new.src, new.dst, new.tp, new.sock = msg.src, msg.dst, msg.tp, small["mem_ref"](msg.sock)
        element = at(Listener, own).le.next
        while element:
            listener = at(Listener, element)
            element = listener.le.next
            if listener.req == msg.req and _LISTENER(listener.msgh)(other, listener.arg):
                break
        small["mem_deref"](other)

    def _decoded(self, text: bytes) -> int:
        """A `struct sip_msg`, to be released. Raises ValueError if the stack doesn't understand it."""
        small = self._small
        mbuf = small["mbuf_alloc"](len(text))
        try:
            small["mbuf_write_mem"](mbuf, text, len(text))
            at(Buffer, mbuf).pos = 0
            msg = _pointer()
            if small["sip_msg_decode"](ctypes.byref(msg), mbuf) or msg.value is None:
                raise ValueError("the stack doesn't understand the message")
            return msg.value
        finally:
            small["mem_deref"](mbuf)

    def _peer_of(self, connection: int) -> SocketAddress:
        peer = SocketAddress()
        self._small["tcp_conn_peer_get"](connection, ctypes.byref(peer))
        return peer

    def _sending(self, pointer: int, peer: SocketAddress) -> bool:
        """Whether the message isn't to be sent. It is changed in its place, since the stack may repeat it."""
        try:
            mbuf = at(Buffer, pointer)
            text = mbuf.content
            if b"SIP/2.0" not in text:  # a keep-alive
                return False
            message = self._on_send(Message.parse(text), ip_address(peer.packed))
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

    def sending(self, protocol: int, address: int) -> None:
        """Have our helper on the connection to a `struct sa` before something is sent on it."""
        if protocol not in (TCP, TLS):
            return
        small, sip = self._small, self._small["uag_sip"]()
        there = small["hash_list"](at(Sip, sip).ht_conn, small["sa_hash"](address, _WHOLE))
        for data in elements(at(List, there).head):
            connection = at(Connection, data)
            if connection.sip != sip:  # never follow the pointers of another layout
                raise SipError(OTHER_BUILD)
            same = small["sa_cmp"](ctypes.byref(connection.paddr), address, _WHOLE)
            if same and connection.tc and bool(connection.sc) == (protocol == TLS):
                self._watch_connection(connection.tc)

    def _watch_connection(self, connection: int) -> None:
        """Each helper is kept until its connection is seen to be gone."""
        helper = self._connections.get(connection)
        if helper and at(Helper, helper).le.list:
            return
        for known, one in list(self._connections.items()):
            if not at(Helper, one).le.list:
                self._small["mem_deref"](one)
                del self._connections[known]
        registered = _pointer()
        on_tcp = self._callbacks[4]
        if self._small["tcp_register_helper"](
            ctypes.byref(registered), connection, _LAYER_TCP, None, on_tcp, None, connection
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
        msg = at(SipMessage, pointer)
        seen = (
            msg.req,
            msg.sock,
            msg.cseq.num,
            piece(msg.met),
            piece(msg.callid),
            piece(msg.clen),
            text_of(msg),
        )
        self._small["mem_deref"](pointer)
        if seen != (True, None, 7, b"OPTIONS", b"f", b"4", text):
            raise SipError(OTHER_BUILD)


def _sender(msg: SipMessage) -> Peer:
    return Peer(ip_address(msg.src.packed), msg.src.port, msg.tp)
