"""What a language model is shown before a conversation, where a persona doesn't say it itself."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, PlainValidator, StringConstraints, model_validator

from config.files import read_yaml
from config.flow import FlowPhrases
from config.phrases import Phrases
from config.section import Section

GENERAL_EXAMPLES = 4
FACTS_TOLD = 4
FOLDER = Path(__file__).parent / "primers"
MAX_CHARACTERS = 300

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_CHARACTERS)]


class Example(Section):
    """What a caller says, and what the agent answers or does."""

    caller: Line
    agent: Line | None = None
    tool: Text | None = Field(None, description="The tool that is used instead of an answer.")
    arguments: Mapping[str, str] = Field({}, description="What the tool is given.")
    unless: Text | None = Field(None, description="Left out for a persona that has this tool.")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.agent is None) == (self.tool is None):
            raise ValueError("must have either an agent, who answers, or a tool")
        if self.arguments and self.tool is None:
            raise ValueError("has arguments, but no tool that takes them")
        return self

    @property
    def turns(self) -> tuple[Mapping[str, str], ...]:
        """The exchange as a model reads it; nothing where a tool answers."""
        if self.agent is None:
            return ()
        return ({"role": "user", "content": self.caller}, {"role": "assistant", "content": self.agent})


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None


class Recalling(Section):
    """A caller's question that any fact answers in which `about` is found, in the words of `agent`."""

    caller: Line
    agent: Text = "{fact}"
    about: Annotated[re.Pattern[str], PlainValidator(_pattern)] = re.compile("")


class Lessons(Section):
    """One language's."""

    facts: Text  # stands before a persona's facts
    unknown: Text  # and behind them
    pages: Text  # instructs a model that is told with each question what pages say
    found: Text  # stands before what they say
    perhaps: Text  # and before what they say that may be about something else
    nothing: Text  # and in its place
    again: str = ""  # said where an answer was lost
    filler: str = ""  # said while one is awaited
    longer: str = ""  # and said when it still is
    consents: tuple[str, ...] = ()  # said to what the agent asks before it does something
    courtesies: tuple[str, ...] = ()  # said with those
    phrases: Phrases = Phrases()
    flow: FlowPhrases = FlowPhrases()
    examples: tuple[Example, ...] = ()  # for personas without
    recalling: tuple[Recalling, ...] = ()
    unknown_examples: tuple[Example, ...] = ()  # what isn't among anyone's facts

    def about(self, facts: Sequence[str]) -> tuple[Example, ...]:
        """Exchanges in which `facts` are told, and others in which what was asked isn't among them.

        Without the former a small model says it doesn't know, without the latter it invents.
        """
        left, told = list(facts), list[Example]()
        for asked in self.recalling:
            if fact := next((fact for fact in left if asked.about.search(fact)), None):
                left.remove(fact)
                told.append(Example(caller=asked.caller, agent=asked.agent.replace("{fact}", fact)))
        pairs = zip_longest(told[:FACTS_TOLD], self.unknown_examples)
        return tuple(example for pair in pairs for example in pair if example is not None)


@functools.cache
def lessons(language: str) -> Lessons:
    """For an ISO 639 code. A language without any gets English instructions and no examples."""
    path = FOLDER / f"{language}.yaml"
    if path.is_file():
        return Lessons.model_validate(read_yaml(path, "The primer"))
    english = lessons("en")
    return Lessons(
        facts=english.facts,
        unknown=english.unknown,
        pages=english.pages,
        found=english.found,
        perhaps=english.perhaps,
        nothing=english.nothing,
    )
