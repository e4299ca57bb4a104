from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema

from agent.tools.tool import Arguments, CallFacts, Done, Tool, ToolFailed, WrongArguments
from agent.tools.toolbox import CUT, Toolbox
from config.errors import ConfigError
from config.persona import Persona, load_persona

CALL = CallFacts(id="test")


def tool(result: Any, name: str = "look_up", **options: Any) -> Tool:
    """Returns or raises `result`, or calls it."""

    async def run(arguments: Arguments, _: CallFacts) -> Any:
        if isinstance(result, BaseException):
            raise result
        return await result(arguments) if callable(result) else result

    return Tool(FunctionSchema(name, "Look it up.", {}, []), run, **options)


def persona(*tools: str) -> Persona:
    return load_persona("en").model_copy(update={"tools": tools})


@pytest.mark.parametrize(
    ("result", "told", "answers"),
    [
        ({"free": 2}, {"free": 2}, True),
        ([1, 2], {"result": [1, 2]}, True),
        (None, {"result": None}, True),
        (Done("sent"), {"status": "sent"}, False),
        (Done("no", answers=True), {"status": "no"}, True),
        (ToolFailed("The kitchen is closed."), {"error": "The kitchen is closed."}, True),
        (ValueError("secret"), {"error": "It failed."}, True),
        (object(), {"error": "It failed."}, True),
        ("half a pair: \ud83d", {"error": "It failed."}, True),
        ({"share": float("nan")}, {"share": None}, True),
        (TimeoutError(), {"error": "It failed."}, True),
        (SystemExit(1), {"error": "It failed."}, True),
        (asyncio.CancelledError(), {"error": "It failed."}, True),
    ],
)
async def test_what_the_model_is_told(result: Any, told: object, answers: bool) -> None:
    outcome = await Toolbox([tool(result)]).call("look_up", {}, call=CALL)
    assert (outcome.told, outcome.answers) == (told, answers)


async def test_it_is_given_up_after_its_time() -> None:
    async def never(_: Arguments) -> None:
        await asyncio.Event().wait()

    outcome = await Toolbox([tool(never, timeout_s=0.01)]).call("look_up", {}, call=CALL)
    assert outcome.error == "It took longer than 0.01 s, and was given up."
    assert outcome.seconds >= 0.01


async def test_wrong_arguments_keep_it_from_running() -> None:
    def check(_: Arguments) -> Arguments:
        raise WrongArguments("people: missing")

    outcome = await Toolbox([tool("done", check=check)]).call("look_up", {}, call=CALL)
    assert outcome.error == "The arguments are wrong: people: missing"
    assert outcome.wrong_arguments


async def test_a_huge_answer_is_cut() -> None:
    box = Toolbox([tool("x" * 5000), tool([["y"] * 5000], name="list_all")], result_characters=100)
    assert (await box.call("look_up", {}, call=CALL)).result == "x" * 100 + CUT
    outcome = await box.call("list_all", {}, call=CALL)
    assert len(outcome.result) == 100 + len(CUT)
    assert outcome.whole == [["y"] * 5000]


async def test_what_fails_is_logged_without_what_the_caller_said(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_: Arguments) -> None:
        raise RuntimeError("broken")

    with caplog.at_level(logging.ERROR, "offhook.tools"):
        await Toolbox([tool(fail)]).call("look_up", {"number": "4711"}, call=CALL)
    assert "call test: the tool look_up failed" in caplog.text
    assert "broken" in caplog.text
    assert "4711" not in caplog.text


async def test_there_is_no_other_tool() -> None:
    assert (await Toolbox().call("fly", {}, call=CALL)).error == "There is no tool fly."


async def test_a_persona_has_its_own_and_what_every_call_has() -> None:
    box = Toolbox([tool(1), tool(1, name="other")]).of(persona("look_up", "take_message"))
    assert list(box.names) == ["end_call", "take_message", "look_up"]
    assert (await box.call("other", {}, call=CALL)).error == "There is no tool other."


def test_names_are_given_once() -> None:
    with pytest.raises(ConfigError, match=r"a\.py and b\.py both have a tool look_up; rename one\."):
        Toolbox([tool(1, source="a.py"), tool(1, name="x", source="b.py"), tool(1, source="b.py")])
    with pytest.raises(ConfigError, match=r"built in and a\.py both have a tool end_call"):
        Toolbox([tool(1, name="end_call", source="a.py")]).require([])


def test_a_persona_names_tools_that_are_there() -> None:
    box = Toolbox([tool(1)])
    box.require([persona("look_up", "hold_call")])
    with pytest.raises(ConfigError, match=r"tool look_upp, which isn't there; did you mean look_up\?"):
        box.require([persona("look_upp")])
    with pytest.raises(ConfigError, match=r"there are ask_for_keys, .*, look_up,"):
        box.require([persona("zzz")])
