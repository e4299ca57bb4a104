"""Where a conversation stands in its flow, what happens to it, and what is to be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any, Literal

Waits = Literal["", "slot", "yes", "change", "act", "more"]
SECRET = "***"
SKIPPED = None  # the value of an optional slot that the caller leaves out


@dataclass(frozen=True)
class Said:
    """The flow's last words. `counts`: so many of them must be heard for the caller to know what they say."""

    text: str = ""
    counts: int = 0
    owed: str = ""  # of them, what tells what was done: said again if it wasn't heard


@dataclass(frozen=True)
class Result:
    """What came of an act. `key` tells which it was, and with what arguments."""

    key: str
    status: str
    values: Mapping[str, str] = field(default_factory=dict)
    offers: tuple[datetime, ...] = ()  # moments that it has the caller choose from, as they are said


@dataclass(frozen=True)
class State:
    """It never changes: each turn makes another, so that one that is taken back leaves nothing behind."""

    task: str = ""  # "" while none is under way
    base: str = ""  # the act behind which the walk begins, since it has been done; "" for the first step
    step: str = ""
    # For what from the caller ("more": for another task), or for an act; "" where a question wasn't heard.
    waits: Waits = ""
    asked: str = ""  # the slot that it waits for
    slots: Mapping[str, Any] = field(default_factory=dict)  # values, as `agent.slots` has them
    filled: tuple[str, ...] = ()  # their names, in the order in which they came
    confirmed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by step: what was agreed to
    results: Mapping[str, Result] = field(default_factory=dict)  # by step, the latest last
    told: frozenset[str] = frozenset()  # what is said once
    done: tuple[str, ...] = ()  # which acts have changed something in this conversation, in their order
    tries: int = 0
    asides: int = 0  # questions of the caller's since they last gave anything
    refused: int = 0  # so often what an act had refused came again
    partly: str = ""  # what was said of `asked`, and isn't all: "seven", of morning or evening
    said: Said = Said()


class Intent(Enum):
    """What a caller wants with a turn, besides giving values."""

    YES = auto()
    NO = auto()
    REPEAT = auto()
    BACK = auto()
    UNKNOWN = auto()  # they don't know
    LEAVE = auto()
    PERSON = auto()  # to talk to somebody
    QUESTION = auto()  # about something else: the model answers
    END = auto()  # to hang up


@dataclass(frozen=True)
class Reading:
    """What a turn means. `wrong`: by slot, what to say of a value that can't be."""

    intents: frozenset[Intent] = frozenset()
    values: Mapping[str, Any] = field(default_factory=dict)
    wrong: Mapping[str, str] = field(default_factory=dict)
    partly: str = ""
    named: tuple[str, ...] = ()  # slots that are mentioned
    task: str = ""  # that is asked for
    whom: str = ""  # they want to be put through to
    sure: bool = True  # false where a model may know more


@dataclass(frozen=True)
class Turn:
    """The caller has said something; `heard` is what they had heard of the agent before."""

    reading: Reading
    heard: str = ""


@dataclass(frozen=True)
class Acted:
    """The act that was awaited has ended."""

    result: Result


Event = Turn | Acted


@dataclass(frozen=True)
class Say:
    """`counts`: so many of its words must be heard; `owed` is what is said again if they weren't; `asks`: a
    question, and nothing that is told."""

    text: str
    counts: int = 0
    owed: str = ""
    asks: bool = False


@dataclass(frozen=True)
class Answer:
    """Let the model answer what the caller said."""


@dataclass(frozen=True)
class Call:
    """Call a tool. What has the same `key` is the same act, and done once; "" hands the call over.

    `secret` are the arguments that nobody else is shown.
    """

    tool: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    secret: frozenset[str] = frozenset()

    @property
    def shown(self) -> Mapping[str, str]:
        """The arguments, as anyone may see them."""
        return {name: SECRET if name in self.secret else value for name, value in self.arguments.items()}


Command = Say | Answer | Call
