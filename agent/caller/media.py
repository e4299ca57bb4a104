"""RTP at the socket: one thread that sends on time, one that stamps what arrives.

Times are `time.monotonic()` seconds. Arrival is the kernel's own time stamp where the system gives
one (SO_TIMESTAMPNS), so that a busy machine's scheduler isn't part of the figure.
"""

from __future__ import annotations

import contextlib
import heapq
import secrets
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

import numpy as np

from agent.caller import g711
from agent.caller.impair import Jitter, Loss, Room, level_dbfs
from agent.caller.script import (
    PACKET_SAMPLES,
    PTIME_S,
    RATE_HZ,
    AgentLine,
    Line,
    Outgoing,
    Performance,
    Samples,
)
from agent.caller.sip import RemoteMedia

SO_TIMESTAMPNS = 35  # Linux; the socket module has no name for it
DIGITS = "0123456789*#ABCD"


@dataclass(frozen=True, slots=True)
class SentPacket:
    """`due`: its place in time. `sent`: when it left the socket; None for one the line lost."""

    due: float
    sent: float | None
    level_dbfs: float
    speech_dbfs: float
    play: int


@dataclass(frozen=True, slots=True)
class ReceivedPacket:
    at: float
    sequence_number: int
    rtp_timestamp: int
    ssrc: int
    payload_type: int
    level_dbfs: float


@dataclass(slots=True)
class Recording:
    sent: list[SentPacket] = field(default_factory=list)
    received: list[ReceivedPacket] = field(default_factory=list)
    caller_audio: list[tuple[float, Samples]] = field(default_factory=list)
    agent_audio: list[tuple[float, Samples]] = field(default_factory=list)
    unreadable: int = 0


def open_rtp(host: str) -> socket.socket:
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


def _arrival(ancillary: list[tuple[int, int, bytes]]) -> float:
    now = time.monotonic()
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) >= 16:
            seconds, nanoseconds = struct.unpack("qq", data[:16])
            age_s: float = time.time() - (seconds + nanoseconds / 1e9)
            return now - max(0.0, age_s)
    return now


class Media:
    """Both threads of one call. `finished` is set when the script is over."""

    def __init__(
        self, sock: socket.socket, remote: RemoteMedia, performance: Performance, line: Line
    ) -> None:
        self.recording = Recording()
        self.finished = threading.Event()
        self._sock = sock
        self._remote = remote
        self._performance = performance
        self._agent = AgentLine()
        self._loss, self._jitter, self._room = Loss(line), Jitter(line), Room(line)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._ssrc = secrets.randbits(32)
        self._anchor: tuple[int, int, float] | None = None
        self._threads = [
            threading.Thread(target=self._send, name="rtp-send"),
            threading.Thread(target=self._receive, name="rtp-receive"),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        start = time.monotonic()
        timestamp, sequence = secrets.randbits(31), secrets.randbits(15)
        event_timestamp = timestamp
        waiting: list[tuple[float, int, bytes, SentPacket]] = []
        tick = 0
        while not self._stop.is_set():
            due = start + tick * PTIME_S
            self._sleep_until(due, waiting)
            with self._lock:
                outgoing = self._performance.tick(due, self._agent)
                mixed = self._room.mix(due, outgoing.speech)
            if self._performance.done:
                self.finished.set()
            self.recording.caller_audio.append((due, mixed))
            if outgoing.digit:
                if outgoing.digit_tick == 0:
                    event_timestamp = timestamp
                packet = self._event(outgoing, sequence, event_timestamp)
            else:
                head = struct.pack(
                    "!BBHII", 0x80, g711.PAYLOAD_TYPES[self._remote.law], sequence, timestamp, self._ssrc
                )
                packet = head + g711.encode(mixed, self._remote.law)
            speech = -100.0 if outgoing.speech is None else level_dbfs(outgoing.speech)
            entry = SentPacket(due, None, level_dbfs(mixed), speech, outgoing.play)
            if self._loss.next():
                self.recording.sent.append(entry)
            else:
                heapq.heappush(waiting, (self._jitter.leaves(due), tick, packet, entry))
            tick += 1
            sequence = (sequence + 1) & 0xFFFF
            timestamp = (timestamp + PACKET_SAMPLES) & 0xFFFFFFFF
            self._flush(waiting)
        self.recording.sent.sort(key=lambda packet: packet.due)

    def _sleep_until(self, due: float, waiting: list[tuple[float, int, bytes, SentPacket]]) -> None:
        while (now := time.monotonic()) < due and not self._stop.is_set():
            until = min(due, waiting[0][0]) if waiting else due
            if until > now:
                time.sleep(until - now)
            self._flush(waiting)

    def _flush(self, waiting: list[tuple[float, int, bytes, SentPacket]]) -> None:
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, packet, entry = heapq.heappop(waiting)
            try:
                self._sock.sendto(packet, self._remote.address)
            except OSError:  # ICMP says that nobody listens: the agent hung up, SIP will tell
                continue
            sent = SentPacket(entry.due, time.monotonic(), entry.level_dbfs, entry.speech_dbfs, entry.play)
            self.recording.sent.append(sent)

    def _event(self, outgoing: Outgoing, sequence: int, timestamp: int) -> bytes:
        """RFC 4733: the marker on the first packet, the end bit on the last."""
        first = outgoing.digit_tick == 0
        end = outgoing.digit_tick == Performance.DIGIT_TICKS - 1
        payload_type = self._remote.dtmf_payload_type or 101
        head = struct.pack(
            "!BBHII", 0x80, payload_type | (0x80 if first else 0), sequence, timestamp, self._ssrc
        )
        duration = (outgoing.digit_tick + 1) * PACKET_SAMPLES
        return head + struct.pack("!BBH", DIGITS.index(outgoing.digit), 10 | (0x80 if end else 0), duration)

    def _receive(self) -> None:
        while not self._stop.is_set():
            try:
                data, ancillary, _, _ = self._sock.recvmsg(2048, 256)
            except TimeoutError:
                continue
            except OSError:
                continue
            self._packet(data, _arrival(ancillary))

    def _packet(self, data: bytes, at: float) -> None:
        if len(data) < 12 or data[0] >> 6 != 2:
            self.recording.unreadable += 1
            return
        _, kind, sequence, timestamp, ssrc = struct.unpack("!BBHII", data[:12])
        payload_type = kind & 0x7F
        law = next((law for law, number in g711.PAYLOAD_TYPES.items() if number == payload_type), None)
        if law is None:
            samples, level = np.zeros(0, np.int16), -100.0
        else:
            samples = g711.decode(data[12 + 4 * (data[0] & 15) :], law)
            level = level_dbfs(samples)
        if self._anchor is None or self._anchor[0] != ssrc:
            self._anchor = (ssrc, timestamp, at)
        ahead = (timestamp - self._anchor[1] + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        played_at = self._anchor[2] + ahead / RATE_HZ
        if abs(played_at - at) > 0.5:  # its clock stood still or jumped: begin again from here
            self._anchor, played_at = (ssrc, timestamp, at), at
        self.recording.received.append(ReceivedPacket(at, sequence, timestamp, ssrc, payload_type, level))
        if len(samples):
            self.recording.agent_audio.append((played_at, samples))
        with self._lock:
            self._agent.packet(at, level)
            self._room.hear(played_at, samples)
