"""How long to wait after a caller's words: the endpointing policy, asked about a live utterance."""

from __future__ import annotations

import asyncio

from agent.answering import Answering
from agent.turn import words
from agent.turn.endpointing import Endpointer, Expects, Heard, Verdict, expects
from agent.turn.utterance import Utterance
from models.whisper import Transcript

GOODBYE_MS = 700  # there is no way back from it, and "how ..." may sound like "bye"


class Judge:
    """One call's."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        turn = answering.turn
        self._endpointer = Endpointer(min_silence_ms=turn.min_silence_ms, max_silence_ms=turn.max_silence_ms)
        self.expects = Expects.ANYTHING

    @property
    def knows_sentences(self) -> bool:
        """Whether the completeness of this language's sentences can be relied on."""
        return self._answering.lexicon.completes

    def agent_said(self, text: str) -> None:
        """What the caller answers now."""
        self.expects = expects(text, self._answering.language)

    def says_goodbye(self, text: str) -> bool:
        return words.is_one_of(text, self._answering.persona.goodbye_words)

    def wait_ms(self, verdict: Verdict, text: str) -> float:
        """The silence after which to answer `text`, once all signals are in."""
        return max(GOODBYE_MS, verdict.wait_ms) if self.says_goodbye(text) else verdict.wait_ms

    def decide(
        self, utterance: Utterance, heard: Transcript, complete: float | None, acoustic: float | None = None
    ) -> Verdict:
        """How long to wait after these words."""
        now = asyncio.get_running_loop().time()
        return self._endpointer.decide(
            Heard(
                silence_ms=utterance.silence_ms(now),
                speech_ms=utterance.speech_ms(now),
                acoustic=acoustic,
                completeness=complete,
                transcript=heard.text,
                word_logprob=heard.word_logprob,
                language=self._answering.language,
                expects=self.expects,
                interrupts=utterance.interrupts,
            )
        )
