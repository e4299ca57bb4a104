"""Tools that aren't run before the caller has agreed: code decides that, not the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agent.heard import words_heard
from agent.tools.tool import Arguments, Tool

Messages = Sequence[Any]  # of a context


@dataclass(frozen=True)
class Asked:
    """What the caller was asked whether to do, after so many turns of theirs.

    `counts`: so many words of the question must be heard for them to know what it asks.
    """

    name: str
    arguments: Arguments
    turns: int
    question: str
    counts: int


class Confirmation:
    """One call's. Only the turn of a caller who has heard the question agrees, and only if it says nothing
    else: the next one, or the one behind turns that asked to hear it again.

    What was said is read off the context, so that a turn which is taken back and goes on counts as a whole.
    """

    def __init__(self, agrees: Callable[[str], bool], asks_again: Callable[[str], bool]) -> None:
        """Whether somebody who says this, and only this, agrees, or asks to hear it again."""
        self._agrees, self._asks_again = agrees, asks_again
        self._asked: Asked | None = None

    def ask(self, tool: Tool, arguments: Arguments, messages: Messages) -> str:
        """The caller is asked now what this returns; what they were asked before doesn't hold any more."""
        question, counts = tool.asks(arguments)
        self._asked = Asked(tool.name, dict(arguments), len(_caller_turns(messages)), question, counts)
        return question

    def agreed(self, messages: Messages) -> Asked | None:
        """What the caller's last words allow to be done."""
        asked, turns = self._asked, _caller_turns(messages)
        if asked is None or len(turns) <= asked.turns or not self._agrees(turns[-1]):
            return None
        if not all(map(self._asks_again, turns[asked.turns : -1])):
            return None
        return asked if words_heard(asked.question, _heard(messages)) >= asked.counts else None

    def take(self, name: str, arguments: Arguments, messages: Messages) -> bool:
        """Whether the caller has agreed to just this, which then is done only once."""
        asked = self.agreed(messages)
        if asked is None or (asked.name, asked.arguments) != (name, dict(arguments)):
            return False
        self._asked = None
        return True


def _heard(messages: Messages) -> str:
    """What the caller heard of the agent before their last turn."""
    heard: list[str] = []
    for one in reversed(messages[:-1]):
        role = one.get("role") if isinstance(one, dict) else None
        if role == "user":
            break
        if role == "assistant":
            heard.insert(0, str(one.get("content") or ""))
    return " ".join(heard)


def _caller_turns(messages: Messages) -> list[str]:
    return [str(one["content"]) for one in messages if isinstance(one, dict) and one.get("role") == "user"]
