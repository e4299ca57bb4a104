"""A call's RTP, as far as the C stack has to do with it.

The stack sends, and leaves receiving to us: it would play packets in the order in which they come, twice if
they come twice, and from whoever sends them.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from baresip import _native

from transports.sip.encryption import Encryption, Key
from transports.sip.libre import ListElement, OnSipThread, SocketAddress, address_text, declare
from transports.sip.native_srtp import StackSrtp
from transports.sip.source import Address

_SOCKADDR_IN_BYTES, _SOCKADDR_IN6_BYTES = 8, 28  # as far as they say where

TELEPHONE_EVENT = "telephone-event"
# Beside 8,000, which the stack knows: keys have the clock of the codec (RFC 4733, 2.1).
_KEY_CLOCKS_HZ = (16_000, 48_000)

_OPUS_PTIMES = (b"10", b"20", b"40", b"60")
_PTIME = b"20"

_pointer, _int, _text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "baresip_auplayl": (_pointer, []),
    "list_clear": (None, [_pointer]),
    "uag_call_find": (_pointer, [_text]),
    "call_audio": (_pointer, [_pointer]),
    "audio_codec": (_pointer, [_pointer, ctypes.c_bool]),
    "audio_strm": (_pointer, [_pointer]),
    "stream_rtp_sock": (_pointer, [_pointer]),
    "stream_raddr": (_pointer, [_pointer]),
    "stream_cname": (_text, [_pointer]),
    "stream_sdpmedia": (_pointer, [_pointer]),
    "rtp_sock": (_pointer, [_pointer]),
    "rtcp_sock": (_pointer, [_pointer]),
    "rtcp_stats": (_int, [_pointer, ctypes.c_uint32, _pointer]),
    "rtcp_start": (None, [_pointer, _text, _pointer]),
    "udp_sock_fd": (_int, [_pointer]),
    "udp_thread_detach": (None, [_pointer]),
    # The last argument is the first of a variable number, which there are none of.
    "sdp_format_add": (
        _int,
        [
            *(_pointer, _pointer, ctypes.c_bool, _text, _text, ctypes.c_uint32, ctypes.c_uint8),
            *(_pointer, _pointer, _pointer, ctypes.c_bool, _text),
        ],
    ),
    "sdp_media_align_formats": (None, [_pointer, ctypes.c_bool]),
    "sdp_media_rattr": (_pointer, [_pointer, _text]),
    "sdp_media_raddr": (_pointer, [_pointer]),
    "sdp_media_format_lst": (_pointer, [_pointer, ctypes.c_bool]),
    "list_unlink": (None, [_pointer]),
    "list_append": (None, [_pointer, _pointer, _pointer]),
    "sa_set_str": (_int, [_pointer, _text, ctypes.c_uint16]),
    "sa_ntop": (_int, [_pointer, _text, _int]),
    "sa_port": (ctypes.c_uint16, [_pointer]),
    "sa_af": (_int, [_pointer]),
}


class _Codec(ctypes.Structure):
    """The head of baresip's `struct aucodec`."""

    _fields_ = (("le", ListElement), ("pt", _text), ("name", _text))


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


class _Format(ctypes.Structure):
    """libre's `struct sdp_format`."""

    _fields_ = (
        ("le", ListElement),
        ("id", _text),
        ("params", _text),
        ("rparams", _text),
        ("name", _text),
        ("handlers", _pointer * 3),
        ("ref", ctypes.c_bool),
        ("sup", ctypes.c_bool),
        ("pt", _int),
        ("srate", ctypes.c_uint32),
        ("ch", ctypes.c_uint8),
    )


