"""A persona with a flow, and tools that note what they are given."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema

from agent.tools.tool import Arguments, CallFacts, Tool
from agent.tools.toolbox import Toolbox
from config.flow import Flow, load_flow
from config.persona import Persona
from tests.agent.conversation_kit import PERSONA

TABLE = Path(__file__).parent / "table.yaml"


def persona(flow: Flow | None = None) -> Persona:
    return PERSONA.model_copy(
        update={"flow": flow or load_flow(TABLE), "tools": ("take_message",), "goodbye_words": ("bye",)}
    )


class Restaurant:
    """`full` are times at which there is no table, told with a `remark`; an act takes `takes_s`."""

    def __init__(self, *, full: tuple[str, ...] = (), remark: str = "", takes_s: float = 0.0) -> None:
        self.full = full
        self.remark = remark
        self.takes_s = takes_s
        self.asked: list[Mapping[str, Any]] = []
        self.booked: list[Mapping[str, Any]] = []
        self.cancelled: list[Mapping[str, Any]] = []

    @property
    def toolbox(self) -> Toolbox:
        return Toolbox(
            [
                Tool(FunctionSchema("find_table", "", {}, []), self._find),
                Tool(FunctionSchema("book_table", "", {}, []), self._book),
                Tool(FunctionSchema("cancel_table", "", {}, []), self._cancel),
            ]
        )

    async def _find(self, arguments: Arguments, _: CallFacts) -> Mapping[str, Any]:
        self.asked.append(arguments)
        if arguments["time"] in self.full:
            return {"remark": self.remark, "status": "full", "free": "nine"}
        return {"status": "free"}

    async def _book(self, arguments: Arguments, _: CallFacts) -> Mapping[str, Any]:
        await asyncio.sleep(self.takes_s)
        self.booked.append(arguments)
        return {"status": "done"}

    async def _cancel(self, arguments: Arguments, _: CallFacts) -> Mapping[str, Any]:
        self.cancelled.append(arguments)
        return {"status": "done"}
