"""The caller's side of the line: the agent's echo is taken out, the level evened, and speech looked for."""

from __future__ import annotations

from agent.turn.activity import Leveler, SpeechActivity, VoiceEvent
from agent.turn.echo import EchoGuard
from models.pool import ModelPool
from transports.playout import Playout


class CallerVoice:
    """One call's. Feed it each frame that comes."""

    def __init__(self, pool: ModelPool, playout: Playout, *, echo_guard: bool) -> None:
        self._playout = playout
        self._echo = EchoGuard() if echo_guard else None
        self._leveler = Leveler()
        self._silero = pool.vad.voice_activity()
        self._activity = SpeechActivity()

    @property
    def echo(self) -> float:
        """How probable it is that what is heard is the agent, coming back."""
        return self._echo.probability if self._echo else 0.0

    @property
    def hushed(self) -> int:
        """How many of the latest frames were far below the voice."""
        return self._leveler.hushed

    @property
    def sounds(self) -> bool:
        """Whether the line is about as loud as the voice, though Silero may not take it for one."""
        return not self._leveler.hushed and not self._leveler.background

    def process(self, pcm: bytes, now: float) -> tuple[bytes, list[VoiceEvent]]:
        """`pcm`, s16le mono at 16 kHz in whole 10 ms, without the echo; and what it changes."""
        if self._echo and (self._playout.speaking or self._echo.tail(now)):
            pcm = self._echo.process(pcm, self._playout, now)
        probabilities = self._silero.process(self._leveler.process(pcm), background=self._leveler.background)
        events = [self._activity.process(probability, now) for probability in probabilities]
        return pcm, [event for event in events if event]

    def begin(self) -> None:
        """A turn begins."""
        self._silero.in_speech = True

    def end(self) -> None:
        """The turn is over: the next voice begins another."""
        self._silero.in_speech = False
        self._activity.reset()
