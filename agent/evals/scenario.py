"""What a scenario file says: callers' turns, and rules that the answers must keep."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from agent.dialogue import noted
from agent.evals.language import REFUSAL_LANGUAGES
from agent.evals.words import pattern
from agent.tools.tool import Tool
from config.errors import ConfigError
from config.files import read_yaml
from config.persona import MAX_FACTS, Fact
from config.primer import Text
from config.section import Section

MAX_TURNS = 50


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _compiles(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for one in patterns:
        try:
            pattern(one)
        except re.error as error:
            raise ValueError(f"'{one}' isn't a regular expression: {error}") from None
    return patterns


Names = Annotated[tuple[Text, ...], BeforeValidator(_listed)]
Facts = Annotated[tuple[Fact, ...], Field(max_length=MAX_FACTS)]
Patterns = Annotated[tuple[Text, ...], BeforeValidator(_listed), AfterValidator(_compiles)]


class ToolSpec(Section):
    """A tool that the agent is offered. Its calls are noted, and nothing is done."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    description: Text
    parameters: dict[str, Any] = Field({}, description="JSON Schema properties by name.")
    required: tuple[str, ...] | None = Field(None, description="All parameters by default.")
    result: Text | None = Field(
        None, description="What the tool tells the model, which then answers in words; nothing by default."
    )

    def tool(self) -> Tool:
        required = list(self.parameters) if self.required is None else list(self.required)
        schema = FunctionSchema(
            name=self.name, description=self.description, properties=self.parameters, required=required
        )
        return noted(schema, self.result)


class Rules(Section):
    """What an answer must keep, whatever it is about. A set's, a scenario's, or one turn's."""

    max_words: int | None = Field(None, ge=1, le=500)
    max_sentences: int | None = Field(None, ge=1, le=50)
    own_language: bool | None = None
    speakable: bool | None = None
    repeats: bool | None = Field(None, description="True where the previous answer may come again.")

    def over(self, other: Rules) -> Rules:
        """These, and where they say nothing, the other's."""
        own = {name: getattr(self, name) for name in Rules.model_fields}
        return Rules(**(other.model_dump() | {k: v for k, v in own.items() if v is not None}))


DEFAULTS = Rules(max_words=30, max_sentences=2, own_language=True, speakable=True, repeats=False)


class CallerTurn(Rules):
    """What the caller says and what the answer must be. Patterns are matched as `words.pattern` tells."""

    caller: Text
    says: Patterns = Field((), description="One of these stands in the answer.")
    says_all: Patterns = Field((), description="Each of these stands in the answer.")
    not_says: Patterns = Field((), description="None of these stands in the answer.")
    refuses: bool | None = Field(
        None, description="True: the agent says that it doesn't know or can't. False: it doesn't say so."
    )
    tool: Names = Field((), description="The tool that is called, or one of these; 'none' by default.")
    arguments: dict[str, Patterns] = Field({}, description="A pattern for each argument that matters.")

    @model_validator(mode="after")
    def _something_to_call(self) -> Self:
        if self.arguments and not set(self.tool) - {"none"}:
            raise ValueError("arguments are given, but no tool to call with them")
        return self


class Scenario(Rules):
    name: Text
    persona: Text | None = None
    facts: Facts | None = None
    tools: tuple[ToolSpec, ...] | None = None
    turns: tuple[CallerTurn, ...] = Field(min_length=1, max_length=MAX_TURNS)


