"""All tools that there are, by their names, and running one."""

from __future__ import annotations

import asyncio
import difflib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, Self

from pydantic_core import PydanticSerializationError, from_json, to_json

from agent.tools.builtin import BUILTIN, builtin_tools
from agent.tools.functions import Module, load_functions
from agent.tools.http import HttpTools
from agent.tools.mcp import McpServers
from agent.tools.tool import (
    BUILT_IN,
    WRONG,
    Arguments,
    CallFacts,
    Done,
    Outcome,
    Tool,
    ToolFailed,
    WrongArguments,
)
from config.errors import ConfigError
from config.persona import Persona
from config.tools import ToolSettings
from models.pool import ComponentHealth

CUT = " [cut off]"

logger = logging.getLogger("offhook.tools")


class Toolbox:
    """`tools` as they are offered to a model, or called by code."""

    def __init__(
        self,
        tools: Iterable[Tool] = (),
        *,
        functions: Mapping[Path, Module] | None = None,
        http: HttpTools | None = None,
        mcp: McpServers | None = None,
        result_characters: int = 2000,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        """What comes back is cut to so many characters; by `now` is read what callers say of days and times.

        Raises ConfigError where two have the same name.
        """
        self._result_characters = result_characters
        self.now = now
        self.functions = functions or {}
        self.http = http
        self.mcp = mcp or McpServers({})
        self._tools: dict[str, Tool] = {}
        written = (tool for module in self.functions.values() for tool in module.tools)
        for tool in chain(tools, written, http.tools() if http else ()):
            self.add(tool)

    def add(self, tool: Tool) -> None:
        """Raises ConfigError where its name is taken."""
        other = self._tools.get(tool.name)
        taken = other.source if other else BUILT_IN if tool.name in BUILTIN else tool.source
        if other or taken != tool.source:
            raise ConfigError(f"{taken} and {tool.source} both have a tool {tool.name}; rename one.")
        self._tools[tool.name] = tool

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.tool(name) is not None

    @property
    def names(self) -> Sequence[str]:
        return [tool.name for tool in self.tools]

    @property
    def tools(self) -> Sequence[Tool]:
        """Those of MCP servers as they are known by now."""
        far = (tool for tool in self.mcp.tools if tool.name not in {*self._tools, *BUILTIN})
        return [*self._tools.values(), *far]

    def tool(self, name: str) -> Tool | None:
        return self._tools.get(name) or next((tool for tool in self.tools if tool.name == name), None)

    def of(self, persona: Persona) -> Toolbox:
        """The persona's: those that it names, and those that every call has."""
        own = (self.tool(name) for name in persona.tools)
        return Toolbox(
            [*builtin_tools(persona), *(tool for tool in own if tool)],
            result_characters=self._result_characters,
            now=self.now,
        )

    def require(self, personas: Iterable[Persona]) -> None:
        """Raises ConfigError where one names a tool that isn't there, or whose question it can't ask."""
        known = sorted({*self.names, *BUILTIN})
        for persona in personas:
            for name in _named(persona):
                if name not in known and not self.mcp.may_have(name):
                    near = difflib.get_close_matches(name, known, n=1)
                    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
                    raise ConfigError(
                        f"The persona {persona.name} has the tool {name}, which isn't there; {hint}"
                    )
            consents, _ = persona.agreeing
            for name in () if consents else persona.tools:
                if self._asks_first(name):
                    raise ConfigError(
                        f"The tool {name} asks callers first, but no words of consent are known in "
                        f"'{persona.language}'; list some in the consents of the persona {persona.name}."
                    )

    def _asks_first(self, name: str) -> bool:
        tool = self.tool(name)
        return bool(tool.confirm) if tool else self.mcp.asks_first(name)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """MCP servers' tools are known after it, as far as those can be had; it raises nothing."""
        await self.mcp.start()

    def health(self, personas: Iterable[Persona]) -> list[ComponentHealth]:
        """Of MCP servers."""
        wanted = [name for persona in personas for name in _named(persona)]
        return self.mcp.health({*self._tools, *BUILTIN}, wanted)

    async def close(self) -> None:
        """No call uses them any more."""
        await self.mcp.close()
        if self.http:
            await self.http.close()

    async def call(self, name: str, arguments: Arguments, *, call: CallFacts) -> Outcome:
        """Run it within its time. What goes wrong is in the outcome, whose error is for the model."""
        clock = asyncio.get_running_loop().time
        began = clock()
        outcome = await self._outcome(name, arguments, call)
        return replace(outcome, seconds=clock() - began)

    async def _outcome(self, name: str, arguments: Arguments, call: CallFacts) -> Outcome:
        tool = self.tool(name)
        if tool is None:
            return Outcome(error=f"There is no tool {name[:60]}.")
        deadline = asyncio.timeout(tool.timeout_s)
        try:
            async with deadline:
                result = await tool.run(tool.check(arguments), call)
            answers = result.answers if isinstance(result, Done) else tool.answers
            told = {"status": result.status} if isinstance(result, Done) else result
            whole = from_json(to_json(told, inf_nan_mode="null"))
            return Outcome(self._cut(whole), whole=whole, answers=answers)
        except WrongArguments as error:
            return Outcome(error=f"{WRONG}{error}", wrong_arguments=True)
        except ToolFailed as error:
            return Outcome(error=str(error))
        except PydanticSerializationError:
            logger.exception("call %s: the tool %s returned what JSON can't hold", call.id, name)
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            logger.exception("call %s: what the tool %s waited for was cancelled", call.id, name)
        except (Exception, SystemExit):  # a user's code may raise anything
            if deadline.expired():
                return Outcome(error=f"It took longer than {tool.timeout_s:g} s, and was given up.")
            logger.exception("call %s: the tool %s failed", call.id, name)
        return Outcome(error="It failed.")

    def _cut(self, result: Any) -> Any:
        text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
        if len(text) <= self._result_characters:
            return result
        return text[: self._result_characters] + CUT


def _named(persona: Persona) -> Iterator[str]:
    yield from persona.tools
    if persona.flow:
        yield from persona.flow.acts


def toolbox(
    settings: ToolSettings, before: Toolbox | None = None, now: Callable[[], datetime] = datetime.now
) -> Toolbox:
    """All that the settings name; of one that was made `before`, MCP servers stay, and modules that haven't
    changed. Raises ConfigError.
    """
    functions = load_functions(settings.folder, before.functions if before else None)
    return Toolbox(
        functions=functions,
        http=HttpTools(settings, before.http if before else None),
        mcp=before.mcp if before else McpServers(settings.mcp),
        result_characters=settings.result_characters,
        now=now,
    )
