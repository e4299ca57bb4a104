"""The answer that is made before the caller's turn is surely over."""

from __future__ import annotations

from collections.abc import Sequence

from agent.turn import words
from agent.turn.commands import Command, Do, Speculate


class Speculation:
    """One call's. The turn machine begins, withdraws and confirms it; models and voice ask what it is."""

    def __init__(self) -> None:
        self.text = ""  # what is being answered; "" while nothing is
        self._withdrawn: set[str] = set()  # in this turn

    def new_turn(self) -> None:
        self._withdrawn.clear()

    def is_about(self, text: str) -> bool:
        """Whether `text` is being answered, full stops aside."""
        return bool(self.text) and words.split(text) == words.split(self.text)

    def begin(self, text: str, *, ahead: bool = False) -> Sequence[Command]:
        if self.is_about(text):
            return ()
        withdrawn = self.withdraw()
        self.text = text
        self._withdrawn.discard(text)
        return (*withdrawn, Speculate(text, ahead))

    def withdraw(self) -> Sequence[Command]:
        if not self.text:
            return ()
        self._withdrawn.add(self.text)
        self.text = ""
        return (Do.WITHDRAW,)

    def confirm(self) -> None:
        """It was all that the caller said: no speculation any more."""
        self.text = ""

    def is_wanted(self, text: str) -> bool:
        """Whether an answer to `text` that is still to be begun hasn't been withdrawn.

        Pipecat's withdrawal is a system frame, which overtakes the frame that has just asked for it.
        """
        return text not in self._withdrawn
