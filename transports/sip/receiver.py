"""From the wire to a call's pipeline: 16 kHz mono that never stops, whatever the wire does."""

from __future__ import annotations

import fcntl
import socket
import struct
import time
from collections.abc import Callable

import numpy as np
from aiortc.rtp import RtpPacket
from numpy.typing import NDArray

from transports.call import MediaStats
from transports.concealment import Concealer
from transports.decoders import Decoder, decoder
from transports.playout import SAMPLE_RATE_HZ
from transports.reorder import ReorderBuffer
from transports.sip import packet_filter
from transports.sip.limits import Bucket
from transports.sip.native_rtp import TELEPHONE_EVENT, Negotiated, RtpFormat
from transports.sip.source import Address, CallerSource
from transports.sip.srtp import Decryption, is_dtls
from transports.sip.telephone_events import TelephoneEvents
from transports.sip.tones import ToneKeys

# A gap longer than jitter explains: the peer sends nothing (hold, a muted sender, loss).
STARVED_S = 0.200
# Sound comes a packet late: silence isn't filled in up to now, so that none is too much.
FILL_LAG_S = 0.030
# A tick that comes later than this doesn't make up for all it missed.
MAX_FILL_S = 0.5
# So long what came waits for what is missing before it, where little comes behind it.
MAX_WAIT_S = 0.060
# So much sound comes at once when a network was cut off for a moment; whoever sends more invents it.
MAX_HELD_S = 5.0
KEYS_PER_S = 12.5  # Q.24: 40 ms each, and 40 ms between two; whoever sends more invents them
LATE_S = 0.5  # the last packets of one source may come behind the first of the next
G722_CLOCK_HZ = 8000  # RFC 3551 4.5.2; some count its samples, which are twice as many, if only at first
_MAX_PACKET_BYTES = 2048
_MAX_DTLS = 8  # of them: a flight has fewer, and each costs the SIP thread some work
_CN = "cn"
_COMFORT_NOISE = {13: RtpFormat(_CN, 8000)}  # RFC 3389; sent by some who never announced it
_SO_TIMESTAMPNS = 35  # asm-generic/socket.h: packets come with their arrival
_TIME = struct.Struct("@qq")
_TIME_BYTES = socket.CMSG_SPACE(_TIME.size)
_SIOCGSTAMP = 0x8906  # linux/sockios.h: when the last packet was read from a socket

Samples = NDArray[np.int16]


