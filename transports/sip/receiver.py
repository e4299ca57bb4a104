"""From the SIP stack to a call's pipeline: 16 kHz mono that never stops, whatever the wire does."""

from __future__ import annotations

import numpy as np
from baresip.audio import CallAudio
from baresip.errors import AudioNotActive, AudioRestarted

from transports.playout import SAMPLE_RATE_HZ
from transports.resampler import Resampler

# A gap longer than jitter explains: the peer sends nothing (hold, a muted sender, loss).
STARVED_S = 0.200
# A tick that comes later than this doesn't make up for all it missed.
MAX_FILL_S = 0.5
_READ_S = 0.5


class Receiver:
    """One call's audio in. Fills gaps with silence, so that the listener's clock goes on."""

    def __init__(self, audio: CallAudio, now: float) -> None:
        self._audio = audio
        self._rate_hz = 0
        self._channels = 1
        self._resampler = Resampler(SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)
        self._read_bytes = 0
        self.heard_at = now
        self._filled_to: float | None = None

    def read(self, now: float) -> bytes:
        """What has arrived since the last call: s16le mono PCM at 16 kHz."""
        pcm = self._take()
        if pcm:
            self.heard_at = now
            self._filled_to = None
            samples = np.frombuffer(pcm, np.int16)
            if self._channels > 1:
                samples = samples.reshape(-1, self._channels).mean(axis=1).astype(np.int16)
            return self._resampler.process(samples).tobytes()
        if now - self.heard_at < STARVED_S:
            return b""
        since = self._filled_to if self._filled_to is not None else self.heard_at
        missing = int(min(now - since, MAX_FILL_S) * SAMPLE_RATE_HZ)
        self._filled_to = now
        return bytes(2 * missing)

    def _take(self) -> bytes:
        try:
            if not self._rate_hz:
                self._bind()
            return self._audio.read(self._read_bytes) if self._rate_hz else b""
        except AudioRestarted:
            self._rate_hz = 0
            return b""
        except AudioNotActive:
            return b""

    def _bind(self) -> None:
        info = self._audio.info()
        if info.rx_ready and info.rx_sample_rate:
            self._rate_hz, self._channels = info.rx_sample_rate, info.rx_channels
            self._resampler = Resampler(self._rate_hz, SAMPLE_RATE_HZ)
            self._read_bytes = int(self._rate_hz * self._channels * 2 * _READ_S)
