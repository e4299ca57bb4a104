"""A call's media encryption, as far as the C stack has to do with it.

The stack encrypts what it sends, negotiates DTLS, and reads RTCP. What comes in as RTP is decrypted by us
(`srtp.py`), with the keys that are asked for here. All of it runs on the SIP thread.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any

from baresip import _native

from transports.sip.encryption import Encryption, Key, key_of
from transports.sip.errors import SipError
from transports.sip.libre import OTHER_BUILD, Buffer, ListElement, SocketAddress, declare, elements
from transports.sip.source import Address

_KINDS = (b"srtp", b"srtp-mand", b"dtls_srtp")
_LAYER_SRTP = 20  # modules/dtls_srtp/dtls_srtp.h
_MOST_KEY_BYTES = 44
_SUITES = {  # enum srtp_suite: what SDP calls it, and the bytes of its key and salt
    0: ("AES_CM_128_HMAC_SHA1_32", 30),
    1: ("AES_CM_128_HMAC_SHA1_80", 30),
    4: ("AEAD_AES_128_GCM", 28),
    5: ("AEAD_AES_256_GCM", 44),
}

_pointer, _size, _int, _text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_char_p
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "baresip_mencl": (_pointer, []),
    "menc_find": (_pointer, [_pointer, _text]),
    "uag_list": (_pointer, []),
    "list_head": (_pointer, [_pointer]),
    "ua_account": (_pointer, [_pointer]),
    "account_mediaenc": (_text, [_pointer]),
    "account_set_mediaenc": (_int, [_pointer, _text]),
    "stream_rtp_sock": (_pointer, [_pointer]),
    "stream_sdpmedia": (_pointer, [_pointer]),
    "rtp_sock": (_pointer, [_pointer]),
    "sdp_media_proto": (_text, [_pointer]),
    "sdp_media_rattr": (_text, [_pointer, _text]),
    "sdp_media_lattr_apply": (_text, [_pointer, _text, _pointer, _pointer]),
    "udp_helper_find": (_pointer, [_pointer, _int]),
    "udp_recv_helper": (None, [_pointer, _pointer, _pointer, _pointer]),
    "tls_srtp_keyinfo": (_int, [_pointer, _pointer, _text, _size, _text, _size]),
    "mbuf_alloc": (_pointer, [_size]),
    "mbuf_write_mem": (_int, [_pointer, _text, _size]),
    "mem_deref": (_pointer, [_pointer]),
    "sa_set_str": (_int, [_pointer, _text, ctypes.c_uint16]),
}


class _Helper(ctypes.Structure):
    """libre's `struct udp_helper`."""

    _fields_ = (
        ("le", ListElement),
        ("layer", _int),
        ("sendh", _pointer),
        ("recvh", _pointer),
        ("lock", _pointer),
        ("arg", _pointer),
    )


class _Component(ctypes.Structure):
    """`struct comp` of baresip's dtls_srtp: RTP, or RTCP."""

    _fields_ = (
        ("ds", _pointer),
        ("dtls_sock", _pointer),
        ("tls_conn", _pointer),
        ("tx", _pointer),
        ("rx", _pointer),
        ("uh_srtp", _pointer),
        ("app_sock", _pointer),
        ("negotiated", ctypes.c_bool),
        ("is_rtp", ctypes.c_bool),
    )


class _DtlsSrtp(ctypes.Structure):
    """Its `struct dtls_srtp`."""

    _fields_ = (
        ("compv", _Component * 2),
        ("sess", _pointer),
        ("sdpm", _pointer),
        ("strm", _pointer),
        ("started", ctypes.c_bool),
        ("active", ctypes.c_bool),
        ("mux", ctypes.c_bool),
    )


class StackSrtp:
    def __init__(self) -> None:
        self._lib = ctypes.CDLL(str(_native.__file__))
        declare(self._lib, _SIGNATURES)

    def require(self) -> None:
        """Raises SipError if the stack doesn't know how to encrypt."""
        for kind in _KINDS:
            if not self._lib.menc_find(self._lib.baresip_mencl(), kind):
                raise SipError(f"this build of baresip-python lacks {kind.decode()}; install 0.5.2a3.")

    @contextlib.contextmanager
    def calls_made_with(self, mediaenc: str | None) -> Iterator[None]:
        """Whatever calls the stack makes meanwhile are encrypted so."""
        accounts = [
            self._lib.ua_account(agent) for agent in elements(self._lib.list_head(self._lib.uag_list()))
        ]
        before = [self._lib.account_mediaenc(account) for account in accounts]
        for account in accounts:
            self._lib.account_set_mediaenc(account, mediaenc and mediaenc.encode())
        try:
            yield
        finally:
            for account, own in zip(accounts, before, strict=True):
                self._lib.account_set_mediaenc(account, own)

    def agreed(self, stream: int) -> tuple[Encryption, Key | None]:
        """How a stream is encrypted, and with which key what comes is; None while DTLS is under way."""
        media = self._lib.stream_sdpmedia(stream)
        theirs = self._lib.sdp_media_rattr(media, b"crypto")
        if theirs and self._lib.sdp_media_lattr_apply(media, b"crypto", None, None):
            return Encryption.SDES, key_of(f"a=crypto:{theirs.decode(errors='replace')}")
        if b"SAVP" in (self._lib.sdp_media_proto(media) or b""):
            return Encryption.DTLS, self._dtls_key(stream, media)
        return Encryption.NONE, None

    def hand_back(self, stream: int, packet: bytes, source: Address) -> None:
        """Have the stack see what came to a stream's RTP socket."""
        sa = SocketAddress()
        sock = self._sock(stream)
        if not sock or self._lib.sa_set_str(ctypes.byref(sa), source[0].encode(), source[1]):
            return
        mbuf = self._lib.mbuf_alloc(len(packet))
        self._lib.mbuf_write_mem(mbuf, packet, len(packet))
        Buffer.from_address(mbuf).pos = 0
        self._lib.udp_recv_helper(sock, ctypes.byref(sa), mbuf, None)
        self._lib.mem_deref(mbuf)

    def _dtls_key(self, stream: int, media: int) -> Key | None:
        sock = self._sock(stream)
        component = sock and self._component(sock)
        if not component or not component.tls_conn:
            return None
        media_of = _DtlsSrtp.from_address(component.ds)
        if (media_of.sdpm, media_of.strm) != (media, stream):
            raise SipError(OTHER_BUILD)
        suite = ctypes.c_int()
        client, server = (ctypes.create_string_buffer(_MOST_KEY_BYTES) for _ in range(2))
        if self._lib.tls_srtp_keyinfo(
            component.tls_conn, ctypes.byref(suite), client, len(client), server, len(server)
        ):
            return None
        name, size = _SUITES[suite.value]
        return Key(name, (server if media_of.active else client).raw[:size])

    def _component(self, sock: int) -> _Component | None:
        """Once DTLS has agreed on keys: what is said of the socket's RTP, found through its helper."""
        link = self._lib.udp_helper_find(sock, _LAYER_SRTP)
        while link:
            helper = _Helper.from_address(link)
            if helper.layer != _LAYER_SRTP:
                return None
            component = _Component.from_address(helper.arg)
            if component.uh_srtp == link and component.app_sock == sock:
                return component
            link = helper.le.next
        return None

    def _sock(self, stream: int) -> int | None:
        rtp = self._lib.stream_rtp_sock(stream)
        sock: int | None = rtp and self._lib.rtp_sock(rtp)
        return sock
