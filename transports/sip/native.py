"""What baresip-python's commands don't reach, asked of the C stack beneath them.

The extension module exports libre's and baresip's own functions. Used here: listening on chosen
addresses, loopback among them (discovery skips it, and takes one interface or all the others); who
really sent an INVITE; the codec agreed on; how the media flow; and rejecting with a status other than 486.
libre's functions belong on the SIP thread, and that is where they run: in the answer to a command.

Here stands all that leans on what baresip-python keeps to itself; `tests/test_internals.py` names it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from baresip import _native
from baresip._events import set_sink
from baresip._native import lib
from baresip.runtime import Runtime

from transports.call import MediaStats
from transports.sip.errors import NoAddress, PortInUse, SipError

_UDP, _TCP = 0, 1  # enum sip_transp
_SA_BYTES = 128  # struct sa is smaller
_ADDRESS_BYTES = 64
_INTERFACE_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p)

_pointer, _int, _text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "baresip_network": (_pointer, []),
    "uag_sip": (_pointer, []),
    "net_add_address_ifname": (_int, [_pointer, _pointer, _text]),
    "net_if_apply": (_int, [_INTERFACE_CALLBACK, _pointer]),
    "sip_transp_add": (_int, [_pointer, _int, _pointer]),
    "sa_set_str": (_int, [_pointer, _text, ctypes.c_uint16]),
    "sa_ntop": (_int, [_pointer, _text, _int]),
    "uag_call_find": (_pointer, [_text]),
    "call_msg_src": (_int, [_pointer, _pointer]),
    "call_audio": (_pointer, [_pointer]),
    "call_get_ua": (_pointer, [_pointer]),
    "audio_codec": (_pointer, [_pointer, ctypes.c_bool]),
    "audio_strm": (_pointer, [_pointer]),
    "stream_rtp_sock": (_pointer, [_pointer]),
    "stream_ssrc_rx": (_int, [_pointer, _pointer]),
    "rtcp_stats": (_int, [_pointer, ctypes.c_uint32, _pointer]),
    "ua_hangup": (None, [_pointer, _pointer, ctypes.c_uint16, _text]),
}


class _Codec(ctypes.Structure):
    """The head of baresip's `struct aucodec`."""

    _fields_ = (("le", _pointer * 4), ("pt", _text), ("name", _text))


class _RtcpStats(ctypes.Structure):
    """libre's `struct rtcp_stats`; times are in microseconds."""

    _fields_ = (
        ("tx_packets", ctypes.c_uint32),
        ("tx_lost", _int),
        ("tx_jitter", ctypes.c_uint32),
        ("rx_packets", ctypes.c_uint32),
        ("rx_lost", _int),
        ("rx_jitter", ctypes.c_uint32),
        ("rtt", ctypes.c_uint32),
    )


T = TypeVar("T")


