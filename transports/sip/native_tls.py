"""TLS under SIP, as far as the C stack and the OpenSSL in its package have to do with it.

The stack makes the connections. Its own check of a server's certificate lets any name pass where a URI has an
address, and says nothing of what is wrong; so OpenSSL asks us. All of it runs on the SIP thread.
"""

from __future__ import annotations

import ctypes
import logging
import ssl
import time
from pathlib import Path
from typing import Any

from baresip import _native

from transports.sip.errors import SipError
from transports.sip.libre import TLS, SocketAddress, address_text, declare

REFUSED_LOG_INTERVAL_S = 60.0
_MOST_REFUSED = 100
_TLS_METHOD, _NO_RESUMPTION = 0, 0  # enum tls_method, enum tls_resume_mode
# openssl/ssl.h, openssl/x509_vfy.h
_VERIFY_PEER, _VERIFY_FAIL_IF_NO_PEER_CERT = 1, 2
_SERVER_NAME = 0  # TLSEXT_NAMETYPE_host_name
_OK, _EXPIRED = 0, 10
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21}
_OTHER_NAME = {62, 64}

_pointer, _size, _int, _text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_char_p
_VERIFY = ctypes.CFUNCTYPE(_int, _pointer, _pointer)
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "uag_sip": (_pointer, []),
    "sip_transp_add_sock": (_int, [_pointer, _int, ctypes.c_bool, _pointer, _pointer]),
    "tls_alloc": (_int, [_pointer, _int, _text, _text]),
    "tls_add_cafile_path": (_int, [_pointer, _text, _text]),
    "tls_set_certificate_chain_pem": (_int, [_pointer, _text, _size]),
    "tls_set_resumption": (_int, [_pointer, _int]),
    "tls_ssl_ctx": (_pointer, [_pointer]),
    "tls_get_tcp_conn": (_pointer, [_pointer]),
    "tcp_conn_peer_get": (_int, [_pointer, _pointer]),
    "sa_ntop": (_int, [_pointer, _text, _int]),
    "mem_deref": (_pointer, [_pointer]),
    # OpenSSL's
    "OpenSSL_version": (_text, [_int]),
    "SSL_CTX_set_verify": (None, [_pointer, _int, _pointer]),
    "SSL_CTX_set_cert_verify_callback": (None, [_pointer, _VERIFY, _pointer]),
    "SSL_get_ex_data_X509_STORE_CTX_idx": (_int, []),
    "SSL_is_server": (_int, [_pointer]),
    "SSL_get_servername": (_text, [_pointer, _int]),
    "SSL_get_wbio": (_pointer, [_pointer]),
    "BIO_get_data": (_pointer, [_pointer]),
    "X509_STORE_new": (_pointer, []),
    "X509_STORE_free": (None, [_pointer]),
    "X509_STORE_load_locations": (_int, [_pointer, _text, _text]),
    "X509_STORE_CTX_new": (_pointer, []),
    "X509_STORE_CTX_free": (None, [_pointer]),
    "X509_STORE_CTX_init": (_int, [_pointer, _pointer, _pointer, _pointer]),
    "X509_STORE_CTX_set_default": (_int, [_pointer, _text]),
    "X509_STORE_CTX_get_ex_data": (_pointer, [_pointer, _int]),
    "X509_STORE_CTX_get0_cert": (_pointer, [_pointer]),
    "X509_STORE_CTX_get0_untrusted": (_pointer, [_pointer]),
    "X509_STORE_CTX_get0_param": (_pointer, [_pointer]),
    "X509_STORE_CTX_get_error": (_int, [_pointer]),
    "X509_STORE_CTX_set_error": (None, [_pointer, _int]),
    "X509_VERIFY_PARAM_set1_ip": (_int, [_pointer, _text, _size]),
    "X509_verify_cert": (_int, [_pointer]),
    "X509_verify_cert_error_string": (_text, [ctypes.c_long]),
}

logger = logging.getLogger("offhook.sip")


