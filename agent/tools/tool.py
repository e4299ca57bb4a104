"""What a tool is, wherever it comes from, and what comes of running one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema

from agent.heard import words_of

Arguments = Mapping[str, Any]
OnInterruption = Literal["cancel", "finish"]
TIMEOUT_S = 10.0
BUILT_IN = "built in"
WRONG = "The arguments are wrong: "  # begins what a model is told of those


class ToolFailed(Exception):
    """It couldn't be done; the message is a sentence that the model is told."""


class WrongArguments(Exception):
    """They don't fit the schema; the message says which and why."""


@dataclass(frozen=True)
class Done:
    """What came of a tool, as the model is told; whether it then has something to say of it."""

    status: str
    answers: bool = False


# Does something with the call itself, given a built-in tool's name and what the model made of its arguments.
Act = Callable[[str, Arguments], Awaitable[Done]]


@dataclass(frozen=True)
class CallFacts:
    """The call in which a tool is used. What isn't known is empty."""

    id: str = ""
    transport: str = ""
    direction: Literal["inbound", "outbound"] = "inbound"
    caller: str = ""
    caller_name: str = ""
    called: str = ""
    persona: str = ""
    language: str = ""  # BCP 47
    act: Act | None = field(default=None, repr=False, compare=False)  # what built-in tools do it with


@dataclass(frozen=True)
class Tool:
    """`run` is given arguments that `check` has passed, and returns what JSON can hold, or `Done`.

    `run` raises ToolFailed, `check` WrongArguments. `confirm` is what the caller is asked before, with
    arguments in braces; "" is nothing. `answers`: the model then has something to say. `source` tells
    operators where it is from. `likely`: by argument, what callers who are asked for it are likely to say,
    the likeliest first, so that a recognizer can be told; it raises ToolFailed.
    """

    schema: FunctionSchema
    run: Callable[[Arguments, CallFacts], Awaitable[Any]]
    check: Callable[[Arguments], Arguments] = dict
    timeout_s: float = TIMEOUT_S
    confirm: str = ""
    on_interruption: OnInterruption = "finish"
    answers: bool = True
    source: str = BUILT_IN
    likely: Mapping[str, Callable[[], Awaitable[Sequence[str]]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.schema.name)

    def asks(self, arguments: Arguments) -> tuple[str, int]:
        """What the caller is asked before it is run with these, and how many words of that tell what is done:
        up to the last argument, or all."""
        filled, told = _Filled(arguments), self.confirm[: self.confirm.rfind("}") + 1] or self.confirm
        return filled.put_into(self.confirm), len(words_of(filled.put_into(told)))


@dataclass(frozen=True)
class Outcome:
    """What came of a call: `result`, as JSON has it, or `error`, a sentence.

    A long `result` is cut to what a model may be told of it; `whole` is for code.
    """

    result: Any = None
    whole: Any = None
    error: str = ""
    seconds: float = 0.0
    answers: bool = True
    wrong_arguments: bool = False

    @property
    def told(self) -> Mapping[str, Any]:
        """What the model is told of it."""
        if self.error:
            return {"error": self.error}
        # Pipecat asks the model nothing about an empty one.
        return self.result if isinstance(self.result, dict) and self.result else {"result": self.result}


class _Filled(dict[str, Any]):
    """Leaves out what there is no argument for."""

    def __missing__(self, name: str) -> str:
        return ""

    def put_into(self, template: str) -> str:
        return " ".join(template.format_map(self).split())