class Stack:
    """The C stack of a running `Runtime`."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lib = ctypes.CDLL(str(_native.__file__))
        for name, (result, arguments) in _SIGNATURES.items():
            try:
                function = getattr(self._lib, name)
            except AttributeError as error:
                raise SipError(f"this build of baresip-python lacks {name}(); install 0.5.2a3.") from error
            function.restype, function.argtypes = result, arguments
        self._jobs: deque[Callable[[], None]] = deque()
        self._runtime_sink = set_sink(self._on_event)

    async def listen(
        self, host: str, port: int, prepare: Callable[[socket.socket], None]
    ) -> list[socket.socket]:
        """Listen on UDP and TCP; `prepare` sees each socket before a packet on it is read.

        `host` is an address, a name, 0.0.0.0 (every IPv4 address) or :: (every address).
        Returns second handles on the sockets, for the caller to close.
        Raises PortInUse, NoAddress, SipError.
        """
        return await self._on_sip_thread(lambda: self._listen(host, port, prepare))

    async def remote_address(self, sip_call_id: str) -> str:
        """Where the INVITE came from; empty if the call is gone."""

        def ask() -> str:
            call = self._lib.uag_call_find(sip_call_id.encode())
            sa = ctypes.create_string_buffer(_SA_BYTES)
            if not call or self._lib.call_msg_src(call, sa):
                return ""
            return self._address_text(ctypes.addressof(sa))

        return await self._on_sip_thread(ask)

    async def codec(self, sip_call_id: str) -> str:
        """The codec we send, e.g. `pcmu`; empty if the call is gone."""

        def ask() -> str:
            call = self._lib.uag_call_find(sip_call_id.encode())
            codec = call and self._lib.audio_codec(self._lib.call_audio(call), True)
            if not codec:
                return ""
            return (ctypes.cast(codec, ctypes.POINTER(_Codec)).contents.name or b"").decode().lower()

        return await self._on_sip_thread(ask)

    async def media_stats(self, sip_call_id: str) -> MediaStats:
        """Counted since the caller's present stream began; nothing before its first packet."""

        def ask() -> MediaStats:
            call = self._lib.uag_call_find(sip_call_id.encode())
            stream = call and self._lib.audio_strm(self._lib.call_audio(call))
            ssrc, stats = ctypes.c_uint32(), _RtcpStats()
            if (
                not stream
                or self._lib.stream_ssrc_rx(stream, ctypes.byref(ssrc))
                or self._lib.rtcp_stats(self._lib.stream_rtp_sock(stream), ssrc, ctypes.byref(stats))
            ):
                return MediaStats()
            return MediaStats(
                stats.rx_packets,
                max(0, stats.rx_lost),
                stats.rx_jitter / 1000,
                stats.rtt / 1000 if stats.rtt else None,  # 0 until the peer has reported on what we sent
            )

        return await self._on_sip_thread(ask)

    async def reject(self, sip_call_id: str, status: int, reason: str) -> None:
        """Decline an INVITE that is not answered yet."""

        def decline() -> None:
            call = self._lib.uag_call_find(sip_call_id.encode())
            if call:
                self._lib.ua_hangup(self._lib.call_get_ua(call), call, status, reason.encode())

        await self._on_sip_thread(decline)

    async def ping(self, timeout_s: float) -> None:
        """Return once the SIP thread has answered. Raises BaresipError if it doesn't in time."""
        await self._runtime.cmd(lib.BP_CMD_PING, timeout=timeout_s)

    async def _on_sip_thread(self, work: Callable[[], T]) -> T:
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

    def _listen(self, host: str, port: int, prepare: Callable[[socket.socket], None]) -> list[socket.socket]:
        handles: list[socket.socket] = []
        addresses = self._addresses(host)
        for address in addresses:
            _probe(address, port)
        try:
            for address in addresses:
                self._listen_on(address, port)
                found = list(_find_sockets(address, port))
                handles += found
                if {handle.type for handle in found} != {socket.SOCK_DGRAM, socket.SOCK_STREAM}:
                    # Never listen unprepared: whoever sends could not be told from a stranger.
                    raise SipError(f"the sockets that listen on {address}:{port} can't be found.")
                for handle in found:
                    prepare(handle)
        except BaseException:
            for handle in handles:
                handle.close()
            raise
        return handles

    def _addresses(self, host: str) -> list[str]:
        found: list[str] = []

        @_INTERFACE_CALLBACK
        def collect(_name: bytes, sa: int, _arg: int) -> bool:
            address = self._address_text(sa)
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
        host, listener = ctypes.create_string_buffer(_SA_BYTES), ctypes.create_string_buffer(_SA_BYTES)
        if self._lib.sa_set_str(host, address.encode(), 0) or self._lib.sa_set_str(
            listener, address.encode(), port
        ):
            raise NoAddress(address)
        self._lib.net_add_address_ifname(self._lib.baresip_network(), host, b"offhook")
        for protocol, name in ((_UDP, "UDP"), (_TCP, "TCP")):
            error = self._lib.sip_transp_add(self._lib.uag_sip(), protocol, listener)
            if error:
                _raise_bind_error(error, address, port, name)

    def _address_text(self, sa: int) -> str:
        text = ctypes.create_string_buffer(_ADDRESS_BYTES)
        return "" if self._lib.sa_ntop(sa, text, _ADDRESS_BYTES) else text.value.decode()


def _probe(address: str, port: int) -> None:
    """Bind without SO_REUSEADDR's leniency, so that a second server is noticed on UDP and TCP alike."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for kind, name in ((socket.SOCK_DGRAM, "UDP"), (socket.SOCK_STREAM, "TCP")):
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


def _find_sockets(address: str, port: int) -> Iterator[socket.socket]:
    for entry in list(Path("/proc/self/fd").iterdir()):
        try:
            duplicate = os.dup(int(entry.name))
        except OSError:
            continue
        try:
            sock = socket.socket(fileno=duplicate)
            name = sock.getsockname()
        except OSError:
            os.close(duplicate)
            continue
        if sock.family in (socket.AF_INET, socket.AF_INET6) and name[:2] == (address, port):
            yield sock
        else:
            sock.close()