class ScenarioSet(Rules):
    """One file."""

    name: Text
    language: str = Field("en", pattern=r"^[a-z]{2,3}$", description="ISO 639.")
    pass_: float = Field(1.0, ge=0, le=1, alias="pass", description="The share of turns that must be right.")
    persona: Text | None = Field(None, description="The language's own by default.")
    facts: Facts = ()
    tools: tuple[ToolSpec, ...] = ()
    scenarios: tuple[Scenario, ...] = Field(min_length=1)
    file: Path = Path()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [scenario.name for scenario in self.scenarios]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the scenario's name '{twice[0]}' is given twice")
        asks = [turn for scenario in self.scenarios for turn in scenario.turns if turn.refuses is not None]
        if asks and self.language not in REFUSAL_LANGUAGES:
            raise ValueError(
                f"refuses is known for {', '.join(sorted(REFUSAL_LANGUAGES))}, not for {self.language}"
            )
        for scenario in self.scenarios:
            known = {tool.name for tool in self.tools_of(scenario)} | {"none", "end_call"}
            for turn in scenario.turns:
                if unknown := sorted(set(turn.tool) - known):
                    raise ValueError(
                        f"the scenario '{scenario.name}' expects the tool {unknown[0]}, which isn't declared"
                    )
        return self

    def tools_of(self, scenario: Scenario) -> tuple[ToolSpec, ...]:
        return self.tools if scenario.tools is None else scenario.tools

    def facts_of(self, scenario: Scenario) -> tuple[str, ...]:
        return self.facts if scenario.facts is None else scenario.facts

    def rules_for(self, scenario: Scenario, turn: CallerTurn) -> Rules:
        return turn.over(scenario.over(self.over(DEFAULTS)))


def load_sets(folder: Path, only: Sequence[str] = ()) -> list[ScenarioSet]:
    """The folder's sets, or those scenarios whose `file/name` or whose file matches one of `only`.

    Raises ConfigError, with the file, the scenario and the key.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; offhook eval takes one that holds scenarios in *.yaml.")
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise ConfigError(f"{folder} holds no *.yaml.")
    sets = [one for path in files if (one := _chosen(load_set(path), only))]
    if not sets:
        raise ConfigError(f"No scenario matches --only {' '.join(only)}.")
    return sets


def load_set(path: Path) -> ScenarioSet:
    """Raises ConfigError."""
    content = read_yaml(path, "The scenario file")
    try:
        return ScenarioSet.model_validate({"name": path.stem} | content | {"file": path})
    except ValidationError as error:
        raise ConfigError(_sentence(error, content, path)) from None


def _chosen(found: ScenarioSet, only: Iterable[str]) -> ScenarioSet | None:
    globs = list(only)
    stem = found.file.stem
    if not globs or any(fnmatch.fnmatch(stem, glob) for glob in globs):
        return found
    kept = tuple(
        one for one in found.scenarios if any(fnmatch.fnmatch(f"{stem}/{one.name}", glob) for glob in globs)
    )
    return found.model_copy(update={"scenarios": kept}) if kept else None


def _sentence(error: ValidationError, content: dict[str, Any], path: Path) -> str:
    first = error.errors(include_url=False)[0]
    where, what = _place(first["loc"], content)
    here = f"{f'{what} in ' if what else ''}{where}the scenario file {path}"
    match first["type"]:
        case "missing":
            return f"{what} is missing in {where}the scenario file {path}; it must be given."
        case "extra_forbidden":
            return f"{here} is not a key; docs/evals.md has them all."
        case "value_error":
            return f"{here}: {first['ctx']['error']}."
        case _:
            return f"{here} can't be used: {first['msg'][0].lower()}{first['msg'][1:]}."


def _place(loc: tuple[int | str, ...], content: dict[str, Any]) -> tuple[str, str]:
    """Which scenario and turn an error is in, and the key."""
    where, rest = "", list(loc)
    if len(rest) >= 2 and rest[0] == "scenarios" and isinstance(rest[1], int):
        scenario = content["scenarios"][rest[1]]
        name = scenario.get("name") if isinstance(scenario, dict) else None
        where = f"the scenario '{name}' of " if name else f"scenario {rest[1] + 1} of "
        rest = rest[2:]
        if len(rest) >= 2 and rest[0] == "turns" and isinstance(rest[1], int):
            where = f"turn {rest[1] + 1} of {where}"
            rest = rest[2:]
    return where, ".".join(str(part) for part in rest)