class Receiver:
    """One call's audio and keys in. Fills gaps, so that the listener's clock goes on."""

    def __init__(
        self,
        sockets: tuple[socket.socket, socket.socket],
        negotiated: Negotiated,
        signalling_host: str,
        now: float,
        hand_back: Callable[[bytes, Address], None] = lambda _packet, _source: None,
    ) -> None:
        """The sockets, for RTP and RTCP, don't block, and are closed by whoever opened them.

        Where a call's keys are agreed on in its media, what is for that goes to `hand_back`.
        """
        self._sockets = sockets
        self._next_message = sockets[0].recvmsg
        self._source = CallerSource(negotiated.remote, signalling_host)
        self._formats = _COMFORT_NOISE | negotiated.formats
        self._hand_back = hand_back
        self._handed_back = now, 0  # how many so far, at the same time
        self._decryption = Decryption(negotiated.key) if negotiated.encryption else None
        self._ssrc: int | None = None
        self._left: tuple[int, float] | None = None  # the SSRC before, and until when late ones are ignored
        self._order: ReorderBuffer[RtpPacket] = ReorderBuffer()
        self._keys_ssrc: int | None = None  # of a gateway whose keys are a source beside the voice
        self._keys_order: ReorderBuffer[RtpPacket] = ReorderBuffer()
        self._waiting_since: float | None = None
        self._decoders: dict[int, Decoder] = {}
        self._concealer = Concealer()
        self._events = TelephoneEvents()
        self._tones = _tones_for(negotiated)
        self._keys = Bucket(KEYS_PER_S, now)
        self._expected: tuple[int, int] | None = None  # sequence number and timestamp that come next
        self._g722_clock_hz = G722_CLOCK_HZ
        self._filled_to: float | None = None
        self._filled = 0  # samples of silence given since the last packet
        self._taken_to = now - MAX_HELD_S  # up to when the sound that came would have been spoken
        self.heard_at = now  # when the caller was last known to be there
        self._sound_at = now
        self._transit_s: float | None = None
        self._packets = 0
        self._jitter_ms = 0.0  # as RFC 3550 smooths it
        sockets[0].setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.note_reports(now)  # the kernel notes times from the first question on

    @property
    def destination(self) -> Address:
        """Where the caller wants to be sent to."""
        return self._source.destination

    @property
    def ssrc(self) -> int | None:
        """The caller's; None before their first packet."""
        return self._ssrc

    @property
    def stats(self) -> MediaStats:
        """Packets that came too late are lost."""
        return MediaStats(self._packets, self._order.lost, self._jitter_ms)

    def renegotiated(self, negotiated: Negotiated) -> None:
        """The call was offered and answered anew."""
        if (formats := _COMFORT_NOISE | negotiated.formats) != self._formats:
            self._formats = formats
            self._decoders.clear()
            self._tones = _tones_for(negotiated)
        if self._decryption:
            self._decryption.use(negotiated.key)
        self._source.announce(negotiated.remote)
        if self._source.learnt:
            self._keep_strangers_out()

    def note_reports(self, now: float) -> None:
        """Take the caller's RTCP, which the stack reads, for a sign of life."""
        try:
            stamp = fcntl.ioctl(self._sockets[1], _SIOCGSTAMP, bytes(16))
        except OSError:  # none so far
            return
        seconds, microseconds = _TIME.unpack(stamp)
        self.heard_at = max(self.heard_at, now - (time.time() - seconds - microseconds / 1e6))

    def due(self, now: float) -> bool:
        """Whether there is something to read though nothing has arrived: silence, or what waited too long."""
        return now - self._sound_at >= STARVED_S or self._waiting

    def read(self, now: float) -> tuple[bytes, str]:
        """What one packet that has arrived makes due: s16le mono PCM at 16 kHz, and the keys pressed."""
        pcm, keys = self._read(now)
        return pcm, "".join(key for key in keys if self._keys.take(now, 1))

    def _read(self, now: float) -> tuple[bytes, str]:
        played: list[Samples] = []
        keys = ""
        for packet in self._receive(now):
            fmt = self._formats.get(packet.payload_type)
            if fmt is None:  # it waited while the call was renegotiated
                continue
            if fmt.codec == TELEPHONE_EVENT:
                keys += self._events.key(packet)
                self._note_silent(packet)
            elif fmt.codec == _CN or not packet.payload:
                self._note_silent(packet)
            elif self._taken_to < now and (samples := self._decode(packet)) is not None:
                missed, lost = self._missed(packet, fmt, len(samples))
                self._taken_to = (
                    max(self._taken_to, now - MAX_HELD_S) + (missed + len(samples)) / SAMPLE_RATE_HZ
                )
                if missed and lost:
                    played.append(self._concealer.conceal(missed))
                elif missed:
                    played.append(np.zeros(missed, np.int16))
                    keys += self._tone_keys(played[-1])
                keys += self._tone_keys(samples)
                played.append(self._concealer.played(samples))
        if played:
            self._sound_at, self._filled_to, self._filled = now, None, 0
            return b"".join([samples.tobytes() for samples in played]), keys
        if missing := self._fill(now):
            keys += self._tone_keys(np.zeros(missing, np.int16))
        return bytes(2 * missing), keys

    def _receive(self, now: float) -> list[RtpPacket]:
        """The caller's packets that are due, in order, each once."""
        try:
            data, times, _, address = self._next_message(_MAX_PACKET_BYTES, _TIME_BYTES)
        except (BlockingIOError, ConnectionRefusedError):  # the latter: an ICMP answer to what we sent
            return self._overdue(now)
        source = address[0].removeprefix("::ffff:").partition("%")[0], address[1]
        packet = self._parsed(data, source, now)
        if packet is None or packet.payload_type not in self._formats:
            if packet and source == self._source.learnt:  # RFC 6263, 4.6: it keeps a NAT open
                self.heard_at = now
            return self._overdue(now)
        learnt = self._source.learnt
        theirs = self._source.take(source, packet, now)
        if self._source.learnt != learnt:
            self._keep_strangers_out()
        if theirs and times:
            self._note_jitter(packet, *_TIME.unpack_from(times[0][2]))
        due: list[RtpPacket] = []
        for accepted in theirs:
            self.heard_at = now
            due += self._in_order(accepted, now)
        return due + self._overdue(now)

    def _parsed(self, data: bytes, source: Address, now: float) -> RtpPacket | None:
        """A packet of RTP, if it is one, and of an encrypted call, if it is the peer's."""
        if self._decryption:
            if is_dtls(data):
                at, before = self._handed_back
                if at != now or before < _MAX_DTLS:
                    self._handed_back = now, before + 1 if at == now else 1
                    self._hand_back(data, source)
                return None
            if (clear := self._decryption.rtp(data)) is None:
                return None
            data = clear
        try:
            return RtpPacket.parse(data)
        except ValueError:
            return None

    def _note_jitter(self, packet: RtpPacket, seconds: int, nanoseconds: int) -> None:
        fmt = self._formats[packet.payload_type]
        if fmt.codec == TELEPHONE_EVENT:  # its timestamp stands still
            return
        transit_s = seconds + nanoseconds / 1e9 - packet.timestamp / self._clock_hz(fmt)
        if self._transit_s is not None and abs(transit_s - self._transit_s) < MAX_FILL_S:
            self._jitter_ms += (abs(transit_s - self._transit_s) * 1000 - self._jitter_ms) / 16
        self._transit_s = transit_s

    def _in_order(self, packet: RtpPacket, now: float) -> list[RtpPacket]:
        due: list[RtpPacket] = []
        if packet.ssrc != self._ssrc:
            fmt = self._formats.get(packet.payload_type)
            if fmt and fmt.codec == TELEPHONE_EVENT:
                if packet.ssrc != self._keys_ssrc:
                    self._keys_ssrc, self._keys_order = packet.ssrc, ReorderBuffer()
                return self._keys_order.add(packet)
            if self._left and packet.ssrc == self._left[0] and now < self._left[1]:
                return []
            due = self._order.give_up()
            lost = self._order.lost
            if self._ssrc is not None:
                self._left = self._ssrc, now + LATE_S
            self._ssrc = packet.ssrc
            self._order, self._expected = ReorderBuffer(), None
            self._order.lost = lost
        self._packets += 1
        return due + self._order.add(packet)

    @property
    def _waiting(self) -> bool:
        return self._order.waiting or self._keys_order.waiting

    def _overdue(self, now: float) -> list[RtpPacket]:
        if not self._waiting:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now
        elif now - self._waiting_since >= MAX_WAIT_S:
            self._waiting_since = None
            return self._order.give_up() + self._keys_order.give_up()
        return []

    def _note_silent(self, packet: RtpPacket) -> None:
        """A packet without sound: none was lost."""
        if self._expected is not None and packet.ssrc == self._ssrc:
            self._expected = ((packet.sequence_number + 1) & 0xFFFF, self._expected[1])

    def _decode(self, packet: RtpPacket) -> Samples | None:
        try:
            return np.frombuffer(self._decoder(packet.payload_type).decode(packet.payload), np.int16)
        except ValueError:
            return None

    def _missed(self, packet: RtpPacket, fmt: RtpFormat, samples: int) -> tuple[int, bool]:
        """How many samples before this packet nothing was heard of, and whether because it was lost."""
        expected = self._expected
        if expected and fmt.codec == "g722" and packet.sequence_number == expected[0]:
            self._note_g722_clock((packet.timestamp - expected[1]) & 0xFFFFFFFF, samples)
        clock_hz = self._clock_hz(fmt)
        ticks = samples * clock_hz // SAMPLE_RATE_HZ
        self._expected = ((packet.sequence_number + 1) & 0xFFFF, (packet.timestamp + ticks) & 0xFFFFFFFF)
        if expected is None:
            return 0, False
        ahead = (packet.timestamp - expected[1]) & 0xFFFFFFFF
        gap = ahead * SAMPLE_RATE_HZ // clock_hz - self._filled
        if ahead >= 0x80000000 or not 0 < gap <= MAX_FILL_S * SAMPLE_RATE_HZ:
            return 0, False
        return gap, packet.sequence_number != expected[0]

    def _note_g722_clock(self, ahead: int, samples: int) -> None:
        """By how much a packet right behind another of this length was ahead of what was expected."""
        if self._g722_clock_hz == G722_CLOCK_HZ and ahead == samples // 2:
            self._g722_clock_hz = 2 * G722_CLOCK_HZ
        elif self._g722_clock_hz != G722_CLOCK_HZ and ahead == -(samples // 2) & 0xFFFFFFFF:
            self._g722_clock_hz = G722_CLOCK_HZ

    def _clock_hz(self, fmt: RtpFormat) -> int:
        return self._g722_clock_hz if fmt.codec == "g722" else fmt.clock_rate_hz

    def _tone_keys(self, samples: Samples) -> str:
        return self._tones.keys(samples) if self._tones else ""

    def _fill(self, now: float) -> int:
        """For how many samples silence is due."""
        if now - self._sound_at < STARVED_S:
            return 0
        since = self._filled_to if self._filled_to is not None else self._sound_at
        missing = int(min(now - FILL_LAG_S - since, MAX_FILL_S) * SAMPLE_RATE_HZ)
        self._filled_to = now - FILL_LAG_S
        self._filled += missing
        return missing

    def _decoder(self, payload_type: int) -> Decoder:
        if payload_type not in self._decoders:
            self._decoders[payload_type] = decoder(self._formats[payload_type].codec)
        return self._decoders[payload_type]

    def _keep_strangers_out(self) -> None:
        """In the kernel, so that a flood costs nothing."""
        hosts = [host for host in self._source.hosts if host]
        for sock in self._sockets:
            program = packet_filter.compile_filter(hosts, sock.family)
            packet_filter.attach(sock, program)


def _tones_for(negotiated: Negotiated) -> ToneKeys | None:
    """A detector only where the peer has no better way: a tone may also be a voice, or a ring on the line."""
    return None if any(fmt.codec == TELEPHONE_EVENT for fmt in negotiated.formats.values()) else ToneKeys()
