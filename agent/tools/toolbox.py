"""All tools that there are, by their names, and running one."""

from __future__ import annotations

import asyncio
import difflib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from agent.tools.builtin import BUILTIN, builtin_tools
from agent.tools.functions import load_functions
from agent.tools.http import HttpTools
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

CUT = " [cut off]"

logger = logging.getLogger("offhook.tools")


class Toolbox:
    """`tools` as they are offered to a model, or called by code."""

    def __init__(
        self, tools: Iterable[Tool] = (), *, http: HttpTools | None = None, result_characters: int = 2000
    ) -> None:
        """What comes back is cut to so many characters. Raises ConfigError where two have the same name."""
        self._result_characters = result_characters
        self._http = http
        self._tools: dict[str, Tool] = {}
        for tool in chain(tools, http.tools() if http else ()):
            self.add(tool)

    def add(self, tool: Tool) -> None:
        """Raises ConfigError where its name is taken."""
        other = self._tools.get(tool.name)
        taken = other.source if other else BUILT_IN if tool.name in BUILTIN else tool.source
        if other or taken != tool.source:
            raise ConfigError(f"{taken} and {tool.source} both have a tool {tool.name}; rename one.")
        self._tools[tool.name] = tool

    @property
    def names(self) -> Sequence[str]:
        return list(self._tools)

    @property
    def tools(self) -> Sequence[Tool]:
        return list(self._tools.values())

    def tool(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def of(self, persona: Persona) -> Toolbox:
        """The persona's: those that it names, and those that every call has."""
        own = (self.tool(name) for name in persona.tools)
        return Toolbox(
            [*builtin_tools(persona), *(tool for tool in own if tool)],
            result_characters=self._result_characters,
        )

    def require(self, personas: Iterable[Persona]) -> None:
        """Raises ConfigError where one names a tool that isn't there."""
        known = sorted({*self._tools, *BUILTIN})
        for persona in personas:
            for name in (*persona.tools, *(persona.flow.acts if persona.flow else ())):
                if name not in known:
                    near = difflib.get_close_matches(name, known, n=1)
                    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
                    raise ConfigError(
                        f"The persona {persona.name} has the tool {name}, which isn't there; {hint}"
                    )

    async def close(self) -> None:
        """No call uses them any more."""
        if self._http:
            await self._http.close()

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
        try:
            async with asyncio.timeout(tool.timeout_s):
                result = await tool.run(tool.check(arguments), call)
            if isinstance(result, Done):
                return Outcome({"status": result.status}, answers=result.answers)
            return Outcome(self._cut(to_jsonable_python(result)), answers=tool.answers)
        except WrongArguments as error:
            return Outcome(error=f"{WRONG}{error}", wrong_arguments=True)
        except ToolFailed as error:
            return Outcome(error=str(error))
        except TimeoutError:
            return Outcome(error=f"It took longer than {tool.timeout_s:g} s, and was given up.")
        except PydanticSerializationError:
            logger.exception("call %s: the tool %s returned what JSON can't hold", call.id, name)
        except Exception:  # a user's code may raise anything
            logger.exception("call %s: the tool %s failed", call.id, name)
        return Outcome(error="It failed.")

    def _cut(self, result: Any) -> Any:
        text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
        if len(text) <= self._result_characters:
            return result
        return text[: self._result_characters] + CUT


def toolbox(settings: ToolSettings) -> Toolbox:
    """All that the settings name. Raises ConfigError."""
    return Toolbox(
        load_functions(settings.folder),
        http=HttpTools(settings),
        result_characters=settings.result_characters,
    )
