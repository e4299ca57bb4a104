"""The examples of docs/tools.md, as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.tools.tool import CallFacts
from agent.tools.toolbox import Toolbox, toolbox
from config.sources import load

DOCS = (Path(__file__).parents[3] / "docs" / "tools.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS, re.DOTALL)


@pytest.fixture
def box(tmp_path: Path) -> Toolbox:
    (tmp_path / "orders.py").write_text(blocks("python")[0])
    (tmp_path / "crm").write_text("secret")
    file = tmp_path / "offhook.yaml"
    tools = "".join(block.removeprefix("tools:\n") for block in blocks("yaml"))
    file.write_text(f"tools:\n  folder: {tmp_path}\n" + tools.replace("/run/secrets", str(tmp_path)))
    return toolbox(load(file, {}).settings.tools)


async def test_the_functions_do_what_is_said(box: Toolbox) -> None:
    call = CallFacts(id="test", caller="Ann")
    found = await box.call("find_order", {"number": 1234}, call=call)
    assert found.told == {"state": "on its way"}
    missing = await box.call("find_order", {"number": 1}, call=call)
    assert missing.told == {"error": "There is no such order."}
    cancel = box.tool("cancel_order")
    assert cancel
    assert cancel.asks({"number": 1234})[0] == "Shall I cancel order 1234?"
    assert (await box.call("cancel_order", {"number": 1234}, call=call)).result == "It is cancelled."
    assert (await box.call("find_order", {"number": 1234}, call=call)).told == {"state": "cancelled by Ann"}


def test_the_requests_and_servers_are_taken(box: Toolbox) -> None:
    hours = box.tool("shop_hours")
    assert hours
    assert (hours.schema.required, hours.on_interruption) == (["town"], "cancel")
    assert [part.name for part in box.health([])] == ["mcp stock", "mcp crm"]
