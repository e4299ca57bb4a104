"""What the caller is saying, from the first sound to the end of the turn."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.whisper import Transcript
from transports.playout import SAMPLE_RATE_HZ

BYTES_PER_S = SAMPLE_RATE_HZ * 2
PREROLL_S = 0.3  # before the onset, so that a soft first consonant is heard
# The recognizer takes 30 s at most. A long turn is settled piece by piece, at pauses where there are any.
SETTLE_AFTER_S = 12.0
SPLIT_AFTER_S = 25.0


@dataclass
class Candidate:
    """The words of a turn that may be over, and the silence after which it is."""

    heard: Transcript
    audio_bytes: int
    wait_ms: float
    decided: bool = False  # all signals are in

    @property
    def text(self) -> str:
        return self.heard.text


@dataclass
class Utterance:
    """Times are seconds on the monotonic clock."""

    onset: float
    pcm: bytearray = field(default_factory=bytearray)
    settled: str = ""  # words of audio that `pcm` no longer holds
    paused_at: float | None = None  # where speech ended, while it does
    over: bool = False
    interrupts: bool = False  # it was begun over the agent
    opened: bool = False  # the conversation knows that the caller has the floor
    words: str | None = None  # heard so far; None until known
    logprob: float = 0.0  # how sure the recognizer is of them
    candidate: Candidate | None = None

    def speech_ms(self, now: float) -> float:
        return ((self.paused_at or now) - self.onset) * 1000

    def silence_ms(self, now: float) -> float:
        return 0.0 if self.paused_at is None else (now - self.paused_at) * 1000

    @property
    def goes_on(self) -> bool:
        """Whether the caller is speaking."""
        return self.paused_at is None and not self.over

    @property
    def audio_s(self) -> float:
        return len(self.pcm) / BYTES_PER_S

    def whole(self, text: str) -> str:
        return f"{self.settled} {text}".strip()

    def settle(self, text: str, audio_bytes: int) -> None:
        """Take `text` as what the first `audio_bytes` say, and let them go."""
        self.settled = self.whole(text)
        del self.pcm[:audio_bytes]
        self.candidate = None