class StackTls:
    """One TLS context for all connections, accepted and made."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL(str(_native.__file__))
        declare(self._lib, _SIGNATURES)
        self._tls = 0
        self._client_authorities = 0
        self._on_certificate = _VERIFY(self._verify)
        self._told: dict[str, float] = {}
        self.refused: dict[str, str] = {}  # why the certificate of a host was refused last

    def start(self, ca: Path | None, client_ca: Path | None) -> None:
        """`ca` are whose certificates are trusted of servers, by default the system's; callers must have one
        of `client_ca`, if there is such a file.

        Raises SipError.
        """
        tls = _pointer()
        if self._lib.tls_alloc(ctypes.byref(tls), _TLS_METHOD, None, None):
            raise SipError("the SIP stack can't do TLS.")
        self._tls = tls.value or 0
        self._lib.tls_set_resumption(self._tls, _NO_RESUMPTION)
        system = ssl.get_default_verify_paths()
        file, folder = (str(ca), None) if ca else (system.cafile, system.capath)
        if (file or folder) and self._lib.tls_add_cafile_path(self._tls, _bytes(file), _bytes(folder)):
            raise SipError(f"sip.tls_ca is {file or folder}, which holds no certificates in PEM.")
        context = self._lib.tls_ssl_ctx(self._tls)
        self._lib.SSL_CTX_set_cert_verify_callback(context, self._on_certificate, None)
        if client_ca:
            store = self._client_authorities = self._lib.X509_STORE_new()
            if not self._lib.X509_STORE_load_locations(store, _bytes(str(client_ca)), None):
                raise SipError(f"sip.tls_client_ca is {client_ca}, which holds no certificates in PEM.")
            self._lib.SSL_CTX_set_verify(context, _VERIFY_PEER | _VERIFY_FAIL_IF_NO_PEER_CERT, None)

    def close(self) -> None:
        """On the SIP thread, when no connection is made any more."""
        self._lib.mem_deref(self._tls)
        self._lib.X509_STORE_free(self._client_authorities)
        self._tls = self._client_authorities = 0

    def certify(self, chain: bytes) -> None:
        """Show this certificate from now on: PEM, with what it is signed by and its key. Raises SipError."""
        if self._lib.tls_set_certificate_chain_pem(self._tls, chain, len(chain)):
            raise SipError("the SIP stack can't use the certificate.")

    def add(self, listener: SocketAddress, *, listen: bool) -> int:
        """Accept connections there, or only make them from that address. Returns a system error."""
        error: int = self._lib.sip_transp_add_sock(
            self._lib.uag_sip(), TLS, listen, ctypes.byref(listener), self._tls
        )
        return error

    def _verify(self, store: int, _arg: int) -> int:
        """Whether the certificate of who is connected with is good, as OpenSSL asks in a handshake."""
        lib = self._lib
        connection = lib.X509_STORE_CTX_get_ex_data(store, lib.SSL_get_ex_data_X509_STORE_CTX_idx())
        peer = SocketAddress()
        lib.tcp_conn_peer_get(
            lib.tls_get_tcp_conn(lib.BIO_get_data(lib.SSL_get_wbio(connection))), ctypes.byref(peer)
        )
        address = address_text(lib, peer)
        if lib.SSL_is_server(connection):
            error = self._verify_caller(store)
            self._note(address, f"the caller's certificate from {address}", "tls_client_ca", error)
            return int(error == _OK)
        name = lib.SSL_get_servername(connection, _SERVER_NAME)
        if name is None:
            lib.X509_VERIFY_PARAM_set1_ip(lib.X509_STORE_CTX_get0_param(store), peer.packed, len(peer.packed))
        lib.X509_verify_cert(store)
        error = lib.X509_STORE_CTX_get_error(store)
        host = name.decode() if name else address
        self._note(host, f"the certificate of {host}", "tls_ca", error)
        return int(error == _OK)

    def _verify_caller(self, store: int) -> int:
        """Against the authorities for callers, which aren't those for servers."""
        lib = self._lib
        own = lib.X509_STORE_CTX_new()
        lib.X509_STORE_CTX_init(
            own,
            self._client_authorities,
            lib.X509_STORE_CTX_get0_cert(store),
            lib.X509_STORE_CTX_get0_untrusted(store),
        )
        lib.X509_STORE_CTX_set_default(own, b"ssl_client")
        lib.X509_verify_cert(own)
        error: int = lib.X509_STORE_CTX_get_error(own)
        lib.X509_STORE_CTX_free(own)
        lib.X509_STORE_CTX_set_error(store, error)
        return error

    def _note(self, host: str, what: str, setting: str, error: int) -> None:
        self.refused.pop(host, None)
        if error == _OK:
            return
        if error in _UNKNOWN_AUTHORITY:
            why = f"isn't signed by a known authority: set sip.{setting}"
        elif error == _EXPIRED:
            why = "has expired"
        elif error in _OTHER_NAME:
            why = "is somebody else's: it doesn't name that host"
        else:
            why = f"can't be trusted: {self._lib.X509_verify_cert_error_string(error).decode()}"
        while len(self.refused) >= _MOST_REFUSED:
            self.refused.pop(next(iter(self.refused)))
        self.refused[host] = f"{what} {why}."
        now = time.monotonic()
        if now - self._told.get(host, -REFUSED_LOG_INTERVAL_S) >= REFUSED_LOG_INTERVAL_S:
            self._told = {one: at for one, at in self._told.items() if now - at < REFUSED_LOG_INTERVAL_S}
            self._told[host] = now
            logger.warning("%s", self.refused[host])


def openssl_version() -> str:
    """Of the OpenSSL that SIP's TLS and DTLS use: the one in baresip-python's package."""
    ask = "OpenSSL_version"
    version: bytes = declare(ctypes.CDLL(str(_native.__file__)), {ask: _SIGNATURES[ask]})[ask](0)
    return version.decode()


def _bytes(path: str | None) -> bytes | None:
    return path.encode() if path else None
