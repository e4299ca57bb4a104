"""A call over SIP and RTP on UDP sockets.

Arrival is the kernel's own time stamp where the system gives one (SO_TIMESTAMPNS), so that a busy
machine's scheduler isn't part of the figure.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

import numpy as np

from bench.caller import g711, rtp
from bench.caller.impair import level_dbfs
from bench.caller.media import Media, Packet
from bench.caller.outcome import Outcome
from bench.caller.recording import ReceivedPacket
from bench.caller.script import PACKET_SAMPLES, RATE_HZ, Cancel, Outgoing, Performance, Samples, Script
from bench.caller.sip import Dialog, RemoteMedia, State

SO_TIMESTAMPNS = 35  # Linux; the socket module has no name for it
DIGITS = "0123456789*#ABCD"
POLL_S = 0.02


def call(script: Script, media: Media) -> Outcome:
    """Raises OSError if no socket can be had."""
    host, _, port = script.target.rpartition(":")
    target = (socket.gethostbyname(host), int(port))
    with _sip_socket(target) as sip, _rtp_socket(sip.getsockname()[0]) as sock:
        dialog = Dialog(
            local=sip.getsockname(),
            target=target,
            rtp_port=sock.getsockname()[1],
            user=script.user,
            caller=script.caller,
            law=script.codec,
        )
        _converse(script, dialog, sip, sock, media)
    return Outcome(
        outcome="answered" if dialog.answered else (dialog.ended_by or "unreachable"),
        status=dialog.status,
        reason=dialog.reason,
        ended_by=dialog.ended_by,
        acked_at=dialog.acked_at,
        codec=dialog.media.law if dialog.media else "",
        findings=dialog.findings,
        signalling=[list(entry) for entry in dialog.log],
    )


def _sip_socket(target: tuple[str, int]) -> socket.socket:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(target)  # sends nothing; tells which address of ours faces the agent
        host = probe.getsockname()[0]
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.settimeout(POLL_S)
    return sock


def _rtp_socket(host: str) -> socket.socket:
    """An even port on `host`, as RFC 3550 asks, with kernel time stamps where there are any."""
    while True:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((host, 0))
        if sock.getsockname()[1] % 2 == 0:
            break
        sock.close()
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.settimeout(0.2)
    return sock


def _converse(script: Script, dialog: Dialog, sip: socket.socket, sock: socket.socket, media: Media) -> None:
    cancel = bool(script.steps) and isinstance(script.steps[0], Cancel)
    wire: RtpWire | None = None
    began = time.monotonic()
    outgoing = dialog.invite(began)
    try:
        while dialog.state is not State.ENDED or outgoing:
            for datagram in outgoing:
                sip.sendto(datagram, dialog.target)
            outgoing = []
            try:
                data = sip.recv(65535)
                outgoing += dialog.receive(data, time.monotonic())
            except TimeoutError:
                pass
            except ConnectionRefusedError:
                dialog.findings.append("nobody listens at the target")
                break
            now = time.monotonic()
            outgoing += dialog.due(now)
            if dialog.state is State.CONFIRMED and dialog.media is not None and wire is None:
                wire = RtpWire(sock, dialog.media, media)
                media.start(wire)
            unanswered = now - began > script.answer_timeout_s
            if dialog.state is State.PROCEEDING and (cancel or unanswered):
                outgoing += dialog.cancel(now)
            if media.finished.is_set() or now - began > script.max_s:
                outgoing += dialog.bye(now)
    finally:
        media.stop()
        if wire is not None:
            wire.close()


class RtpWire:
    """G.711 on a UDP socket: a thread of its own stamps what arrives."""

    def __init__(self, sock: socket.socket, remote: RemoteMedia, media: Media) -> None:
        self._sock = sock
        self._remote = remote
        self._media = media
        self._stream = rtp.Stream(PACKET_SAMPLES)
        self._clock = rtp.PlayClock(RATE_HZ)
        self._over = threading.Event()
        self._receiving = threading.Thread(target=self._receive, name="rtp-receive")
        self._receiving.start()

    def close(self) -> None:
        self._over.set()
        self._receiving.join()

    def packet(self, samples: Samples, outgoing: Outgoing) -> Packet:
        if outgoing.digit:
            return (self._event(outgoing),)
        head = self._stream.next(g711.PAYLOAD_TYPES[self._remote.law])
        return (head + g711.encode(samples, self._remote.law),)

    def send(self, packet: Packet) -> float | None:
        try:
            for data in packet:
                assert isinstance(data, bytes)
                self._sock.sendto(data, self._remote.address)
        except OSError:  # ICMP says that nobody listens: the agent hung up, SIP will tell
            return None
        return time.monotonic()

    def _event(self, outgoing: Outgoing) -> bytes:
        """RFC 4733: the marker on the first packet, the end bit on the last."""
        tick = outgoing.digit_tick
        end = tick == Performance.DIGIT_TICKS - 1
        head = self._stream.next(self._remote.dtmf_payload_type or 101, marker=tick == 0, back=tick)
        duration = (tick + 1) * PACKET_SAMPLES
        return head + struct.pack("!BBH", DIGITS.index(outgoing.digit), 10 | (0x80 if end else 0), duration)

    def _receive(self) -> None:
        while not self._over.is_set():
            try:
                data, ancillary, _, _ = self._sock.recvmsg(2048, 256)
            except OSError:
                continue
            self._take(data, _arrival(ancillary))

    def _take(self, data: bytes, at: float) -> None:
        try:
            packet = rtp.parse(data)
        except ValueError:
            self._media.recording.unreadable += 1
            return
        number = packet.payload_type
        law = next((law for law, own in g711.PAYLOAD_TYPES.items() if own == number), None)
        samples = np.zeros(0, np.int16) if law is None else g711.decode(packet.payload, law)
        received = ReceivedPacket(
            at, packet.sequence_number, level_dbfs(samples), packet.timestamp, packet.ssrc, number
        )
        played_at = self._clock.played_at(packet.ssrc, packet.timestamp, at)
        self._media.hear(received, samples, played_at)


def _arrival(ancillary: list[tuple[int, int, bytes]]) -> float:
    now = time.monotonic()
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) >= 16:
            seconds, nanoseconds = struct.unpack("qq", data[:16])
            age_s: float = time.time() - (seconds + nanoseconds / 1e9)
            return now - max(0.0, age_s)
    return now
