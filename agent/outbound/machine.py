"""Whether a person has answered, or a machine. A policy: no I/O, no clock.

Pipecat's VoicemailDetector asks a language model for every piece of the transcript and decides when the
greeting is over: of a long one too late, and it knows no beeps. A person says little and waits; a machine
goes on. What is said decides where the time doesn't yet, and a beep decides for good; but not one of a
network's own tones before anybody has spoken, as where the call is passed on and rings, or is busy.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from agent.outbound import phrases

DECIDED_S = 3.9  # from the answer on
LAST_WORDS_S = 3.4  # what is said until then can still be understood
SHORT_S, SHORT_PAUSE_S = 1.6, 0.65  # who says so little, and then nothing, waits
GREETING_S, GREETING_PAUSE_S = 3.3, 0.9  # "Acme, how can I help you?"
LONG_S = 2.4  # of speech by DECIDED_S: no person greets so
PATIENCE_S = 4.0  # with a person who goes on
SILENT_S = 3.0  # behind a greeting: there will be no beep
AFTER_BEEP_S = 0.25
LONGEST_GREETING_S = 60.0
NETWORK_HZ = 630.0  # ringing and busy tones are lower: 350 to 480 Hz, and North America's 620
RINGS_AGAIN_S = 7.0  # at most, from the end of a ring to the end of the next
LONGEST_RINGING_S = 60.0

_WORDS_AT_S = (1.4, 2.3, 3.1)  # of speech without a pause


class Verdict(Enum):
    HUMAN = "human"
    MACHINE = "machine"
    UNKNOWN = "unknown"  # nothing was said


class AnsweringMachine:
    """One call's. Times are seconds from the answer on."""

    def __init__(self) -> None:
        self.verdict: Verdict | None = None
        self._answered = 0.0  # behind the last ring
        self._spoken_s = 0.0  # in all
        self._began: float | None = None  # when the first speech did
        self._spoke = 0.0  # when it was heard last
        self._text = ""
        self._asked = 0.0  # how much speech the words were asked for
        self._pause_asked = True
        self._last_asked = False
        self._beep: float | None = None  # when it ended

    def heard(self, seconds: float, speaks: bool, now: float) -> None:
        """So many seconds of sound, up to `now`, in which somebody speaks or not."""
        if speaks:
            self._began = now - seconds if self._began is None else self._began
            self._spoken_s += seconds
            self._spoke, self._pause_asked = now, False
        self._decide(now)

    def wants_words(self, now: float) -> bool:
        """Whether to listen now to what was said; asked after each `heard`, and True once for each reason."""
        if self.verdict or self._began is None:
            return False
        due = [at for at in _WORDS_AT_S if self._asked < at <= self._spoken_s]
        if due:
            self._asked = due[-1]
            return True
        if not self._last_asked and now - self._answered >= LAST_WORDS_S:
            self._last_asked = True
            return True
        if not self._pause_asked and now - self._spoke >= 0.3:
            self._pause_asked = True
            return True
        return False

    def said(self, text: str, now: float) -> None:
        """What has been said so far, as it is understood."""
        self._text = text
        self._decide(now)

    def beeped(self, hz: Sequence[float], now: float) -> None:
        """A beep of one or two tones has ended."""
        if self._began is None and max(hz) <= NETWORK_HZ:
            if now < LONGEST_RINGING_S:
                self._answered = now
            return
        self._beep = now
        self.verdict = Verdict.MACHINE

    def awaits_us(self, now: float) -> bool:
        """Whether a person has answered, and has said what they wanted to."""
        waits = now - self._spoke >= SHORT_PAUSE_S or now - self._answered >= DECIDED_S + PATIENCE_S
        return self.verdict in (Verdict.HUMAN, Verdict.UNKNOWN) and waits

    def may_leave_message(self, now: float) -> bool:
        """Whether the greeting is over, as far as can be told."""
        if self.verdict is not Verdict.MACHINE:
            return False
        if self._beep is not None and self._beep >= self._spoke - AFTER_BEEP_S:
            return now - self._beep >= AFTER_BEEP_S
        return now - self._spoke >= SILENT_S or now >= LONGEST_GREETING_S

    def _decide(self, now: float) -> None:
        if self.verdict:
            return
        if self._began is None:
            if now - self._answered >= (RINGS_AGAIN_S if self._answered else DECIDED_S):
                self.verdict = Verdict.UNKNOWN
            return
        asks = phrases.HUMAN.search(self._text)
        if not asks and phrases.MACHINE.search(self._text):
            self.verdict = Verdict.MACHINE
            return
        lasted, pause = self._spoke - self._began, now - self._spoke
        if (lasted <= SHORT_S and pause >= SHORT_PAUSE_S) or (
            lasted <= GREETING_S and pause >= GREETING_PAUSE_S
        ):
            self.verdict = Verdict.HUMAN
        elif now - self._answered >= DECIDED_S:
            goes_on = pause < SHORT_PAUSE_S and self._spoken_s >= LONG_S
            lives = asks or phrases.TIME_OF_DAY.search(self._text)
            self.verdict = Verdict.MACHINE if goes_on and not lives else Verdict.HUMAN
