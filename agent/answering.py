"""Who answers a call now: one persona at a time, of those among which the caller's language decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.language import LanguagePolicy
from config.persona import Persona
from config.turn import TurnSettings
from models.transcript import LanguageChoice, Languages

Tell = Callable[[Persona], None]


class Answering:
    """One call's. Whoever hears, thinks or speaks for the agent asks here, or is told of a change.

    The first of `personas` greets; each speaks another language.
    """

    def __init__(self, personas: Sequence[Persona], turn: TurnSettings) -> None:
        self._personas = {persona.language_code: persona for persona in personas}
        self._settings = turn
        self._policy = LanguagePolicy(list(self._personas))
        self._told: list[Tell] = []
        self._answer(personas[0])

    def _answer(self, persona: Persona) -> None:
        self.persona = persona
        self.turn: TurnSettings = persona.turn.over(self._settings)

    @property
    def language(self) -> str:
        """Its ISO 639 code."""
        return self.persona.language_code

    @property
    def hears(self) -> str | LanguageChoice:
        """What the recognizer is to listen for, all through the call."""
        if len(self._personas) == 1:
            return self.language
        return lambda heard: self._policy.weigh(heard.probabilities, heard.audible_s)

    def on_change(self, tell: Tell) -> None:
        """Have `tell` called with the persona that answers from then on."""
        self._told.append(tell)

    def answers_in(self, language: str) -> bool:
        """Whether nobody else would answer what is said in `language`."""
        return language == self.language or language not in self._personas

    def become(self, language: str) -> None:
        """Let the persona of this language go on, if there is one."""
        if not self.answers_in(language):
            self._answer(self._personas[language])
            for tell in self._told:
                tell(self.persona)

    def hears_language(self, language: str) -> bool:
        """Whether the recognizer listens for it in this call."""
        return language in self._personas

    def hand_over(self, persona: Persona) -> None:
        """Let it go on, in the place of whoever speaks its language. The recognizer has to hear that."""
        self._personas[persona.language_code] = persona
        self._answer(persona)
        for tell in self._told:
            tell(self.persona)

    def turn_over(self, heard: Languages | None) -> None:
        """The caller has said this for good; None where it has no sound, or no other language is answered."""
        if heard:
            self._policy.turn_over(heard.probabilities, heard.audible_s)
