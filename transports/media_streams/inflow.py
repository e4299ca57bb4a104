"""What a well-behaved stream may send. A policy: no I/O, no clock."""

from __future__ import annotations

# A carrier that was cut off delivers what it held, for as long as a call survives it; more, it invents.
HELD_S = 16.0
AUDIO_RATE = 1.25  # of real time
MESSAGES_PER_S = 150.0  # 50 packets, with room for a carrier that sends 10 ms ones


class Inflow:
    """Two leaky buckets: sound, in milliseconds, and messages."""

    def __init__(self, now: float) -> None:
        self._at = now
        self._audio_ms = 0.0
        self._messages = 0.0

    def admits(self, audio_ms: float, now: float) -> bool:
        """Count one message with `audio_ms` of sound. False when the stream floods."""
        elapsed = now - self._at
        self._at = now
        self._audio_ms = max(0.0, self._audio_ms - elapsed * 1000 * AUDIO_RATE) + audio_ms
        self._messages = max(0.0, self._messages - elapsed * MESSAGES_PER_S) + 1
        return self._audio_ms <= HELD_S * 1000 and self._messages <= HELD_S * MESSAGES_PER_S
