"""One message, as the caller speaks it."""

from __future__ import annotations

import asyncio

from agent.sound.activity import CHUNK_S, VOICED
from config.voicemail import VoicemailSettings
from models.pool import ModelPool
from transports.playout import SAMPLE_RATE_HZ

FIRST_WORD_S = 10.0  # who has said nothing by then has no message
SHORTEST_S = 0.5  # of voice
_BYTES_PER_S = 2 * SAMPLE_RATE_HZ


class SpokenMessage:
    """Takes sound until a silence, a key or the longest message; `over` is set then."""

    def __init__(self, settings: VoicemailSettings, pool: ModelPool) -> None:
        self._settings = settings
        self._activity = pool.vad.voice_activity()
        self._pcm = bytearray()
        self._voiced_s = 0.0
        self._voice_at_s = 0.0  # where the last voice was
        self.over = asyncio.Event()

    def hear(self, pcm: bytes) -> None:
        """Take s16le mono PCM at 16 kHz."""
        if self.over.is_set():
            return
        self._pcm += pcm
        now_s = len(self._pcm) / _BYTES_PER_S
        for probability in self._activity.process(pcm):
            if probability >= VOICED:
                self._voiced_s += CHUNK_S
                self._voice_at_s = now_s
        silence_s = self._settings.silence_s if self._voiced_s else FIRST_WORD_S
        if now_s - self._voice_at_s >= silence_s or now_s >= self._settings.longest_s:
            self.over.set()

    def press(self, key: str) -> None:
        """A key: # is the end."""
        if key == "#":
            self.over.set()

    @property
    def pcm(self) -> bytes | None:
        """What was said, without the silence behind it; None where nobody spoke."""
        if self._voiced_s < SHORTEST_S:
            return None
        end = round((self._voice_at_s + 0.5) * SAMPLE_RATE_HZ) * 2
        return bytes(self._pcm[:end])
