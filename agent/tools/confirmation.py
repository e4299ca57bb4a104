"""Tools that aren't run before the caller has agreed: code decides that, not the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agent.tools.tool import Arguments

Messages = Sequence[Any]  # of a context


@dataclass(frozen=True)
class Asked:
    """What the caller was asked whether to do, after so many turns of theirs."""

    name: str
    arguments: Arguments
    turns: int


class Confirmation:
    """One call's. Only the caller's next turn agrees, and only if it says nothing else.

    What was said is read off the context, so that a turn which is taken back and goes on counts as a whole.
    """

    def __init__(self, agrees: Callable[[str], bool]) -> None:
        """`agrees`: whether somebody who says this, and only this, agrees."""
        self._agrees = agrees
        self._asked: Asked | None = None

    def ask(self, name: str, arguments: Arguments, messages: Messages) -> None:
        """The caller is asked now; what they were asked before doesn't hold any more."""
        self._asked = Asked(name, dict(arguments), len(_caller_turns(messages)))

    def agreed(self, messages: Messages) -> Asked | None:
        """What the caller's last words allow to be done."""
        asked, turns = self._asked, _caller_turns(messages)
        if asked is None or len(turns) != asked.turns + 1 or not self._agrees(turns[-1]):
            return None
        return asked

    def take(self, name: str, arguments: Arguments, messages: Messages) -> bool:
        """Whether the caller has agreed to just this, which then is done only once."""
        asked = self.agreed(messages)
        if asked is None or (asked.name, asked.arguments) != (name, dict(arguments)):
            return False
        self._asked = None
        return True


def _caller_turns(messages: Messages) -> list[str]:
    return [str(one["content"]) for one in messages if isinstance(one, dict) and one.get("role") == "user"]
