"""How long to wait after a caller's words: the endpointing policy, asked about a live utterance."""

from __future__ import annotations

import asyncio

from agent.answering import Answering
from agent.turn.endpointing import Endpointer, Expects, Heard, Verdict, expects
from agent.turn.patience import Patience
from agent.turn.utterance import Utterance
from config.persona import Persona
from models.whisper import Transcript


class Judge:
    """One call's."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self.patience = Patience()
        self.expects = Expects.ANYTHING
        self._become(answering.persona)
        answering.on_change(self._become)

    def _become(self, persona: Persona) -> None:
        self.endpointer = Endpointer(self._answering.turn, goodbyes=persona.goodbye_words)

    def agent_said(self, text: str) -> None:
        """What the caller answers now."""
        self.expects = expects(text, self._answering.language)

    def says_goodbye(self, text: str) -> bool:
        return self.endpointer.says_goodbye(text)

    def decide(self, utterance: Utterance, heard: Transcript, complete: float | None) -> Verdict:
        """How long to wait after these words."""
        now = asyncio.get_running_loop().time()
        return self.endpointer.decide(
            Heard(
                silence_ms=utterance.silence_ms(now),
                finished=heard.finished,
                completeness=complete,
                transcript=heard.text,
                word_logprob=heard.word_logprob,
                language=self._answering.language,
                expects=self.expects,
                interrupts=utterance.interrupts,
            ),
            self.patience,
        )
