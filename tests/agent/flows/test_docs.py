"""The example of docs/flows.md, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from agent.dialogue import Dialogue
from agent.tools.toolbox import toolbox
from config.flow import load_flow
from config.tools import ToolSettings
from tests.agent.conversation_kit import Outcome
from tests.agent.flows.kit import persona
from tests.agent.scripted_llm import ScriptedLlm

DOCS = Path(__file__).parents[3] / "docs" / "flows.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(), re.DOTALL)


async def test_the_example_books_a_table(tmp_path: Path) -> None:
    (tmp_path / "table.yaml").write_text(blocks("yaml")[0])
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "tables.py").write_text(blocks("python")[0])
    tools = toolbox(ToolSettings(folder=tmp_path / "tools"))
    nora = persona(load_flow(tmp_path / "table.yaml"))
    tools.require([nora])
    llm = cast(Any, ScriptedLlm({}, Outcome(), None))
    async with Dialogue(llm, nora, toolbox=tools) as dialogue:
        first = await dialogue.answer("A table for four on Friday at seven please, my name is Ann.")
        assert re.fullmatch(
            r"A table for 4 on Friday, \w+ \d+ at 7:00 PM, for Ann. Is that right\?", first.text
        )
        assert "on Saturday" in (await dialogue.answer("No, Saturday.")).text
        assert (await dialogue.answer("Yes.")).text == "It's booked. See you then, Ann!"
        again = await dialogue.answer("Book a table for two on Saturday at seven.")
        assert again.text == "At 7:00 PM we're full; 9 PM would be possible. At what time?"
