"""The caller's side of the line: the agent's echo is taken out, the level evened, and speech looked for."""

from __future__ import annotations

from agent.sound.activity import CallerLevel, Change, Leveler, SpeechActivity, VoiceEvent
from agent.sound.echo import EchoGuard
from models.pool import ModelPool
from transports.playout import Playout

FRAME_S = 0.020
WAY_S = 0.020  # from the socket to here
EARLIER_S, LATER_S = 0.1, 0.25  # by so much the level may correct Silero


class CallerVoice:
    """One call's. Feed it each frame that comes."""

    def __init__(self, pool: ModelPool, playout: Playout, *, echo_guard: bool) -> None:
        self._playout = playout
        self._echo = EchoGuard() if echo_guard else None
        self._leveler = Leveler()
        self._level = CallerLevel()
        self._silero = pool.vad.voice_activity()
        self._activity = SpeechActivity()
        self._ceased_at: float | None = None
        self.paused_at: float | None = None  # when the voice was last heard, while the caller pauses

    @property
    def echo(self) -> float:
        """How probable it is that what is heard is the agent, coming back."""
        return self._echo.probability if self._echo else 0.0

    @property
    def may_echo(self) -> bool:
        """Whether this line may return what the agent says: not where it has been seen not to."""
        return self._echo is not None and not self._echo.returns_nothing

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
        if self._echo:
            if self._playout.speaking or self._echo.tail(now):
                pcm = self._echo.process(pcm, self._playout.sent, now)
            else:
                self._echo.skip(pcm)
        foreign = self._level.is_far_below(pcm) and not self._silero.in_speech
        leveled = self._leveler.process(pcm, foreign=foreign)
        probabilities = self._silero.process(leveled, background=self._leveler.background)
        found = [self._activity.process(probability, now) for probability in probabilities]
        events = [event for event in found if event]
        for event in events:
            if event.change is Change.PAUSING:
                self._ceased_at = event.at
            elif event.change is not Change.PAUSED:
                self._ceased_at = None
        self.paused_at = None if self._ceased_at is None else self._speech_end(self._ceased_at, now)
        return pcm, events

    def begin(self) -> None:
        """A turn begins."""
        self._level.begin()
        self._silero.in_speech = True

    def turn_over(self) -> None:
        """What was heard was the caller: so loud they are."""
        self._level.turn_over()

    def end(self) -> None:
        """The turn is over: the next voice begins another."""
        self._silero.in_speech = False
        self._activity.reset()
        self._ceased_at = self.paused_at = None

    def _speech_end(self, ceased_at: float, now: float) -> float:
        """By the level where the line is quiet enough, near where Silero says that the voice ceased.

        Silero may hold a voice for over while its last syllable sounds, and hears some end late.
        """
        if not self._leveler.tells:
            return ceased_at
        end = now - self._leveler.silent * FRAME_S - WAY_S
        return min(max(end, ceased_at - EARLIER_S), ceased_at + LATER_S)
