"""What the caller is about to hear.

The pipeline writes speech; the wire pulls packets. Everything that makes barge-in feel right happens
between the two: fading, holding, going on from the last word, and knowing which word that was.
No I/O, no clock: the wire's pulling is the clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from transports.sent import Sent

SAMPLE_RATE_HZ = 16_000
FADE_MS = 8
_FADE_SAMPLES = SAMPLE_RATE_HZ * FADE_MS // 1000
_HISTORY = 2 * SAMPLE_RATE_HZ

Samples = NDArray[np.int16]
# A voice over the agent, a peer that holds the call, an operator who mutes the agent.
Holder = Literal["voice", "peer", "operator"]


class _Mark(NamedTuple):
    end: int
    word: bool
    kept: bool
    reached: Callable[[], None]


class Playout:
    """A queue of s16le mono PCM at 16 kHz with a position, a hold and a fade.

    Positions are samples of speech since the call began, counted as the wire pulls them; silence
    that fills a gap doesn't count.

    Its hooks, all optional and called on the spot: `on_pulled` after each pull, `on_sounding` when a
    pull returns speech after silence. A wire that buffers ahead sets two more: `on_cut`, called when
    `hold` or `interrupt` wants silence at once, to take back with `unpull` what it hasn't sent before
    the fade is pulled; and `unsent`, which tells how many samples of speech that would be. It then
    calls `settle` as its buffer empties.

    `sent` is for the echo guard. What is pulled goes there, unless the wire, not `records`, puts it there
    itself when it knows the place.
    """

    def __init__(self, *, records: bool = True) -> None:
        self.sent = Sent()
        self._records = records
        self._queue: deque[Samples] = deque()
        self._queued = 0  # samples in _queue
        self.position = 0
        self._marks: deque[_Mark] = deque()
        self._history: deque[Samples] = deque()  # speech already pulled, to go back into
        self._remembered = 0  # samples in it
        self._holds: set[Holder] = set()
        self._fade_out = False
        self._fade_in = False
        self._last_word = 0
        self._sounding = False
        self.closed = False  # nobody pulls any more
        self.on_pulled: Callable[[], None] | None = None
        self.on_sounding: Callable[[], None] | None = None
        self.on_cut: Callable[[], None] | None = None
        self.unsent: Callable[[], int] = lambda: 0

    @property
    def queued_ms(self) -> float:
        """Speech waiting to be pulled, in milliseconds."""
        return self._queued * 1000 / SAMPLE_RATE_HZ

    @property
    def speaking(self) -> bool:
        """Whether a pull would return speech now."""
        return self._queued > 0 and not self._holds

    @property
    def held(self) -> bool:
        return bool(self._holds)

    def write(self, pcm: bytes) -> None:
        """Queue speech: s16le mono PCM at 16 kHz."""
        if pcm and not self.closed:
            samples = np.frombuffer(pcm, np.int16)
            self._queue.append(samples)
            self._queued += len(samples)

    def mark(self, reached: Callable[[], None], *, word: bool = False, kept: bool = False) -> None:
        """Call `reached` once all speech written so far has been pulled, and sent.

        A mark with `word` set is where `resume` goes back to. Marks that an interruption overtakes
        are dropped, unless they are to be `kept`: those it reaches.
        """
        self._marks.append(_Mark(self.position + self._queued, word, kept, reached))
        self.settle()

    def pull(self, samples: int) -> bytes:
        """The next `samples` for the wire, silence where there is no speech.

        Returns s16le mono PCM, exactly `samples` long.
        """
        out = np.zeros(samples, np.int16)
        if self._fade_out:
            self._fade_out = False
            faded = self._take(min(_FADE_SAMPLES, samples))
            ramp = np.linspace(1.0, 0.0, len(faded), dtype=np.float32)
            out[: len(faded)] = (faded * ramp).astype(np.int16)
        elif self.speaking:
            if not self._sounding:
                self._sounding = True
                if self.on_sounding:
                    self.on_sounding()
            speech = self._take(samples)
            if self._fade_in:
                self._fade_in = False
                n = min(_FADE_SAMPLES, len(speech))
                speech = speech.copy()
                speech[:n] = (speech[:n] * np.linspace(0.0, 1.0, n, dtype=np.float32)).astype(np.int16)
            out[: len(speech)] = speech
        if not self.speaking:
            # Here rather than at the next pull: a wire that is silent by itself doesn't pull silence.
            self._sounding = False
        if self._records:
            self.sent.append(out)
        self.settle()
        if self.on_pulled:
            self.on_pulled()
        return out.tobytes()

    def unpull(self, samples: int) -> None:
        """Give back the last `samples` of speech pulled: the wire dropped them before sending."""
        self._go_back(samples)
        if self._records:
            self.sent.take_back(samples)

    def hold(self, by: Holder = "voice") -> None:
        """Fall silent with a fade, and keep what is left to say, until whoever holds has it resumed."""
        if not self._holds:
            if self.on_cut:
                self.on_cut()
            self._fade_out = self._queued > 0
        self._holds.add(by)

    def resume(self, by: Holder = "voice") -> None:
        """Go on after `hold`, if nobody else holds, from the end of the last word that was heard whole."""
        if by not in self._holds:
            return
        self._holds.discard(by)
        if self._holds:
            return
        self._fade_out = False
        self._go_back(max(0, self.position - self._last_word))
        self._fade_in = True

    def interrupt(self) -> None:
        """Fall silent with a fade, and forget what is left to say; marks that are kept are reached."""
        if self.on_cut and not self._holds:
            self.on_cut()
        fade = self._take_quietly(_FADE_SAMPLES) if self.speaking or self._fade_out else None
        self._queue.clear()
        self._queued = 0
        kept = [mark for mark in self._marks if mark.kept]
        self._marks.clear()
        self._holds.discard("voice")
        self._fade_in = False
        if fade is not None and len(fade):
            self._queue.append(fade)
            self._queued = len(fade)
            self._fade_out = True
        self._last_word = self.position + self._queued  # there is no going back behind it
        for mark in kept:
            mark.reached()

    def close(self) -> None:
        """Nobody pulls any more: forget what is queued, and take nothing new."""
        self.closed = True
        self._holds.clear()
        self._fade_out = False
        self._queue.clear()
        self._queued = 0
        self._marks.clear()
        if self.on_pulled:
            self.on_pulled()

    def _go_back(self, samples: int) -> None:
        left = min(samples, self._remembered)
        self._remembered -= left
        self._queued += left
        self.position -= left
        while left > 0:
            last = self._history.pop()
            if len(last) > left:
                self._history.append(last[:-left])
                last = last[-left:]
            self._queue.appendleft(last)
            left -= len(last)

    def _take(self, samples: int) -> Samples:
        taken = self._take_quietly(samples)
        self.position += len(taken)
        self._history.append(taken)
        self._remembered += len(taken)
        while self._remembered - len(self._history[0]) >= _HISTORY:
            self._remembered -= len(self._history.popleft())
        return taken

    def _take_quietly(self, samples: int) -> Samples:
        parts: list[Samples] = []
        while samples > 0 and self._queue:
            head = self._queue.popleft()
            if len(head) > samples:
                self._queue.appendleft(head[samples:])
                head = head[:samples]
            parts.append(head)
            samples -= len(head)
            self._queued -= len(head)
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)

    def settle(self) -> None:
        """Pass the marks before what is sent by now."""
        if not self._marks:
            return
        sent = self.position - self.unsent()
        while self._marks and self._marks[0].end <= sent:
            mark = self._marks.popleft()
            if mark.word:
                self._last_word = mark.end
            mark.reached()
