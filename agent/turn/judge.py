"""How long to wait after a caller's words: the endpointing policy, asked about a live utterance."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.turn import words
from agent.turn.endpointing import Endpointer, Expects, Heard, Verdict, expects

if TYPE_CHECKING:
    from agent.answering import Answering
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

    def decide(
        self, utterance: Utterance, heard: Transcript, completeness: float | None, now: float
    ) -> Verdict:
        """How long to wait after these words."""
        verdict = self._endpointer.decide(
            Heard(
                silence_ms=utterance.silence_ms(now),
                speech_ms=utterance.speech_ms(now),
                completeness=completeness,
                transcript=heard.text,
                word_logprob=heard.word_logprob,
                language=self._answering.language,
                expects=self.expects,
                interrupts=utterance.interrupts,
            )
        )
        if self.says_goodbye(utterance.whole(heard.text)):
            return replace(verdict, wait_ms=max(GOODBYE_MS, verdict.wait_ms))
        return verdict
