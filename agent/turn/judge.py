"""The endpointing policy, asked about a live utterance, and taught by what became of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.turn.endpointing import Endpointer, Expects, Heard, Verdict, expects
from agent.turn.patience import Patience

if TYPE_CHECKING:
    from agent.answering import Answering
    from agent.turn.utterance import Utterance
    from config.persona import Persona
    from models.transcript import Transcript


class Judge:
    """One call's."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self.patience = Patience()
        self.expects = Expects.ANYTHING  # what the caller answers
        self._become(answering.persona)
        answering.on_change(self._become)

    def _become(self, persona: Persona) -> None:
        self.endpointer = Endpointer(self._answering.turn, goodbyes=persona.goodbye_words)

    def agent_said(self, text: str) -> None:
        if text:
            self.expects = expects(text, self._answering.language)

    def foresee(
        self, utterance: Utterance, heard: Transcript, completeness: float | None, now: float
    ) -> Verdict:
        """The same of words that are followed by more sound, perhaps none of it speech.

        A voice that is cut off in a word sounds unfinished, whatever it has said.
        """
        return self.decide(utterance, replace(heard, finished=None), completeness, now)

    def decide(
        self, utterance: Utterance, heard: Transcript, completeness: float | None, now: float
    ) -> Verdict:
        """How long to wait after these words."""
        return self.endpointer.decide(
            Heard(
                silence_ms=utterance.silence_ms(now),
                finished=heard.finished,
                completeness=completeness,
                transcript=utterance.to_judge(heard.text),
                word_logprob=heard.word_logprob,
                language=self._answering.language,
                expects=self.expects,
                interrupts=utterance.interrupts,
            ),
            self.patience,
        )