@dataclass(frozen=True, slots=True)
class RtpFormat:
    """What a payload type stands for."""

    codec: str  # as SDP names it, in lower case
    clock_rate_hz: int


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What offer and answer agreed on."""

    remote: Address  # where the peer's SDP wants its packets
    formats: dict[int, RtpFormat] = field(default_factory=dict)
    codec: str = ""  # that we send, e.g. `pcmu`
    encryption: Encryption = Encryption.NONE
    key: Key | None = None  # of what the peer sends; None while DTLS is under way


class StackRtp:
    """Calls are named by their SIP Call-ID."""

    def __init__(self, on_sip_thread: OnSipThread) -> None:
        self._on_sip_thread = on_sip_thread
        self._lib = ctypes.CDLL(str(_native.__file__))
        declare(self._lib, _SIGNATURES)
        self.srtp = StackSrtp()

    async def play_nothing(self) -> None:
        """Have calls start no thread that plays what the stack receives, which is nothing."""
        await self._on_sip_thread(lambda: self._lib.list_clear(self._lib.baresip_auplayl()))

    async def take_over(
        self, sip_call_id: str, preferred: Sequence[str] | None
    ) -> tuple[socket.socket, socket.socket] | None:
        """Have the stack read the call's RTP no more; None if the call is gone.

        Before the call is answered, with the codecs that are `preferred`, as SDP names them in lower case,
        best first; or, with None, behind it, where the stack offered and has nothing to choose. Returns
        second handles on its sockets for RTP and RTCP, for the caller to close. RTCP stays the stack's.
        """

        def detach() -> tuple[socket.socket, socket.socket] | None:
            stream = self._stream(sip_call_id)
            rtp = stream and self._lib.stream_rtp_sock(stream)
            if not rtp:
                return None
            if preferred is not None:
                media = self._lib.stream_sdpmedia(stream)
                self._accept_keys_at(media, _KEY_CLOCKS_HZ)
                self._prefer(media, preferred)
                self._correct_ptime(media)
            sock = self._lib.rtp_sock(rtp)
            self._lib.udp_thread_detach(sock)
            return self._handle(sock), self._handle(self._lib.rtcp_sock(rtp))

        return await self._on_sip_thread(detach)

    async def negotiated(self, sip_call_id: str) -> Negotiated | None:
        """What the last offer and answer agreed on; None if the call is gone."""

        def ask() -> Negotiated | None:
            stream = self._stream(sip_call_id)
            if not stream:
                return None
            media = self._lib.stream_sdpmedia(stream)
            # RFC 3264 6.1: who answers names what they want to be sent, and some send by those, too.
            formats = {
                fmt.pt: RtpFormat(fmt.name.decode().lower(), fmt.srate)
                for local in (False, True)
                for fmt in self._formats(media, local=local)
                if fmt.sup and fmt.name
            }
            remote = self._lib.sdp_media_raddr(media)
            there = address_text(self._lib, remote), self._lib.sa_port(remote)
            codec = self._lib.audio_codec(self._audio(sip_call_id), True)
            name = codec and _Codec.from_address(codec).name
            encryption, key = self.srtp.agreed(stream)
            return Negotiated(there, formats, (name or b"").decode().lower(), encryption, key)

        return await self._on_sip_thread(ask)

    async def round_trip_ms(self, sip_call_id: str, ssrc: int) -> float | None:
        """By the RTCP of the peer's source `ssrc`; None until it has reported on what we sent."""

        def ask() -> float | None:
            stream, stats = self._stream(sip_call_id), _RtcpStats()
            rtp = stream and self._lib.stream_rtp_sock(stream)
            if not rtp or self._lib.rtcp_stats(rtp, ssrc, ctypes.byref(stats)) or not stats.rtt:
                return None
            return float(stats.rtt / 1000)

        return await self._on_sip_thread(ask)

    async def send_to(self, sip_call_id: str, address: Address) -> None:
        """Send to `address`, whatever the SDP says, until the next one; RTCP to the port above it."""

        def redirect() -> None:
            stream = self._stream(sip_call_id)
            if not stream:
                return
            rtp, rtcp = SocketAddress(), SocketAddress()
            host, port = address[0].encode(), address[1]
            there = self._lib.stream_raddr(stream)
            unknown = self._lib.sa_set_str(ctypes.byref(rtp), host, port)
            if unknown or self._lib.sa_af(ctypes.byref(rtp)) != self._lib.sa_af(there):
                return
            ipv6 = self._lib.sa_af(there) == socket.AF_INET6
            # The sending thread may read meanwhile; eight bytes, all of IPv4, are written at once.
            ctypes.memmove(there, ctypes.byref(rtp), _SOCKADDR_IN6_BYTES if ipv6 else _SOCKADDR_IN_BYTES)
            if not self._lib.sa_set_str(ctypes.byref(rtcp), host, port + 1 & 0xFFFF):
                socket_of_rtp, name = self._lib.stream_rtp_sock(stream), self._lib.stream_cname(stream)
                self._lib.rtcp_start(socket_of_rtp, name, ctypes.byref(rtcp))

        await self._on_sip_thread(redirect)

    async def hand_back(self, sip_call_id: str, packet: bytes, source: Address) -> None:
        """Have the stack see what came to the call's RTP socket: DTLS."""

        def hand() -> None:
            if stream := self._stream(sip_call_id):
                self.srtp.hand_back(stream, packet, source)

        await self._on_sip_thread(hand)

    def _accept_keys_at(self, media: int, clock_rates_hz: tuple[int, ...]) -> None:
        for rate in clock_rates_hz:
            self._lib.sdp_format_add(
                None, media, False, None, TELEPHONE_EVENT.encode(), rate, 1, None, None, None, False, b"0-15"
            )
        self._lib.sdp_media_align_formats(media, True)

    def _prefer(self, media: int, codecs: Sequence[str]) -> None:
        """The stack takes the first that the peer names."""

        def rank(fmt: _Format) -> int:
            name = (fmt.name or b"").decode(errors="replace").lower()  # the peer's word
            return codecs.index(name) if name in codecs else len(codecs)

        for local in (True, False):
            formats = self._lib.sdp_media_format_lst(media, local)
            for fmt in sorted(self._formats(media, local=local), key=rank):
                self._lib.list_unlink(ctypes.byref(fmt))
                self._lib.list_append(formats, ctypes.byref(fmt), ctypes.byref(fmt))

    def _correct_ptime(self, media: int) -> None:
        """Opus has no packets of, say, 30 ms: asked for them, the stack would send nothing."""
        agreed = [fmt for fmt in self._formats(media, local=True) if fmt.sup]
        ptime = self._lib.sdp_media_rattr(media, b"ptime")
        if ptime and agreed and (agreed[0].name or b"").lower() == b"opus":
            asked = ctypes.string_at(ptime)
            if asked not in _OPUS_PTIMES and len(asked) >= len(_PTIME):
                ctypes.memmove(ptime, _PTIME + b"\0", len(_PTIME) + 1)

    def _formats(self, media: int, *, local: bool) -> list[_Format]:
        found = []
        # The first field of a list is its head, as a format's is its link.
        head = self._lib.sdp_media_format_lst(media, local)
        link = ctypes.cast(head, ctypes.POINTER(_pointer)).contents.value
        while link:
            found.append(_Format.from_address(link))
            link = found[-1].le.next
        return found

    def _stream(self, sip_call_id: str) -> int | None:
        audio = self._audio(sip_call_id)
        stream: int | None = audio and self._lib.audio_strm(audio)
        return stream

    def _audio(self, sip_call_id: str) -> int | None:
        call = self._lib.uag_call_find(sip_call_id.encode())
        audio: int | None = call and self._lib.call_audio(call)
        return audio

    def _handle(self, sock: int) -> socket.socket:
        handle = socket.socket(fileno=os.dup(self._lib.udp_sock_fd(sock)))
        handle.setblocking(False)
        return handle
