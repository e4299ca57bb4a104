"""The caller's sound, over any wire: one thread that sends on time, and what is heard.

Times are `time.monotonic()` seconds.
"""

from __future__ import annotations

import heapq
import threading
import time
from typing import Protocol

from bench.caller.impair import Jitter, Loss, Room, level_dbfs
from bench.caller.recording import ReceivedPacket, Recording, SentPacket
from bench.caller.script import PTIME_S, AgentLine, Line, Outgoing, Performance, Samples

# What leaves together every 20 ms: datagrams, or messages.
Packet = tuple[bytes | str, ...]


class Wire(Protocol):
    """How one transport carries the caller's sound."""

    def packet(self, samples: Samples, outgoing: Outgoing) -> Packet:
        """20 ms of sound, or the digit that is pressed. Called in order, for packets that get lost too."""

    def send(self, packet: Packet) -> float | None:
        """Returns when it left, or None if nobody takes it any more."""


class Media:
    """Both sides' sound in one call. `finished` is set when the script is over."""

    def __init__(self, performance: Performance, line: Line) -> None:
        self.recording = Recording()
        self.finished = threading.Event()
        self._performance = performance
        self._agent = AgentLine()
        self._loss, self._jitter, self._room = Loss(line), Jitter(line), Room(line)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._waiting: list[tuple[float, int, Packet, SentPacket]] = []

    def start(self, wire: Wire) -> None:
        self._thread = threading.Thread(target=self._send, args=(wire,), name="caller-send")
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def hear(self, packet: ReceivedPacket, samples: Samples, played_at: float) -> None:
        """Take one of the agent's packets, whose sound belongs at `played_at`. From any one thread."""
        self.recording.received.append(packet)
        if len(samples):
            self.recording.agent_audio.append((played_at, samples))
        with self._lock:
            self._agent.packet(packet.at, packet.level_dbfs)
            self._room.hear(played_at, samples)

    def _send(self, wire: Wire) -> None:
        start = time.monotonic()
        tick = 0
        while not self._stop.is_set():
            due = start + tick * PTIME_S
            self._sleep_until(due, wire)
            with self._lock:
                outgoing = self._performance.tick(due, self._agent)
                mixed = self._room.mix(due, outgoing.speech)
            if self._performance.done:
                self.finished.set()
            self.recording.caller_audio.append((due, mixed))
            packet = wire.packet(mixed, outgoing)
            speech = -100.0 if outgoing.speech is None else level_dbfs(outgoing.speech)
            entry = SentPacket(due, None, level_dbfs(mixed), speech, outgoing.play)
            if self._loss.next():
                self.recording.sent.append(entry)
            else:
                heapq.heappush(self._waiting, (self._jitter.leaves(due), tick, packet, entry))
            tick += 1
            self._flush(wire)
        self.recording.sent.sort(key=lambda packet: packet.due)

    def _sleep_until(self, due: float, wire: Wire) -> None:
        while (now := time.monotonic()) < due and not self._stop.is_set():
            until = min(due, self._waiting[0][0]) if self._waiting else due
            if until > now:
                time.sleep(until - now)
            self._flush(wire)

    def _flush(self, wire: Wire) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, _, packet, entry = heapq.heappop(self._waiting)
            at = wire.send(packet)
            if at is not None:
                sent = SentPacket(entry.due, at, entry.level_dbfs, entry.speech_dbfs, entry.play)
                self.recording.sent.append(sent)
